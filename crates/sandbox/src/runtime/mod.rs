//! Runtimes: interpreters that the operator installs, so that authors can submit scripts.

mod bundle;
mod install;
mod manifest;

pub use bundle::{Bundle, BundleError, bundle};
pub use install::{InstallError, Installed, add, list, remove};
pub use manifest::{Manifest, Needs, SupportFile};

use crate::{
    compiler::Role,
    hash::sha256,
    home::Home,
    host_file::{open_regular, read_bounded},
    worker::spec::{Archive, Placed, Start},
};
use cloister_model::{RuntimeReport, Sha256, escape};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// The most bytes in an installed manifest.
const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;

/// Why a runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No runtime has that name.
    #[error("no runtime `{name}`; installed: {installed}. `sandbox runtime add` installs one")]
    Unknown {
        /// The requested name.
        name: String,
        /// The installed runtimes.
        installed: String,
    },
    /// The home directory.
    #[error(transparent)]
    Home(#[from] crate::home::HomeError),
    /// Its files differ from what was installed.
    #[error("runtime `{name}` is damaged: {problem}. Remove it and add it again")]
    Damaged {
        /// The runtime.
        name: String,
        /// The problem.
        problem: String,
    },
}

/// An installed interpreter.
#[derive(Debug)]
pub struct Runtime {
    directory: PathBuf,
    manifest: Manifest,
    manifest_sha256: Sha256,
}

impl Runtime {
    /// The installed runtime of that name.
    ///
    /// # Errors
    /// If it is not installed or is damaged.
    #[expect(clippy::disallowed_methods, reason = "a directory in the home")]
    pub fn find(home: &Home, name: &str) -> Result<Self, RuntimeError> {
        let runtimes = home.runtimes()?;
        if !manifest::is_name(name) || !runtimes.join(name).is_dir() {
            let names: Vec<String> = list(home)?.into_iter().map(|installed| installed.manifest.name).collect();
            let installed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(RuntimeError::Unknown { name: escape(name.as_bytes(), 64).to_string(), installed });
        }
        Self::open(&runtimes.join(name), name)
    }

    pub(super) fn open(directory: &Path, name: &str) -> Result<Self, RuntimeError> {
        let damaged = |problem: String| RuntimeError::Damaged { name: name.to_owned(), problem };
        let text = open_regular(&directory.join(manifest::FILE))
            .and_then(|mut file| read_bounded(&mut file, MAX_MANIFEST_BYTES))
            .map_err(|error| damaged(error.to_string()))?;
        let manifest = Manifest::parse(&text).map_err(|error| damaged(error.to_string()))?;
        if manifest.name != name {
            return Err(damaged("its manifest belongs to another runtime".to_owned()));
        }
        Ok(Self { directory: directory.to_owned(), manifest, manifest_sha256: crate::hash::sha256_bytes(&text) })
    }

    /// Its entry in the report of a run.
    #[must_use]
    pub fn report(&self) -> RuntimeReport {
        RuntimeReport {
            name: self.manifest.name.clone(),
            module_sha256: self.manifest.module.sha256,
            manifest_sha256: self.manifest_sha256,
        }
    }

    /// What it needs beyond the limits of an ordinary algorithm.
    #[must_use]
    pub fn needs(&self) -> &Needs {
        &self.manifest.needs
    }

    /// Digest of its module.
    #[must_use]
    pub fn module_sha256(&self) -> Sha256 {
        self.manifest.module.sha256
    }

    /// The role that admission checks its module for.
    #[must_use]
    pub fn role(&self) -> Role {
        Role::Runtime { trap: self.manifest.trap.clone(), start: self.manifest.start.clone() }
    }

    pub(crate) fn start(&self) -> Start {
        Start::Module { exports: self.manifest.start.clone(), trap: self.manifest.trap.clone() }
    }

    /// The file that an author's folder must have at its top, if this runtime takes folders.
    #[must_use]
    pub fn folder_entry(&self) -> Option<&str> {
        self.manifest.folder_entry.as_deref()
    }

    /// Its arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        self.manifest.arguments.clone()
    }

    /// The environment variables that it adds.
    pub fn environment(&self) -> impl Iterator<Item = (String, String)> {
        self.manifest.environment.iter().map(|(name, value)| (name.clone(), value.clone()))
    }

    pub(crate) fn placed(&self) -> impl Iterator<Item = Placed> {
        let within = |path: &str| {
            let inside = |other: &SupportFile| !other.unpack && path.starts_with(&format!("{}/", other.guest));
            self.manifest.files.iter().any(inside)
        };
        let files = self.manifest.files.iter().map(move |file| {
            let path = file.guest.clone();
            if file.unpack {
                Placed::Archive(Archive { through: within(&path), path, entry: None })
            } else {
                Placed::File(path)
            }
        });
        files.chain(self.manifest.directories.iter().cloned().map(Placed::Empty))
    }

    /// Opens its module after verifying the digest.
    ///
    /// # Errors
    /// If it differs from what was installed.
    pub fn open_module(&self) -> Result<File, RuntimeError> {
        self.open_verified(manifest::MODULE, self.manifest.module.sha256)
    }

    /// Opens its support files after verifying their digests, in the manifest's order.
    ///
    /// # Errors
    /// If one differs from what was installed.
    pub fn open_files(&self) -> Result<Vec<File>, RuntimeError> {
        let files = self.manifest.files.iter().enumerate();
        files.map(|(number, file)| self.open_verified(&manifest::file_name(number), file.sha256)).collect()
    }

    fn open_verified(&self, name: &str, expected: Sha256) -> Result<File, RuntimeError> {
        let damaged = |problem: String| RuntimeError::Damaged { name: self.manifest.name.clone(), problem };
        let open = || -> io::Result<(File, Sha256)> {
            let file = open_regular(&self.directory.join(name))?;
            let (found, _) = sha256(&file)?;
            Ok((file, found))
        };
        let (file, found) = open().map_err(|error| damaged(format!("`{name}`: {error}")))?;
        if found == expected { Ok(file) } else { Err(damaged(format!("`{name}` has changed (sha256 {found})"))) }
    }
}
