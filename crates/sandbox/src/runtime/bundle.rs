//! Bundles: an interpreter together with its compiled code, made once for a release and used by many homes and machines.
//!
//! Compiling an interpreter takes minutes. A home keeps the result for itself, authenticated with its own key; a pod that
//! starts with an empty home would compile again. A bundle is a directory that any number of homes read. Its root of trust
//! is the digest of its index, which the operator hands to every run: the index holds the digests of everything else.

#![expect(clippy::disallowed_methods, reason = "reads and writes the directory that the operator names")]

use super::{
    Checks, Runtime, RuntimeError,
    manifest::{FILE, file_name},
};
use crate::{
    cache::{Artifact, AuthenticatedCode, Cache},
    compiler::{Compiled, artifact_name, compile},
    engine::{EngineSettings, Target},
    hash::{Blake3, blake3, sha256, sha256_bytes},
    home::Home,
    host_file::{open_regular, read_bounded},
    supervisor::Observer,
};
use anyhow::Context as _;
use cloister_model::{Admission, Limits, Profile, Sha256, escape};
use rustix::fs::StatVfsMountFlags;
use serde::{Deserialize, Serialize};
use std::{
    fmt::Display,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// The file name of the index in a bundle, and in an interpreter that was installed from one.
pub(super) const INDEX: &str = "bundle.json";
/// The most bytes in an index.
const MAX_INDEX_BYTES: u64 = 16 * 1024 * 1024;
const VERSION: &str = "cloister.dev/runtime-bundle/v2";

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file of it cannot be read or written.
    #[error("bundle `{path}`: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The digest of a file is not the one that the operator or the index names.
    #[error("bundle `{path}` has {found}, and {expected} is trusted: it was changed, or belongs to another release")]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest of the file, with the name of its function.
        found: String,
        /// The trusted digest.
        expected: String,
    },
    /// Another user could change the code between its verification and its use.
    #[error("bundle `{0}` can be changed by another user: `chown root` and `chmod 644` it, or mount it read-only")]
    Writable(PathBuf),
    /// The index has another form.
    #[error("bundle `{path}`: {problem}. Make the bundle with this version of `sandbox runtime bundle`")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It was compiled for other settings.
    #[error("the bundle has no code for {wanted}; it has {present}. Make one with `sandbox runtime bundle --profile`")]
    Settings {
        /// The settings of the run.
        wanted: String,
        /// Those of the bundle.
        present: String,
    },
    /// It was compiled by another engine, or for another kind of processor.
    #[error("the bundle's code does not run here: {0}. Make the bundle with this version, for this kind of processor")]
    Machine(String),
    /// Its manifest or a file of the interpreter is damaged.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// The index of a bundle.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Index {
    version: String,
    name: String,
    manifest_sha256: Sha256,
    /// Whether the code is the snapshot's.
    #[serde(default)]
    snapshot: bool,
    code: Vec<Code>,
    /// Those of the interpreter's files, in the manifest's order.
    files: Vec<Blake3>,
}

/// Compiled code in a bundle.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Code {
    file: String,
    blake3: Blake3,
    settings: EngineSettings,
    target: Target,
    admission: Admission,
}

/// A bundle whose index has the digest that the operator trusts.
#[derive(Debug)]
pub struct Bundle {
    directory: PathBuf,
    index: Index,
}

impl Bundle {
    /// Opens the bundle in a directory. `trusted` is the digest of its index.
    ///
    /// # Errors
    /// If the index has another digest, or cannot be read.
    pub fn open(directory: &Path, trusted: Sha256) -> Result<Self, BundleError> {
        let path = directory.join(INDEX);
        let text = open_regular(&path)
            .and_then(|mut file| read_bounded(&mut file, MAX_INDEX_BYTES))
            .map_err(|error| BundleError::Io { path: path.clone(), error })?;
        let found = sha256_bytes(&text);
        if found != trusted {
            return Err(different(path, "sha256", found, trusted));
        }
        let form = |problem: String| BundleError::Form { path: path.clone(), problem };
        let index: Index = serde_json::from_slice(&text).map_err(|error| form(error.to_string()))?;
        if index.version != VERSION {
            return Err(form(format!("its version is `{}`, not `{VERSION}`", escape(index.version.as_bytes(), 64))));
        }
        Ok(Self { directory: directory.to_owned(), index })
    }

