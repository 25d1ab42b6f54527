//! Uploads that are under way.

use crate::home::directory;
use cloister_model::{FileDigest, Sha256, StoreError};
use sha2::Digest as _;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Uploads that are under way at once.
const MOST_AT_ONCE: usize = 256;
/// How long an upload may be idle before another one may take its place.
const IDLE: Duration = Duration::from_secs(600);
/// The prefix of the name of an incomplete file.
const PART: &str = ".part-";

/// Uploads that were begun.
#[derive(Debug)]
pub(crate) struct Incoming {
    folder: PathBuf,
    most_bytes: u64,
    next: AtomicU64,
    begun: Mutex<HashMap<u64, Arc<Mutex<Part>>>>,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
    hash: sha2::Sha256,
    bytes: u64,
    touched: Instant,
    /// Whether appending failed, or the upload was finished.
    over: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn unavailable(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull => StoreError::Full("the disk is full; nothing was stored".to_owned()),
        _ => StoreError::Unavailable(format!("an upload cannot be stored: {error}")),
    }
}

impl Incoming {
    pub(crate) fn new(folder: PathBuf, most_bytes: u64) -> Self {
        Self { folder, most_bytes, next: AtomicU64::new(1), begun: Mutex::new(HashMap::new()) }
    }

    /// The most bytes that one account may have here.
    pub(crate) fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<u64, Arc<Mutex<Part>>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes incomplete files of an earlier process, and those that `known` does not know.
    pub(crate) fn tidy(&self, known: impl Fn(&Sha256) -> bool) -> io::Result<()> {
        directory(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let whole = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if !whole.is_some_and(|sha256| known(&sha256)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub(crate) fn begin(&self) -> Result<u64, StoreError> {
        let mut begun = self.begun();
        if begun.len() >= MOST_AT_ONCE {
            let idle =
                |part: &Arc<Mutex<Part>>| part.try_lock().is_ok_and(|part| part.over || part.touched.elapsed() > IDLE);
            begun.retain(|_, part| !idle(part));
        }
        if begun.len() >= MOST_AT_ONCE {
            return Err(StoreError::Full(format!("{MOST_AT_ONCE} uploads are under way; try again later")));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{PART}{number}"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(|error| unavailable(&error))?;
        let (hash, touched) = (sha2::Sha256::new(), Instant::now());
        begun.insert(number, Arc::new(Mutex::new(Part { path, file, hash, bytes: 0, touched, over: false })));
        Ok(number)
    }

    fn part(&self, number: u64) -> Result<Arc<Mutex<Part>>, StoreError> {
        self.begun().get(&number).cloned().ok_or(StoreError::Missing)
    }

    /// Appends to an upload. An error ends it.
    pub(crate) fn append(&self, number: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let part = self.part(number)?;
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        let total = part.bytes.saturating_add(bytes.len() as u64);
        let appended = if total > self.most_bytes {
            Err(StoreError::Full(format!("one account may upload {} bytes", self.most_bytes)))
        } else if part.over {
            Err(StoreError::Missing)
        } else {
            part.file.write_all(bytes).map_err(|error| unavailable(&error))
        };
        match appended {
            Ok(()) => {
                part.hash.update(bytes);
                part.bytes = total;
                part.touched = Instant::now();
                Ok(())
            }
            Err(error) => {
                part.over = true;
                drop(part);
                self.forget(number);
                Err(error)
            }
        }
    }

    /// Moves a complete file to its digest. The database says who may name it.
    pub(crate) fn finish(&self, number: u64) -> Result<FileDigest, StoreError> {
        let part = self.begun().remove(&number).ok_or(StoreError::Missing)?;
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut part.over, true) {
            return Err(StoreError::Missing);
        }
        let sha256 = Sha256::from_bytes(std::mem::take(&mut part.hash).finalize().into());
        let path = self.folder.join(sha256.to_string());
        let keep = || -> io::Result<()> {
            if path.is_file() {
                return Ok(());
            }
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
            part.file.set_permissions(mode)?;
            part.file.sync_all()?;
            fs::rename(&part.path, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        keep().map_err(|error| unavailable(&error))?;
        Ok(FileDigest { sha256, bytes: part.bytes })
    }

    pub(crate) fn forget(&self, number: u64) {
        self.begun().remove(&number);
    }
}
