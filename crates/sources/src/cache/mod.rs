//! Files that were fetched, once each, named by their digests and shared by jobs through hard links.
//!
//! ```text
//! files/<sha256>     what was fetched, mode 0444, checked when it was stored
//! used/<sha256>      empty; when the file was last used
//! origins/<origin>   a symbolic link to nothing, whose text says which file a source gave: <sha256>-<bytes>
//! partial/<process>/ downloads in flight, and files that this process is handing out
//! partial/<process>.lock   locked while the process is there
//! lock               locked while a process opens the cache or removes files from it
//! ```
//!
//! Several processes may use one cache. Nothing about it is remembered: every look-up reads the folder. A process holds a
//! file by a hard link of its own, made before anything else, so that no other process can take it away by removing the name
//! in `files`. What a process that was killed leaves is found by its lock, which the kernel frees, and is removed when
//! the cache is next opened.
//!
//! A digest alone does not get a file out of the cache: digests of private data stand in reports. To get one, name the
//! source that once gave the file ([`Origin`]), or bring the bytes.

mod held;
mod partial;
mod process;

pub(crate) use held::Held;
pub(crate) use partial::{Fresh, Partial};

use cloister_files::if_there;
use cloister_model::{FileDigest, Sha256};
use process::ProcessFolder;
use rustix::fs::{FlockOperation, flock};
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// Removals free this part of the whole beyond what is needed, and so much may be added before the folder is read again:
/// reading it takes time that grows with the number of files.
const SLACK: u64 = 64;

/// Files by their digests.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    max_bytes: u64,
    process: ProcessFolder,
    size: Mutex<Size>,
}

/// What this process knows of the size of the cache.
#[derive(Debug)]
struct Size {
    /// When the folder was last read, in bytes.
    read: u64,
    /// What this process has added since.
    added: u64,
}

/// Why the cache could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Its folder cannot be used.
    #[error("the cache cannot be used: {0}; check its folder and the space on its disk")]
    Io(#[from] io::Error),
}

/// A source, as a digest of all that it says: its address and its credentials.
pub(crate) type Origin = Sha256;

/// A file of the cache, as it is found in the folder.
struct Entry {
    file: FileDigest,
    used: SystemTime,
}

