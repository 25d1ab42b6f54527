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

fn remove_abandoned(partial: &Path) -> io::Result<()> {
    for entry in fs::read_dir(partial)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("lock")) {
            continue;
        }
        let lock_path = path.with_extension("lock");
        match File::open(&lock_path) {
            Ok(lock) => match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    remove(&path)?;
                    fs::remove_file(&lock_path)?;
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
            },
            // Without a lock it belongs to no process.
            Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&path)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn random_name() -> io::Result<String> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_be_bytes(name)))
}
