//! The home directory: compiled artifacts, the key that authenticates them, and installed runtimes.

#![expect(
    clippy::disallowed_methods,
    reason = "this file decides which directory is the home, and checks that it is private"
)]

use rustix::fs::StatVfsMountFlags;
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A directory that only its owner can write to.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

/// Why the home directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither an option nor the environment names a directory.
    #[error("no directory for compiled artifacts: set CLOISTER_SANDBOX_HOME or HOME, or give --home DIR")]
    Nowhere,
    /// Another user could put machine code there.
    #[error(
        "`{0}` belongs to or can be written by another user: `chown` it and `chmod 700` it, or give another --home"
    )]
    NotPrivate(PathBuf),
    /// The file system is mounted read-only.
    #[error("home `{0}` is on a read-only file system: give --home a directory that can be written, such as a volume")]
    ReadOnly(PathBuf),
    /// The file system is mounted `noexec`, so compiled code cannot be mapped from it.
    #[error(
        "home `{0}` is on a file system that is mounted noexec: compiled code must be executable, give another --home"
    )]
    NotExecutable(PathBuf),
    /// The file system is full.
    #[error("no space is left for home `{0}`: free some, or give another --home")]
    Full(PathBuf),
    /// The file system refused an operation.
    #[error("home `{path}`: {error}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
}

impl Home {
    /// The home directory at `given`, else at `CLOISTER_SANDBOX_HOME`, else `cloister` in the user's data directory (XDG).
    /// Creates it if it is missing.
    ///
    /// # Errors
    /// If no variable names it, it cannot be created, or other users can write to it.
    pub fn find(given: Option<&Path>, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, HomeError> {
        let root = given
            .map(Path::to_owned)
            .or_else(|| variable("CLOISTER_SANDBOX_HOME"))
            // Its name before the service had a home of its own.
            .or_else(|| variable("CLOISTER_HOME"))
            .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("cloister")))
            .or_else(|| variable("HOME").map(|home| home.join(".local/share/cloister")))
            .filter(|path| !path.as_os_str().is_empty())
            .ok_or(HomeError::Nowhere)?;
        let home = Self { root };
        Self::private_directory(&home.root)?;
        Ok(home)
    }

    /// The directory of compiled artifacts.
    ///
    /// # Errors
    /// As for the home itself.
    pub fn artifacts(&self) -> Result<PathBuf, HomeError> {
        let path = self.root.join("artifacts");
        Self::private_directory(&path)?;
        let flags = rustix::fs::statvfs(&path)
            .map_err(|error| HomeError::Io { path: path.clone(), error: error.into() })?
            .f_flag;
        if flags.contains(StatVfsMountFlags::NOEXEC) {
            return Err(HomeError::NotExecutable(path));
        }
        Ok(path)
    }

    /// The directory of installed runtimes.
    ///
    /// # Errors
    /// As for the home itself.
    pub fn runtimes(&self) -> Result<PathBuf, HomeError> {
        let path = self.root.join("runtimes");
        Self::private_directory(&path)?;
        Ok(path)
    }

    /// The key that authenticates artifacts. Created from the kernel's random source at first use; only its owner can
    /// read it.
    ///
    /// # Errors
    /// If it can be neither read nor created.
    pub fn artifact_key(&self) -> Result<[u8; 32], HomeError> {
        let path = self.root.join("artifact.key");
        let fault = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HomeError::Full(self.root.clone()),
            _ => HomeError::Io { path: path.clone(), error },
        };
        for _ in 0..2 {
            match fs::read(&path) {
                Ok(bytes) => {
                    return bytes.try_into().map_err(|_| {
                        fault(io::Error::new(io::ErrorKind::InvalidData, "not a 32-byte key; remove the file"))
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_key(&path).map_err(fault)?,
                Err(error) => return Err(fault(error)),
            }
        }
        Err(fault(io::ErrorKind::NotFound.into()))
    }

    /// Links a complete file into place, so that two concurrent first runs agree on one key.
    fn make_key(&self, path: &Path) -> io::Result<()> {
        let mut key = [0; 32];
        rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
        // Not named by the process id: in containers that share a home, every process is number 1.
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let draft = self.root.join(format!("artifact.key.{:016x}", u64::from_le_bytes(random)));
        let mut options = fs::OpenOptions::new();
        io::Write::write_all(&mut options.write(true).create_new(true).mode(0o600).open(&draft)?, &key)?;
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn private_directory(path: &Path) -> Result<(), HomeError> {
        let fault = |error| HomeError::Io { path: path.to_owned(), error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => fault(io::ErrorKind::NotADirectory.into()),
            io::ErrorKind::ReadOnlyFilesystem => HomeError::ReadOnly(path.to_owned()),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HomeError::Full(path.to_owned()),
            _ => fault(error),
        })?;
        let metadata = fs::symlink_metadata(path).map_err(fault)?;
        let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.is_dir() || !is_ours || metadata.permissions().mode() & 0o022 != 0 {
            return Err(HomeError::NotPrivate(path.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(directory: &tempfile::TempDir) -> Home {
        Home::find(Some(&directory.path().join("home")), |_| None).expect("a home")
    }

    /// Containers number their processes separately, so two of them may have the same id at the same time.
    #[test]
    fn processes_with_one_number_agree_on_one_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = home(&directory);
        let left_by_another = home.root.join(format!("artifact.key.{}", std::process::id()));
        fs::write(&left_by_another, b"unfinished").expect("written");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| home.artifact_key().expect("a key"))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
