use super::Cache;
use cloister_model::FileDigest;
use std::{
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// Bytes that are copied before it is asked whether anybody still wants them.
const COPY_BYTES: u64 = 16 * 1024 * 1024;

/// A file of the cache that stays while this exists.
#[derive(Debug)]
pub(crate) struct Held {
    cache: Arc<Cache>,
    file: FileDigest,
}

impl Held {
    /// The caller has pinned it.
    pub(super) fn new(cache: Arc<Cache>, file: FileDigest) -> Self {
        Self { cache, file }
    }

    pub(crate) fn file(&self) -> FileDigest {
        self.file
    }

    pub(super) fn path(&self) -> PathBuf {
        self.cache.file_path(self.file.sha256)
    }

    /// Gives it another name, read-only: the same file where the file system can do that, a copy where not. Blocking;
    /// a copy ends soon after it is cancelled, with an error.
    pub(crate) fn link(&self, to: &Path, cancel: &CancellationToken) -> io::Result<()> {
        match fs::hard_link(self.path(), to) {
            // Another file system, or more names than a file can have.
            Err(error) if matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks) => {
                let mut from = File::open(self.path())?;
                let mut copy = File::options().write(true).create_new(true).mode(0o400).open(to)?;
                while io::copy(&mut (&mut from).take(COPY_BYTES), &mut copy)? > 0 {
                    if cancel.is_cancelled() {
                        return Err(io::Error::other("cancelled"));
                    }
                }
                fs::set_permissions(to, Permissions::from_mode(0o444))
            }
            other => other,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.cache.index().unpin(self.file.sha256);
        self.cache.evict();
    }
}
