use cloister_files::{if_there, random_name};
use rustix::fs::{FlockOperation, flock};
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The folder of one process below `partial`, for as long as the process is there.
#[derive(Debug)]
pub(super) struct ProcessFolder {
    path: PathBuf,
    lock_path: PathBuf,
    /// Locked. The kernel frees it when the process ends, however it ends.
    _lock: File,
}

impl ProcessFolder {
    /// Makes one, and removes those of processes that are gone. The caller holds the lock of the cache, so that no other
    /// process sees a lock file that is not locked yet.
    pub(super) fn make(partial: &Path) -> io::Result<Self> {
        remove_abandoned(partial)?;
        let name = random_name()?;
        let (path, lock_path) = (partial.join(&name), partial.join(format!("{name}.lock")));
        let lock = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock_path)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, lock_path, _lock: lock })
    }

    /// A path in it that nothing has.
    pub(super) fn new_path(&self) -> io::Result<PathBuf> {
        Ok(self.path.join(random_name()?))
    }
}

impl Drop for ProcessFolder {
    fn drop(&mut self) {
        // What still writes below it removes its own file. If anything stays, the next process removes it.
        if fs::remove_dir(&self.path).is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// Removes the folders of processes that are gone, and everything that belongs to no process. Processes that end meanwhile
/// remove theirs themselves, so anything may be gone before this process reads it.
fn remove_abandoned(partial: &Path) -> io::Result<()> {
    for entry in fs::read_dir(partial)? {
        let path = entry?.path();
        let is_lock = path.extension() == Some(OsStr::new("lock"));
        let (folder, lock_path) = (path.with_extension(""), path.with_extension("lock"));
        let lock = if_there(File::open(&lock_path))?;
        if let Some(lock) = &lock {
            match flock(lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        remove(if is_lock { &folder } else { &path })?;
        if lock.is_some() {
            if_there(fs::remove_file(&lock_path))?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let Some(found) = if_there(path.symlink_metadata())? else { return Ok(()) };
    if_there(if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }).map(drop)
}
