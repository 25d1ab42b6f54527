//! Runtimes: interpreters that the operator installs, so that authors can submit scripts.

mod bundle;
mod install;
mod installed_files;
mod keep;
mod manifest;
mod snapshot;

pub use bundle::{Bundle, BundleError, add_bundle, bundle};
pub use install::{InstallError, Installed, add, list, remove};
pub(crate) use keep::Offered;
pub use keep::{Kept, keep};
pub use manifest::{FolderEntry, Manifest, Needs, Snapshot, SupportFile, TextFile};

use crate::{
    compiler::{Role, initial_memory_bytes, sealed},
    hash::{Blake3, sha256},
    home::Home,
    host_file::{open_regular, read_bounded},
    mac::MacKey,
    worker::spec::{Archive, Placed, Start},
};
use cloister_model::{Admission, Limits, Refusal, Rule, RuntimeReport, Sha256, escape};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::fd::OwnedFd,
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
    /// It has compiled code and no module, and the code is not for this run.
    #[error(
        "runtime `{name}` was installed from a bundle, which has no code for a run with this profile and these limits, or it was evicted. \
         `sandbox runtime remove {name}` and `sandbox runtime add {name}` install all of it"
    )]
    OfBundle {
        /// The runtime.
        name: String,
    },
    /// Its files differ from what was installed.
    #[error("runtime `{name}` is damaged: {problem}. Remove it and add it again")]
    Damaged {
        /// The runtime.
        name: String,
        /// The problem.
        problem: String,
    },
}

/// The code of a support file. It holds the digest, so that it is of no use for another manifest.
fn code(key: &MacKey, sha256: Sha256, file: &File) -> io::Result<Blake3> {
    Ok(key.mac(&[b"support file", sha256.as_bytes()], file)?.0)
}

/// An installed interpreter.
#[derive(Debug)]
pub struct Runtime {
    directory: PathBuf,
    manifest: Manifest,
    manifest_sha256: Sha256,
    /// Whether runs continue from the snapshot.
    has_snapshot: bool,
    checks: Checks,
}