    /// Its interpreter. The module itself is not in a bundle.
    ///
    /// # Errors
    /// If the manifest differs from the index.
    pub fn runtime(&self) -> Result<Runtime, BundleError> {
        let path = self.directory.join(FILE);
        let expected = self.index.manifest_sha256;
        let verified = |found| {
            if found == expected { Ok(()) } else { Err(different(path.clone(), "sha256", found, expected)) }
        };
        let digest = open_regular(&path).and_then(|file| sha256(&file));
        verified(digest.map_err(|error| BundleError::Io { path: path.clone(), error })?.0)?;
        let runtime = Runtime {
            has_snapshot: self.index.snapshot,
            checks: Checks::Digests(self.index.files.clone()),
            ..Runtime::open(&self.directory, &self.index.name)?
        };
        verified(runtime.manifest_sha256)?;
        Ok(runtime)
    }

    /// The code for these settings, and where it runs.
    ///
    /// # Errors
    /// If there is none for these settings or this machine, or its bytes differ from the index.
    pub fn code(&self, settings: EngineSettings) -> Result<(Artifact, Target), BundleError> {
        let Some(code) = self.index.code.iter().find(|code| code.settings == settings) else {
            let present: Vec<_> = self.index.code.iter().map(|code| described(code.settings)).collect();
            return Err(BundleError::Settings { wanted: described(settings), present: present.join(", ") });
        };
        code.target.check().map_err(BundleError::Machine)?;
        let path = self.directory.join(&code.file);
        let fault = |error| BundleError::Io { path: path.clone(), error };
        let file = open_regular(&path).map_err(fault)?;
        if !is_stable(&file).map_err(fault)? {
            return Err(BundleError::Writable(path));
        }
        let (code_of_operator, found, bytes) = AuthenticatedCode::trusted(file, code.blake3).map_err(fault)?;
        let Some(authenticated) = code_of_operator else {
            return Err(different(path, "blake3", found, code.blake3));
        };
        Ok((Artifact { admission: code.admission.clone(), code: authenticated, bytes }, code.target.clone()))
    }
}

fn different(path: PathBuf, function: &str, found: impl Display, expected: impl Display) -> BundleError {
    BundleError::Digest { path, found: format!("{function} {found}"), expected: expected.to_string() }
}

/// Whether no other user can change the file, so that its bytes stay what was verified.
fn is_stable(file: &File) -> io::Result<bool> {
    if rustix::fs::fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(true);
    }
    let metadata = file.metadata()?;
    let is_ours = metadata.uid() == 0 || metadata.uid() == rustix::process::geteuid().as_raw();
    Ok(is_ours && metadata.mode() & 0o022 == 0)
}

fn described(settings: EngineSettings) -> String {
    let EngineSettings { profile, exceptions: _, fuel } = settings;
    format!("the {profile} profile {} a fuel limit", if fuel { "with" } else { "without" })
}

/// Whether the interpreter in a directory was installed from a bundle of its snapshot.
pub(super) fn has_snapshot_of_bundle(directory: &Path) -> bool {
    let text = open_regular(&directory.join(INDEX)).and_then(|mut file| read_bounded(&mut file, MAX_INDEX_BYTES));
    let index = text.ok().and_then(|text| serde_json::from_slice::<Index>(&text).ok());
    index.is_some_and(|index| index.snapshot)
}

/// Installs the interpreter of a bundle with its compiled code: nothing is downloaded or compiled. `trusted` is the digest of its index.
/// Returns its name.
///
/// What is installed has no module, so runs with settings that the bundle has no code for need another installation.
///
/// # Errors
/// If the bundle is not the trusted one, or was made for another engine or kind of processor. In this case nothing is left behind.
pub fn add_bundle(home: &Home, directory: &Path, trusted: Sha256) -> anyhow::Result<String> {
    let bundle = Bundle::open(directory, trusted)?;
    let name = bundle.index.name.clone();
    for code in &bundle.index.code {
        code.target.check().map_err(BundleError::Machine)?;
        if code.target != code.settings.target() {
            return Err(BundleError::Machine("it was compiled for other features of the processor".to_owned()).into());
        }
    }
    let runtimes = home.runtimes()?;
    let draft = runtimes.join(format!(".{name}-{}", std::process::id()));
    let fault = |error| BundleError::Io { path: draft.clone(), error };
    let _ = fs::remove_dir_all(&draft);
    fs::create_dir(&draft).map_err(fault)?;
    let installed = bundle.install(home, &draft).and_then(|()| {
        let target = runtimes.join(&name);
        if target.exists() {
            fs::remove_dir_all(&target).map_err(fault)?;
        }
        Ok(fs::rename(&draft, &target).map_err(fault)?)
    });
    if installed.is_err() {
        let _ = fs::remove_dir_all(&draft);
    }
    installed.map(|()| name)
}

