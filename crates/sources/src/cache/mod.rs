//! Files that were fetched, once each, named by their digests and shared by jobs through hard links.
//!
//! ```text
//! files/<sha256>            what was fetched, mode 0444, checked when it was stored
//! origins/<origin>-<sha256> that a source gave such a file
//! partial/<random>          downloads in flight; emptied when the cache is opened
//! ```
//!
//! A digest alone does not get a file out of the cache: digests of private data stand in reports. Whoever names one must
//! be the source that once gave the file ([`Origin`]), or bring the bytes.

mod held;
mod index;
mod partial;

pub(crate) use held::Held;
pub(crate) use partial::{Fresh, Partial};

use cloister_model::{FileDigest, Sha256};
use index::Index;
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::UNIX_EPOCH,
};

/// Files by their digests.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    max_bytes: u64,
    index: Mutex<Index>,
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

impl Cache {
    /// Opens the cache of a folder, which is made if it is missing. What was in flight when it was last used is removed.
    /// At most `max_bytes` stay in it, what jobs are just being given not counted.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(dir: &Path, max_bytes: u64) -> Result<Self, CacheError> {
        let partial = dir.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        for part in [dir, &partial, &dir.join("files"), &dir.join("origins")] {
            DirBuilder::new().recursive(true).mode(0o700).create(part)?;
            fs::set_permissions(part, fs::Permissions::from_mode(0o700))?;
        }
        let cache = Self { dir: dir.to_owned(), max_bytes, index: Mutex::default() };
        cache.read_files()?;
        cache.read_origins()?;
        cache.evict();
        Ok(cache)
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.index().bytes()
    }

    /// A file that is here. Not a permission: digests stand in reports, so ask first whether whoever names one may have it.
    #[must_use]
    pub fn path(&self, sha256: Sha256) -> Option<PathBuf> {
        self.index().use_now(sha256)?;
        Some(self.file_path(sha256))
    }

    /// What this source gave before, if it is still here and is this, where that is said.
    pub(crate) fn hold_from(self: &Arc<Self>, origin: Origin, wanted: Option<Sha256>) -> Option<Held> {
        let mut index = self.index();
        let sha256 = index.given_by(origin).filter(|given| wanted.is_none_or(|wanted| wanted == *given))?;
        let bytes = index.pin(sha256)?;
        drop(index);
        let held = Held::new(self.clone(), FileDigest { sha256, bytes });
        let intact = fs::symlink_metadata(held.path()).is_ok_and(|found| found.is_file() && found.size() == bytes);
        if !intact {
            tracing::warn!(%sha256, "a file of the cache is gone or cut; it is fetched again");
            drop(held);
            self.forget(sha256);
            return None;
        }
        Some(held)
    }

    /// Begins a file.
    pub(crate) fn begin(&self) -> io::Result<Partial> {
        Partial::begin(&self.partial_path()?)
    }

    /// Begins a file as another name of one that exists and never changes. Blocking: reads it.
    pub(crate) fn adopt(&self, path: &Path) -> io::Result<Fresh> {
        Fresh::linked(path, self.partial_path()?)
    }

    /// Keeps a complete file, and what it came from. Blocking.
    pub(crate) fn keep(self: &Arc<Self>, fresh: Fresh, origin: Option<Origin>) -> io::Result<Held> {
        let file = fresh.file();
        let path = self.file_path(file.sha256);
        let held = {
            let mut index = self.index();
            if index.pin(file.sha256).is_none() || !path.is_file() {
                // Under the lock: an eviction must not remove the one while the other takes its name.
                fresh.become_file(&path)?;
                index.insert(file);
            }
            if let Some(origin) = origin {
                let _ = fs::write(self.origin_path(origin, file.sha256), []);
                if let Some(other) = index.came_from(origin, file.sha256) {
                    let _ = fs::remove_file(self.origin_path(origin, other));
                }
            }
            Held::new(self.clone(), file)
        };
        self.evict();
        Ok(held)
    }

    /// Removes what was used least lately until the rest fits.
    fn evict(&self) {
        let mut index = self.index();
        while index.bytes() > self.max_bytes {
            let Some((sha256, origins)) = index.remove_oldest() else { break };
            self.remove_files(sha256, &origins);
        }
    }

    fn forget(&self, sha256: Sha256) {
        let mut index = self.index();
        if let Some(origins) = index.remove(sha256) {
            self.remove_files(sha256, &origins);
        }
    }

    fn remove_files(&self, sha256: Sha256, origins: &[Origin]) {
        if let Err(error) = fs::remove_file(self.file_path(sha256)) {
            tracing::warn!(%sha256, %error, "a file cannot be removed from the cache");
        }
        for origin in origins {
            let _ = fs::remove_file(self.origin_path(*origin, sha256));
        }
    }

    fn read_files(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir.join("files"))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name();
            let sha256 = name.to_str().filter(|name| name.len() == 64).and_then(|name| name.parse::<Sha256>().ok());
            match sha256 {
                Some(sha256) if metadata.is_file() && self.file_path(sha256) == entry.path() => {
                    let age = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                    found.push((age, FileDigest { sha256, bytes: metadata.len() }));
                }
                _ => tracing::warn!("something in the cache is none of its files; left alone"),
            }
        }
        found.sort_by_key(|(age, file)| (*age, file.sha256));
        let mut index = self.index();
        found.into_iter().for_each(|(_, file)| {
            index.insert(file);
            index.unpin(file.sha256);
        });
        Ok(())
    }

    fn read_origins(&self) -> io::Result<()> {
        let mut index = self.index();
        for entry in fs::read_dir(self.dir.join("origins"))? {
            let entry = entry?;
            let name = entry.file_name();
            let known = name.to_str().and_then(|name| {
                let (origin, sha256) = name.split_once('-')?;
                Some((origin.parse::<Sha256>().ok()?, sha256.parse::<Sha256>().ok()?))
            });
            match known {
                Some((origin, sha256)) if index.holds(sha256) => drop(index.came_from(origin, sha256)),
                _ => drop(fs::remove_file(entry.path())),
            }
        }
        Ok(())
    }

    fn file_path(&self, sha256: Sha256) -> PathBuf {
        self.dir.join("files").join(sha256.to_string())
    }

    fn origin_path(&self, origin: Origin, sha256: Sha256) -> PathBuf {
        self.dir.join("origins").join(format!("{origin}-{sha256}"))
    }

    fn partial_path(&self) -> io::Result<PathBuf> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        Ok(self.dir.join("partial").join(format!("{:032x}", u128::from_be_bytes(name))))
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