/// By what its support files are known to be the manifest's, faster than by their SHA-256 digests.
#[derive(Debug)]
enum Checks {
    /// By nothing else.
    Sha256,
    /// By the codes that the home made when it had compared the digests, by the files' names.
    Codes(MacKey, BTreeMap<String, Blake3>),
    /// By the digests in a trusted index, in the manifest's order.
    Digests(Vec<Blake3>),
    /// They were verified when they were copied into these sealed memory files, in the manifest's order.
    Kept(Vec<File>),
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
        let mut runtime = Self::open(&runtimes.join(name), name)?;
        runtime.checks = runtime.codes(home)?;
        Ok(runtime)
    }

    /// The codes of its files. A runtime that was installed before there were any has none.
    ///
    /// # Errors
    /// If the manifest, which may hold programs, is not the one that was installed.
    fn codes(&self, home: &Home) -> Result<Checks, RuntimeError> {
        let text = open_regular(&self.directory.join(manifest::CODES))
            .and_then(|mut file| read_bounded(&mut file, MAX_MANIFEST_BYTES));
        let codes: Option<BTreeMap<String, Blake3>> = text.ok().and_then(|text| serde_json::from_slice(&text).ok());
        let key = MacKey::of(home)?;
        let is_installed = match codes.as_ref().and_then(|codes| codes.get(manifest::FILE)) {
            Some(code) => *code == self.code_of_manifest(&key),
            // The manifests of that time held no files.
            None => self.manifest.texts.is_empty(),
        };
        if !is_installed {
            return Err(self.damaged(format!("`{}` has changed", manifest::FILE)));
        }
        Ok(codes.map_or(Checks::Sha256, |codes| Checks::Codes(key, codes)))
    }

    fn code_of_manifest(&self, key: &MacKey) -> Blake3 {
        key.code(&[b"manifest", self.manifest_sha256.as_bytes()])
    }

    /// Makes the codes of its files, whose digests must have been compared.
    #[expect(clippy::disallowed_methods, reason = "writes into a directory in the home")]
    fn write_codes(&self, home: &Home) -> Result<(), RuntimeError> {
        let damaged =
            |error: io::Error| RuntimeError::Damaged { name: self.manifest.name.clone(), problem: error.to_string() };
        let key = MacKey::of(home)?;
        let files = self.manifest.files.iter().enumerate();
        let codes = files.map(|(number, file)| {
            let name = manifest::file_name(number);
            let opened = open_regular(&self.directory.join(&name))?;
            Ok((name, code(&key, file.sha256, &opened)?))
        });
        let mut codes: BTreeMap<String, Blake3> = codes.collect::<io::Result<_>>().map_err(damaged)?;
        codes.insert(manifest::FILE.to_owned(), self.code_of_manifest(&key));
        let text = serde_json::to_vec(&codes).map_err(|error| damaged(error.into()))?;
        std::fs::write(self.directory.join(manifest::CODES), text).map_err(damaged)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a file of the runtime's own directory; it is opened without following links"
    )]
    pub(super) fn open(directory: &Path, name: &str) -> Result<Self, RuntimeError> {
        let damaged = |problem: String| RuntimeError::Damaged { name: name.to_owned(), problem };
        let text = open_regular(&directory.join(manifest::FILE))
            .and_then(|mut file| read_bounded(&mut file, MAX_MANIFEST_BYTES))
            .map_err(|error| damaged(error.to_string()))?;
        let manifest = Manifest::parse(&text).map_err(|error| damaged(error.to_string()))?;
        if manifest.name != name {
            return Err(damaged("its manifest belongs to another runtime".to_owned()));
        }
        let is_kept = || directory.join(manifest::SNAPSHOT).is_file() || bundle::has_snapshot_of_bundle(directory);
        let has_snapshot = manifest.snapshot.is_some() && is_kept();
        let manifest_sha256 = crate::hash::sha256_bytes(&text);
        Ok(Self { directory: directory.to_owned(), manifest, manifest_sha256, has_snapshot, checks: Checks::Sha256 })
    }

    /// The snapshot that runs continue from, if there is one.
    fn snapshot(&self) -> Option<&Snapshot> {
        self.manifest.snapshot.as_ref().filter(|_| self.has_snapshot)
    }

    /// Its entry in the report of a run.
    #[must_use]
    pub fn report(&self) -> RuntimeReport {
        RuntimeReport {
            name: self.manifest.name.clone(),
            module_sha256: self.manifest.module.sha256,
            manifest_sha256: self.manifest_sha256,
            snapshot_sha256: self.snapshot().map(|snapshot| snapshot.sha256),
        }
    }

    /// What it needs beyond the limits of an ordinary algorithm.
    #[must_use]
    pub fn needs(&self) -> &Needs {
        &self.manifest.needs
    }

    /// Digest of the module that runs: the interpreter, or the snapshot of it.
    #[must_use]
    pub fn module_sha256(&self) -> Sha256 {
        self.snapshot().map_or(self.manifest.module.sha256, |snapshot| snapshot.sha256)
    }

    /// The exports that start a run, in order.
    fn start_exports(&self) -> &[String] {
        self.snapshot().map_or(&self.manifest.start, |snapshot| &snapshot.start)
    }

    /// The imports that are answered with a trap.
    pub(crate) fn trapped_imports(&self) -> &[(String, String)] {
        &self.manifest.trap
    }

    /// The role that admission checks its module for.
    #[must_use]
    pub fn role(&self) -> Role {
        Role::Runtime { trap: self.manifest.trap.clone(), start: self.start_exports().to_vec() }
    }

    pub(crate) fn start(&self) -> Start {
        Start::Module { exports: self.start_exports().to_vec(), trap: self.manifest.trap.clone() }
    }

    /// Why a run with these limits does not begin, if its memory is too small for what the interpreter begins with. Authors of scripts
    /// cannot build the interpreter in another way, but may choose another one.
    pub(crate) fn refused_for_memory(&self, admission: &Admission, limits: &Limits) -> Option<Refusal> {
        let (bytes, allowed) = (initial_memory_bytes(admission), limits.memory_bytes);
        if bytes <= allowed {
            return None;
        }
        let subject = format!("`{}` begins with {bytes} bytes of memory", self.manifest.name);
        let advice = match self.plainer() {
            None => format!("The limit of this run is {allowed} bytes: ask for more"),
            Some(Manifest { name, .. }) => {
                format!(
                    "The limit of this run is {allowed} bytes: ask for more, or choose `{name}`, which begins with less"
                )
            }
        };
        Some(Refusal::new(Rule::Memory, &subject, advice))
    }

    /// The built-in interpreter that has the same module and files, and no snapshot with what was imported.
    fn plainer(&self) -> Option<Manifest> {
        self.snapshot()?;
        let known = Manifest::KNOWN.into_iter().filter_map(Manifest::known);
        let mut known = known.filter_map(|text| Manifest::parse(text).ok());
        let Manifest { module, files, .. } = &self.manifest;
        known.find(|other| other.snapshot.is_none() && other.module == *module && other.files == *files)
    }

    /// The files of which an author's folder must have one at its top; none if this runtime takes no folders.
    #[must_use]
    pub fn folder_entries(&self) -> &[String] {
        self.manifest.folder_entry.as_ref().map(FolderEntry::names).unwrap_or_default()
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
                Placed::Archive(Archive { through: within(&path), path, entries: Vec::new() })
            } else {
                Placed::File(path)
            }
        });
        let texts = self.manifest.texts.iter().map(|text| Placed::File(text.guest.clone()));
        files.chain(texts).chain(self.manifest.directories.iter().cloned().map(Placed::Empty))
    }

    /// What it places in the tree, opened in this order: its support files, then the texts of its manifest.
    ///
    /// # Errors
    /// If a file differs from what was installed.
    pub(crate) fn open_placed(&self) -> Result<Vec<OwnedFd>, RuntimeError> {
        let mut opened: Vec<OwnedFd> = self.open_files()?.into_iter().map(OwnedFd::from).collect();
        for text in &self.manifest.texts {
            opened.push(sealed("text", &text.bytes()).map_err(|error| self.damaged(error.to_string()))?);
        }
        Ok(opened)
    }

    /// Opens its module after verifying the digest.
    ///
    /// # Errors
    /// If it differs from what was installed, or was not installed.
    #[expect(clippy::disallowed_methods, reason = "files of the runtime's own directory")]
    pub fn open_module(&self) -> Result<File, RuntimeError> {
        let name = if self.has_snapshot { manifest::SNAPSHOT } else { manifest::MODULE };
        if self.directory.join(bundle::INDEX).exists() && !self.directory.join(name).exists() {
            return Err(RuntimeError::OfBundle { name: self.manifest.name.clone() });
        }
        self.open_verified(name, self.module_sha256())
    }

    /// Opens its support files after verifying their digests, in the manifest's order.
    ///
    /// # Errors
    /// If one differs from what was installed.
    pub fn open_files(&self) -> Result<Vec<File>, RuntimeError> {
        if let Checks::Kept(files) = &self.checks {
            let files = files.iter().map(File::try_clone).collect::<io::Result<_>>();
            return files.map_err(|error| self.damaged(error.to_string()));
        }
        let files = self.manifest.files.iter().enumerate();
        files.map(|(number, file)| self.open_file(number, file.sha256)).collect()
    }

    fn open_file(&self, number: usize, expected: Sha256) -> Result<File, RuntimeError> {
        let name = manifest::file_name(number);
        if let Some(file) = self.known(&name, number, expected) {
            Ok(file)
        } else {
            self.open_verified(&name, expected)
        }
    }

    /// A support file, if it is known to be the manifest's without its SHA-256 digest.
    fn known(&self, name: &str, number: usize, expected: Sha256) -> Option<File> {
        let file = open_regular(&self.directory.join(name)).ok()?;
        self.is_known(number, expected, &file).ok()?.then_some(file)
    }

    fn is_known(&self, number: usize, expected: Sha256, file: &File) -> io::Result<bool> {
        Ok(match &self.checks {
            Checks::Sha256 | Checks::Kept(_) => false,
            Checks::Codes(key, codes) => {
                codes.get(&manifest::file_name(number)).copied() == Some(code(key, expected, file)?)
            }
            Checks::Digests(digests) => digests.get(number).copied() == Some(crate::hash::blake3(file)?.0),
        })
    }

    /// Whether a copy of a support file is what the manifest says.
    fn is_verified(&self, number: usize, expected: Sha256, copy: &File) -> io::Result<bool> {
        Ok(self.is_known(number, expected, copy)? || sha256(copy)?.0 == expected)
    }

    /// From now on, its files are these, which were verified.
    fn use_kept(&mut self, files: Vec<File>) {
        self.checks = Checks::Kept(files);
    }

    fn damaged(&self, problem: String) -> RuntimeError {
        RuntimeError::Damaged { name: self.manifest.name.clone(), problem }
    }

    fn open_verified(&self, name: &str, expected: Sha256) -> Result<File, RuntimeError> {
        let damaged = |problem: String| self.damaged(problem);
        let open = || -> io::Result<(File, Sha256)> {
            let file = open_regular(&self.directory.join(name))?;
            let (found, _) = sha256(&file)?;
            Ok((file, found))
        };
        let (file, found) = open().map_err(|error| damaged(format!("`{name}`: {error}")))?;
        if found == expected { Ok(file) } else { Err(damaged(format!("`{name}` has changed (sha256 {found})"))) }
    }
}