impl Bundle {
    /// Copies the files into a draft and the code into the cache of a home, and verifies the copies.
    fn install(&self, home: &Home, draft: &Path) -> anyhow::Result<()> {
        let ours = self.runtime()?;
        for name in [FILE, INDEX] {
            copy(&open_regular(&self.directory.join(name))?, &draft.join(name))?;
        }
        for (number, file) in ours.open_files()?.iter().enumerate() {
            copy(file, &draft.join(file_name(number)))?;
        }
        let installed = Runtime::open(draft, &self.index.name)?;
        let path = draft.join(FILE);
        let found = installed.manifest_sha256;
        if found != self.index.manifest_sha256 {
            return Err(different(path, "sha256", found, self.index.manifest_sha256).into());
        }
        // By their SHA-256 digests in the manifest.
        installed.open_files()?;
        installed.write_codes(home)?;
        let cache = Cache::open(home)?;
        for code in &self.index.code {
            let path = self.directory.join(&code.file);
            let fault = |error| BundleError::Io { path: path.clone(), error };
            let source = open_regular(&path).map_err(fault)?;
            let name = artifact_name(installed.module_sha256(), code.settings, &installed.role())?;
            if let Err(found) = cache.keep_trusted(name, code.admission.clone(), &source, code.blake3)? {
                return Err(different(path, "blake3", found, code.blake3).into());
            }
        }
        Ok(())
    }
}

/// Makes a bundle of an installed runtime in a new directory, for runs of these profiles without a fuel limit. Returns the
/// digest of its index: what a run is to trust.
///
/// # Errors
/// If the runtime is not installed or does not compile, or the directory exists.
pub fn bundle(
    home: &Home,
    name: &str,
    directory: &Path,
    profiles: &[Profile],
    observer: &mut dyn Observer,
) -> anyhow::Result<Sha256> {
    let runtime = Runtime::find(home, name)?;
    let fault = |error| BundleError::Io { path: directory.to_owned(), error };
    fs::create_dir(directory).map_err(fault)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).map_err(fault)?;
    let made = fill(home, &runtime, directory, profiles, observer);
    if made.is_err() {
        let _ = fs::remove_dir_all(directory);
    }
    made
}

fn fill(
    home: &Home,
    runtime: &Runtime,
    directory: &Path,
    profiles: &[Profile],
    observer: &mut dyn Observer,
) -> anyhow::Result<Sha256> {
    let limits = runtime.needs().raise(&Limits::default());
    let cache = Cache::open(home)?;
    let mut index = Index {
        version: VERSION.to_owned(),
        name: runtime.manifest.name.clone(),
        manifest_sha256: runtime.manifest_sha256,
        snapshot: runtime.has_snapshot,
        code: Vec::new(),
        files: Vec::new(),
    };
    for &profile in profiles {
        let settings = EngineSettings { profile, exceptions: true, fuel: false };
        let module = || Ok(runtime.open_module()?);
        let digest = runtime.module_sha256();
        match compile(&cache, module, digest, &runtime.role(), settings, &limits, observer)? {
            Compiled::Not { outcome, .. } => anyhow::bail!("the interpreter does not compile: {}", outcome),
            Compiled::Ready { artifact, .. } => {
                let file = format!("{profile}.cwasm");
                let blake3 = copy(&artifact.code.into_file(), &directory.join(&file))?;
                let target = settings.target();
                index.code.push(Code { file, blake3, settings, target, admission: artifact.admission });
            }
        }
    }
    for (number, file) in runtime.open_files()?.iter().enumerate() {
        index.files.push(copy(file, &directory.join(file_name(number)))?);
    }
    copy(&open_regular(&runtime.directory.join(FILE))?, &directory.join(FILE))?;
    // Written last: it marks a complete bundle.
    let text = serde_json::to_vec_pretty(&index)?;
    io::Write::write_all(&mut create(&directory.join(INDEX))?, &text)?;
    Ok(sha256_bytes(&text))
}

/// Copies a file, regardless of its position. Returns the digest of the copy.
fn copy(from: &File, path: &Path) -> anyhow::Result<Blake3> {
    let mut source = from.try_clone()?;
    io::Seek::rewind(&mut source)?;
    let mut to = create(path)?;
    io::copy(&mut source, &mut to).with_context(|| format!("writing `{}`", path.display()))?;
    Ok(blake3(&to)?.0)
}

/// A file that its users, who are not this one, can read.
fn create(path: &Path) -> Result<File, BundleError> {
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).create_new(true).open(path);
    let opened = opened.and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o644)).map(|()| file));
    opened.map_err(|error| BundleError::Io { path: path.to_owned(), error })
}
