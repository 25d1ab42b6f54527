//! Where this host keeps what outlives a run: compiled artifacts, installed runtimes, the key that authenticates the
//! former.

use rustix::fs::{Mode, OFlags};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A directory that belongs to the user alone.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

/// Why there is no home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither an option nor the environment names a place.
    #[error("no place for compiled artifacts: set CLOISTER_SANDBOX_HOME or HOME, or give --home DIR")]
    Nowhere,
    /// Somebody else could put machine code there.
    #[error("`{0}` can be written by others, or is not yours: `chown` it and `chmod 700` it, or give another --home")]
    NotPrivate(PathBuf),
    /// The file system said no.
    #[error("home `{path}`: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl Home {
    /// The home at `given`, else `CLOISTER_SANDBOX_HOME`, else `cloister` in the user's data directory (XDG).
    ///
    /// # Errors
    /// If there is none, it cannot be made, or others can write to it.
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

    /// Compiled artifacts.
    ///
    /// # Errors
    /// As for the home itself.
    pub fn artifacts(&self) -> Result<PathBuf, HomeError> {
        let path = self.root.join("artifacts");
        Self::private_directory(&path)?;
        Ok(path)
    }

    /// Installed runtimes.
    ///
    /// # Errors
    /// As for the home itself.
    pub fn runtimes(&self) -> Result<PathBuf, HomeError> {
        let path = self.root.join("runtimes");
        Self::private_directory(&path)?;
        Ok(path)
    }

    /// The key that authenticates artifacts: made from the kernel's randomness at first use, readable by its owner only.
    ///
    /// # Errors
    /// If it cannot be read or made.
    pub fn artifact_key(&self) -> Result<[u8; 32], HomeError> {
        let path = self.root.join("artifact.key");
        let fault = |error| HomeError::Io { path: path.clone(), error };
        for _ in 0..2 {
            match fs::read(&path) {
                Ok(bytes) => {
                    return bytes.try_into().map_err(|_| {
                        fault(io::Error::new(io::ErrorKind::InvalidData, "not a key of 32 bytes; remove it"))
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_key(&path).map_err(fault)?,
                Err(error) => return Err(fault(error)),
            }
        }
        Err(fault(io::ErrorKind::NotFound.into()))
    }

    /// Links a complete file into place, so that two first runs at once agree on one key.
    fn make_key(&self, path: &Path) -> io::Result<()> {
        let mut key = [0; 32];
        rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
        let draft = self.root.join(format!("artifact.key.{}", std::process::id()));
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

/// Opens a regular file for reading, without blocking on a pipe.
///
/// # Errors
/// Those of the kernel; `InvalidInput` if it is no regular file.
pub fn open_regular(path: &Path) -> io::Result<fs::File> {
    let file = fs::File::from(rustix::fs::openat(
        rustix::fs::CWD,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK,
        Mode::empty(),
    )?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}
