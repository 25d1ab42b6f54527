//! Uploads that are under way, in a folder of this machine.

use crate::folder::make;
use cloister_model::{FileDigest, Sha256, StoreError};
use sha2::Digest as _;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
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

/// Uploads that were begun. One process at a time uses the folder, and a number is good for its process only.
#[derive(Debug)]
pub struct Incoming {
    folder: PathBuf,
    next: AtomicU64,
    begun: Mutex<HashMap<u64, Arc<Mutex<Part>>>>,
}

/// A file that arrived whole and has no name yet. Dropped, it is removed.
#[derive(Debug)]
pub struct Arrived {
    part: Arc<Mutex<Part>>,
    path: PathBuf,
    file: FileDigest,
}

impl Arrived {
    /// Where it is, until it is dropped.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    #[must_use]
    pub fn file(&self) -> FileDigest {
        self.file
    }
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
    /// Uploads into this folder. The caller that appends sees to it that none becomes too large.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, next: AtomicU64::new(1), begun: Mutex::new(HashMap::new()) }
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<u64, Arc<Mutex<Part>>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the folder if it is missing, and removes incomplete files of an earlier process and those that `known` does not
    /// know.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn tidy(&self, known: impl Fn(&Sha256) -> bool) -> io::Result<()> {
        make(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let whole = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if !whole.is_some_and(|sha256| known(&sha256)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Begins an upload and gives its number.
    ///
    /// # Errors
    /// [`StoreError::Full`] if too many are under way, or the disk is full; [`StoreError::Unavailable`].
    pub fn begin(&self) -> Result<u64, StoreError> {
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
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it is over; [`StoreError::Full`] if the disk is full; [`StoreError::Unavailable`].
    pub fn append(&self, number: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let part = self.part(number)?;
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        let total = part.bytes.saturating_add(bytes.len() as u64);
        let appended = if part.over {
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

    /// Ends an upload: the file is whole.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it is over.
    pub fn end(&self, number: u64) -> Result<Arrived, StoreError> {
        let part = self.begun().remove(&number).ok_or(StoreError::Missing)?;
        let mut ended = part.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut ended.over, true) {
            return Err(StoreError::Missing);
        }
        let sha256 = Sha256::from_bytes(std::mem::take(&mut ended.hash).finalize().into());
        let (path, file) = (ended.path.clone(), FileDigest { sha256, bytes: ended.bytes });
        drop(ended);
        Ok(Arrived { part, path, file })
    }

    /// Ends an upload and moves the file to its digest in the folder, complete and on the disk. Who may name it is kept
    /// elsewhere.
    ///
    /// # Errors
    /// As [`Incoming::end`]; [`StoreError::Full`] if the disk is full; [`StoreError::Unavailable`].
    pub fn finish(&self, number: u64) -> Result<FileDigest, StoreError> {
        let Arrived { part, path: from, file } = self.end(number)?;
        let part = part.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.join(file.sha256.to_string());
        let keep = || -> io::Result<()> {
            if path.is_file() {
                return Ok(());
            }
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
            part.file.set_permissions(mode)?;
            part.file.sync_all()?;
            fs::rename(&from, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        keep().map_err(|error| unavailable(&error))?;
        Ok(file)
    }

    /// Forgets an upload; it may be over.
    pub fn forget(&self, number: u64) {
        self.begun().remove(&number);
    }
}
