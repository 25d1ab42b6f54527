use super::{Cache, is_whole};
use cloister_model::FileDigest;
use std::{
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// Bytes that are copied between two looks at the cancellation.
const COPY_BYTES: u64 = 16 * 1024 * 1024;

/// A file of the cache, held by a link of this process: it stays while this exists, whatever becomes of its name in the
/// cache.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    file: FileDigest,
    /// Its folder is this process's for as long.
    _cache: Arc<Cache>,
}

impl Held {
    /// A file that is at `path`, which nothing else has.
    pub(super) fn new(cache: Arc<Cache>, path: PathBuf, file: FileDigest) -> Self {
        Self { path, file, _cache: cache }
    }

    /// Links a file of the cache to `path`, then checks whether it is whole: in this order, because another process may
    /// remove it at any moment.
    pub(super) fn link_from(cache: Arc<Cache>, from: &Path, path: PathBuf, file: FileDigest) -> io::Result<Self> {
        let held = Self::new(cache, path, file);
        match fs::hard_link(from, &held.path) {
            // More names than a file can have.
            Err(error) if error.kind() == io::ErrorKind::TooManyLinks => {
                copy(from, &held.path, &CancellationToken::new())?;
            }
            other => other?,
        }
        if is_whole(&held.path, file.bytes) { Ok(held) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    pub(crate) fn file(&self) -> FileDigest {
        self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it another name, read-only: the same file where the file system can do that, a copy where not. Blocking;
    /// a copy ends soon after it is cancelled, with an error.
    pub(crate) fn link(&self, to: &Path, cancel: &CancellationToken) -> io::Result<()> {
        match fs::hard_link(&self.path, to) {
            // Another file system, or more names than a file can have.
            Err(error) if matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks) => {
                copy(&self.path, to, cancel)
            }
            other => other,
        }
    }
}

fn copy(from: &Path, to: &Path, cancel: &CancellationToken) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut copy = File::options().write(true).create_new(true).mode(0o400).open(to)?;
    while io::copy(&mut (&mut from).take(COPY_BYTES), &mut copy)? > 0 {
        if cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
    }
    fs::set_permissions(to, Permissions::from_mode(0o444))
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