impl Cache {
    /// Opens the cache of a folder, which is made if it is missing. Other processes may use it at the same time. What
    /// processes that are gone had in flight is removed. About `max_bytes` stay in it: a sixty-fourth more for each process
    /// that uses it, and what jobs are just being given.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(dir: &Path, max_bytes: u64) -> Result<Self, CacheError> {
        for part in [dir, &dir.join("partial"), &dir.join("files"), &dir.join("used"), &dir.join("origins")] {
            DirBuilder::new().recursive(true).mode(0o700).create(part)?;
            fs::set_permissions(part, fs::Permissions::from_mode(0o700))?;
        }
        let lock = lock_file(dir)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from)?;
        let process = ProcessFolder::make(&dir.join("partial"))?;
        drop(lock);
        let size = Mutex::new(Size { read: 0, added: 0 });
        let cache = Self { dir: dir.to_owned(), max_bytes, process, size };
        cache.remove_surplus(&mut cache.size())?;
        cache.remove_stale_notes(&cache.names()?)?;
        Ok(cache)
    }

    /// Bytes that it holds. Reads the folder; zero if it cannot be read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.entries().map_or(0, |entries| entries.iter().map(|entry| entry.file.bytes).sum())
    }

    /// The bytes that about stay in it at most.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// A file that is here. Not a permission: digests stand in reports, so ask first whether the caller may have it.
    #[must_use]
    pub fn path(&self, sha256: Sha256) -> Option<PathBuf> {
        let path = self.file_path(sha256);
        path.is_file().then(|| {
            self.touch(sha256);
            path
        })
    }

    /// What this source gave before, if it is still here and is this, where that is said.
    pub(crate) fn hold_from(self: &Arc<Self>, origin: Origin, wanted: Option<Sha256>) -> Option<Held> {
        let file = self.given_by(origin).filter(|given| wanted.is_none_or(|wanted| wanted == given.sha256))?;
        match self.hold(file) {
            Ok(held) => Some(held),
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::NotFound => drop(fs::remove_file(self.origin_path(origin))),
                    io::ErrorKind::InvalidData => {
                        tracing::warn!(sha256 = %file.sha256, "a file of the cache is cut; it is fetched again");
                        let _ = fs::remove_file(self.file_path(file.sha256));
                        let _ = fs::remove_file(self.origin_path(origin));
                    }
                    _ => tracing::warn!(sha256 = %file.sha256, %error, "a file of the cache cannot be used"),
                }
                None
            }
        }
    }

    /// Begins a file.
    pub(crate) fn begin(&self) -> io::Result<Partial> {
        Partial::begin(&self.process.new_path()?)
    }

    /// Begins a file as another name of one that exists and never changes. Blocking: reads it.
    pub(crate) fn adopt(&self, path: &Path) -> io::Result<Fresh> {
        Fresh::linked(path, self.process.new_path()?)
    }

    /// Keeps a complete file, and what it came from. Blocking.
    pub(crate) fn keep(self: &Arc<Self>, fresh: Fresh, origin: Option<Origin>) -> io::Result<Held> {
        let file = fresh.file();
        let held = match self.hold(file) {
            // It is here already: one file for both.
            Ok(held) => held,
            Err(_) => self.add(fresh)?,
        };
        if let Some(origin) = origin {
            // Without it, the file is fetched once more.
            let _ = self.came_from(origin, file);
        }
        let mut size = self.size();
        if size.read.saturating_add(size.added) > self.max_bytes || size.added > self.max_bytes / SLACK {
            self.remove_surplus(&mut size)?;
        }
        Ok(held)
    }

    /// Holds a file that is here and whole.
    fn hold(self: &Arc<Self>, file: FileDigest) -> io::Result<Held> {
        let held = Held::link_from(self.clone(), &self.file_path(file.sha256), self.process.new_path()?, file)?;
        self.touch(file.sha256);
        Ok(held)
    }

    /// Gives a new file its name. If another fetch does the same at the same time, the first one stays, for both.
    fn add(self: &Arc<Self>, fresh: Fresh) -> io::Result<Held> {
        let file = fresh.file();
        let held = Held::new(self.clone(), fresh.keep_path()?, file);
        if fs::hard_link(held.path(), self.file_path(file.sha256)).is_err() {
            if let Ok(first) = self.hold(file) {
                return Ok(first);
            }
            self.replace(&held)?;
        }
        self.touch(file.sha256);
        let mut size = self.size();
        size.added = size.added.saturating_add(file.bytes);
        Ok(held)
    }

    /// Gives a new file the name that something else has, such as a file that was cut.
    fn replace(&self, held: &Held) -> io::Result<()> {
        let name = self.process.new_path()?;
        fs::hard_link(held.path(), &name)?;
        fs::rename(&name, self.file_path(held.file().sha256)).inspect_err(|_| drop(fs::remove_file(&name)))?;
        // A rename to another name of the same file does nothing.
        if_there(fs::remove_file(&name)).map(|_| ())
    }

    /// Removes what was used least lately until the rest fits; nothing while another process does that.
    fn remove_surplus(&self, size: &mut Size) -> io::Result<()> {
        let lock = lock_file(&self.dir)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(());
        }
        let mut entries = self.entries()?;
        entries.sort_by_key(|entry| (entry.used, entry.file.sha256));
        let mut left: u64 = entries.iter().map(|entry| entry.file.bytes).sum();
        if left > self.max_bytes {
            let enough = self.max_bytes - self.max_bytes / SLACK;
            for Entry { file, used: _ } in &entries {
                if left <= enough {
                    break;
                }
                if_there(fs::remove_file(self.file_path(file.sha256)))?;
                let _ = fs::remove_file(self.used_path(file.sha256));
                left -= file.bytes;
            }
            self.remove_stale_notes(&self.names()?)?;
        }
        *size = Size { read: left, added: 0 };
        Ok(())
    }

    fn names(&self) -> io::Result<BTreeSet<Sha256>> {
        Ok(self.entries()?.into_iter().map(|entry| entry.file.sha256).collect())
    }

    /// Removes what is noted of files that are not here any more, and what an earlier version left.
    fn remove_stale_notes(&self, here: &BTreeSet<Sha256>) -> io::Result<()> {
        for entry in fs::read_dir(self.dir.join("origins"))? {
            let path = entry?.path();
            if read_origin(&path).is_none_or(|file| !here.contains(&file.sha256)) {
                let _ = fs::remove_file(path);
            }
        }
        for entry in fs::read_dir(self.dir.join("used"))? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(|name| name.parse::<Sha256>().ok());
            if name.is_none_or(|sha256| !here.contains(&sha256)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Every file, as it is in the folder now.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir.join("files"))? {
            let entry = entry?;
            let Ok(metadata) = entry.metadata() else { continue };
            let name = entry.file_name();
            let sha256 = name.to_str().filter(|name| name.len() == 64).and_then(|name| name.parse::<Sha256>().ok());
            match sha256 {
                Some(sha256) if metadata.is_file() && self.file_path(sha256) == entry.path() => {
                    let used = fs::metadata(self.used_path(sha256)).unwrap_or_else(|_| metadata.clone()).modified()?;
                    found.push(Entry { file: FileDigest { sha256, bytes: metadata.len() }, used });
                }
                _ => tracing::warn!("something in the cache is not one of its files; left alone"),
            }
        }
        Ok(found)
    }

    /// Notes that a file was used. In a file of its own: jobs see the time stamps of the file itself.
    fn touch(&self, sha256: Sha256) {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.used_path(sha256));
        // Without a note it goes earlier.
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
    }

    fn given_by(&self, origin: Origin) -> Option<FileDigest> {
        read_origin(&self.origin_path(origin))
    }

    fn came_from(&self, origin: Origin, file: FileDigest) -> io::Result<()> {
        let name = self.process.new_path()?;
        symlink(format!("{}-{}", file.sha256, file.bytes), &name)?;
        fs::rename(&name, self.origin_path(origin)).inspect_err(|_| drop(fs::remove_file(&name)))
    }

    fn file_path(&self, sha256: Sha256) -> PathBuf {
        self.dir.join("files").join(sha256.to_string())
    }

    fn used_path(&self, sha256: Sha256) -> PathBuf {
        self.dir.join("used").join(sha256.to_string())
    }

    fn origin_path(&self, origin: Origin) -> PathBuf {
        self.dir.join("origins").join(origin.to_string())
    }

    fn size(&self) -> std::sync::MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a source gave, as its link says.
fn read_origin(path: &Path) -> Option<FileDigest> {
    let text = fs::read_link(path).ok()?;
    let (sha256, bytes) = text.to_str()?.split_once('-')?;
    Some(FileDigest { sha256: sha256.parse().ok()?, bytes: bytes.parse().ok()? })
}

fn lock_file(dir: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join("lock"))
}

/// Whether a file is a regular file of this size.
fn is_whole(path: &Path, bytes: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.size() == bytes)
}

#[cfg(test)]
mod tests;
