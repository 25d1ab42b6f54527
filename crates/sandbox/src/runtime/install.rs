#![expect(clippy::disallowed_methods, reason = "installs into the home directory, from files that the operator names")]

use super::{
    Manifest, Runtime, RuntimeError,
    installed_files::copy_installed,
    manifest::{FILE, MODULE, SNAPSHOT, file_name},
    snapshot,
};
use crate::{
    compiler::inspect,
    hash::{sha256, sha256_bytes},
    home::Home,
    host_file::open_regular,
    supervisor::Observer,
};
use cloister_model::{Limits, Outcome, Sha256, escape};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Why a runtime could not be installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Neither a built-in name nor a file.
    #[error("`{0}` is neither a built-in runtime ({known}) nor a manifest file", known = Manifest::KNOWN.join(", "))]
    Unknown(String),
    /// The manifest is invalid.
    #[error("{0}")]
    Manifest(String),
    /// pip failed.
    #[error(
        "`{command}` failed: {problem}. Install pip (Debian: python3-pip), or download the wheel and give --wheel FILE"
    )]
    Pip {
        /// The command.
        command: String,
        /// How it ended.
        problem: String,
    },
    /// The digest of a file differs from the manifest.
    #[error("`{file}` has sha256 {found}, the manifest names {expected}: not installed")]
    Digest {
        /// The file.
        file: String,
        /// The digest of the file.
        found: Sha256,
        /// The digest in the manifest.
        expected: Sha256,
    },
    /// Its module cannot run as the manifest says.
    #[error(
        "the module cannot run as the manifest says: not installed. Correct `start`, `trap` or `needs` of the manifest. {0}"
    )]
    Admission(Outcome),
    /// The process that checks modules failed.
    #[error("cannot check the module: {0:#}")]
    Check(anyhow::Error),
    /// The archive cannot be read.
    #[error("the wheel cannot be read: {0}")]
    Archive(String),
    /// The file system refused an operation.
    #[error("`{path}`: {error}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The home directory.
    #[error(transparent)]
    Home(#[from] crate::home::HomeError),
    /// The runtime is not installed or is damaged.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// An installed runtime.
#[derive(Debug)]
pub struct Installed {
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether it was installed before, unchanged.
    pub was_there: bool,
}

/// Installs a runtime: `what` is the name of a built-in manifest or the path of a manifest file. `wheel` replaces the
/// download with pip. In both cases the digest of the wheel must match the manifest. Without `wheel`, nothing is downloaded if an
/// installed runtime has the same files.
///
/// # Errors
/// If anything differs from the manifest, or the module cannot run as the manifest says. In this case nothing is left behind.
pub fn add(
    home: &Home,
    what: &str,
    wheel: Option<&Path>,
    say: &mut dyn FnMut(&str),
    observer: &mut dyn Observer,
) -> Result<Installed, InstallError> {
    let text = match Manifest::known(what) {
        Some(text) => text.to_vec(),
        None => fs::read(what).map_err(|_| InstallError::Unknown(escape(what.as_bytes(), 200).to_string()))?,
    };
    let manifest = Manifest::parse(&text).map_err(|error| InstallError::Manifest(error.to_string()))?;
    let runtimes = home.runtimes()?;
    let target = runtimes.join(&manifest.name);
    if let Ok(installed) = Runtime::find(home, &manifest.name)
        && installed.manifest == manifest
        && installed.open_module().is_ok()
        && installed.open_files().is_ok()
    {
        return Ok(Installed { manifest, was_there: true });
    }
    let draft = runtimes.join(format!(".{}-{}", manifest.name, std::process::id()));
    let fault = |error| InstallError::Io { path: draft.clone(), error };
    let _ = fs::remove_dir_all(&draft);
    fs::create_dir(&draft).map_err(fault)?;
    let filled = fill(home, &draft, &manifest, &text, wheel, say).and_then(|()| {
        let runtime = Runtime::open(&draft, &manifest.name)?;
        runtime.write_codes(home)?;
        check(&runtime, observer)?;
        add_snapshot(home, &runtime, say, observer)?;
        // With a snapshot, another module is started, at other exports.
        let complete = Runtime::open(&draft, &manifest.name)?;
        if complete.snapshot().is_some() {
            check(&complete, observer)?;
        }
        if target.exists() {
            fs::remove_dir_all(&target).map_err(fault)?;
        }
        fs::rename(&draft, &target).map_err(fault)
    });
    if filled.is_err() {
        let _ = fs::remove_dir_all(&draft);
    }
    filled.map(|()| Installed { manifest, was_there: false })
}

fn fill(
    home: &Home,
    draft: &Path,
    manifest: &Manifest,
    text: &[u8],
    wheel: Option<&Path>,
    say: &mut dyn FnMut(&str),
) -> Result<(), InstallError> {
    if let Some(wheel) = wheel {
        unpack(wheel, draft, manifest, say)?;
    } else if let Some(name) = copy_installed(home, draft, manifest) {
        say(&format!("copied the files of `{name}`, which are the same: nothing is downloaded"));
    } else {
        let downloaded = draft.join("download");
        let wheel = download(manifest, &downloaded, say)?;
        unpack(&wheel, draft, manifest, say)?;
        fs::remove_dir_all(&downloaded).map_err(|error| InstallError::Io { path: downloaded, error })?;
    }
    let path = draft.join(FILE);
    fs::write(&path, text).map_err(|error| InstallError::Io { path, error })
}

/// Takes the module and the files of a manifest out of its wheel.
fn unpack(wheel: &Path, draft: &Path, manifest: &Manifest, say: &mut dyn FnMut(&str)) -> Result<(), InstallError> {
    say(&format!("verifying and unpacking {}", wheel.file_name().unwrap_or_default().to_string_lossy()));
    let io_fault = |error| InstallError::Io { path: wheel.to_owned(), error };
    let file = open_regular(wheel).map_err(io_fault)?;
    let (found, _) = sha256(&file).map_err(io_fault)?;
    if found != manifest.source.sha256 {
        let file = wheel.display().to_string();
        return Err(InstallError::Digest { file, found, expected: manifest.source.sha256 });
    }
    let mut archive = zip::ZipArchive::new(file).map_err(|error| InstallError::Archive(error.to_string()))?;
    let files = manifest.files.iter().enumerate();
    let files = files.map(|(number, file)| (&file.archive, file.member.as_ref(), file_name(number), file.sha256));
    let module = (&manifest.module.archive, None, MODULE.to_owned(), manifest.module.sha256);
    for (member, inner, name, expected) in std::iter::once(module).chain(files) {
        let path = draft.join(&name);
        let fault = |error| InstallError::Io { path: path.clone(), error };
        extract(&mut archive, member, &path)?;
        if let Some(inner) = inner {
            let outer = draft.join("outer");
            fs::rename(&path, &outer).map_err(fault)?;
            let file = open_regular(&outer).map_err(fault)?;
            let inside = zip::ZipArchive::new(file);
            extract(&mut inside.map_err(|e| InstallError::Archive(format!("`{member}`: {e}")))?, inner, &path)?;
            fs::remove_file(&outer).map_err(fault)?;
        }
        let (found, _) = open_regular(&path).and_then(|file| sha256(&file)).map_err(fault)?;
        if found != expected {
            return Err(InstallError::Digest { file: member.clone(), found, expected });
        }
    }
    Ok(())
}

/// Has the compiler process check the module that runs, as before it is compiled: compiling would take minutes, and find nothing more.
///
/// `needs` has to suffice by itself for what depends on the module. A run chooses its memory, so that is not limited here.
fn check(runtime: &Runtime, observer: &mut dyn Observer) -> Result<(), InstallError> {
    let needs = runtime.needs();
    let limits = Limits {
        module_bytes: needs.module_bytes,
        table_elements: needs.table_elements,
        memory_bytes: u64::MAX,
        ..needs.raise(&Limits::default())
    };
    let module = runtime.open_module()?;
    let (_, outcome) = inspect(&module, &runtime.role(), &limits, observer).map_err(InstallError::Check)?;
    outcome.map_or(Ok(()), |outcome| Err(InstallError::Admission(outcome)))
}

/// Initialises the interpreter and keeps its state, where the manifest asks for it. Runs are right without it, and slower: if this
/// machine cannot make it as the manifest says, the interpreter is installed all the same.
fn add_snapshot(
    home: &Home,
    runtime: &Runtime,
    say: &mut dyn FnMut(&str),
    observer: &mut dyn Observer,
) -> Result<(), InstallError> {
    let Some(wanted) = &runtime.manifest.snapshot else { return Ok(()) };
    say("starting the interpreter once, to keep its state: this takes a minute");
    let problem = match snapshot::make(home, runtime, wanted, observer) {
        Ok(made) => {
            let found = sha256_bytes(&made);
            if found == wanted.sha256 {
                let path = runtime.directory.join(SNAPSHOT);
                return fs::write(&path, made).map_err(|error| InstallError::Io { path, error });
            }
            format!("it has sha256 {found}, and the manifest names {}", wanted.sha256)
        }
        Err(error) => format!("{error:#}"),
    };
    say(&format!("scripts will start slowly, because the state cannot be kept: {problem}"));
    Ok(())
}

/// Writes one file of an archive to a new file.
fn extract(archive: &mut zip::ZipArchive<File>, member: &str, path: &Path) -> Result<(), InstallError> {
    let fault = |error| InstallError::Io { path: path.to_owned(), error };
    let mut source = archive.by_name(member).map_err(|e| InstallError::Archive(format!("`{member}`: {e}")))?;
    io::copy(&mut source, &mut File::create_new(path).map_err(fault)?).map_err(fault)?;
    Ok(())
}

/// Downloads the wheel with pip, because this program contains no HTTP client.
fn download(manifest: &Manifest, directory: &Path, say: &mut dyn FnMut(&str)) -> Result<PathBuf, InstallError> {
    let requirement = format!("{}=={}", manifest.source.pypi, manifest.source.version);
    let arguments = [
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--quiet",
        "--dest",
    ];
    let command = format!("python3 {} DIR {requirement}", arguments.join(" "));
    say(&format!("downloading {requirement} with pip"));
    let failed = |problem: String| InstallError::Pip { command: command.clone(), problem };
    let status = Command::new("python3")
        .args(arguments)
        .arg(directory)
        .arg(&requirement)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    let mut entries = fs::read_dir(directory).map_err(|error| failed(error.to_string()))?;
    match entries.next() {
        Some(Ok(entry)) => Ok(entry.path()),
        _ => Err(failed("it downloaded no file".to_owned())),
    }
}

/// The installed runtimes, by name.
///
/// # Errors
/// If the directory cannot be read or a runtime is damaged.
pub fn list(home: &Home) -> Result<Vec<Installed>, RuntimeError> {
    let runtimes = home.runtimes()?;
    let fault = |error| RuntimeError::Home(crate::home::HomeError::Io { path: runtimes.clone(), error });
    let mut installed = Vec::new();
    for entry in fs::read_dir(&runtimes).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            let manifest = Runtime::open(&runtimes.join(&name), &name)?.manifest;
            installed.push(Installed { manifest, was_there: true });
        }
    }
    installed.sort_by(|a, b| a.manifest.name.cmp(&b.manifest.name));
    Ok(installed)
}

/// Removes an installed runtime. Its compiled artifacts stay until the cache evicts them.
///
/// # Errors
/// If no runtime has that name.
pub fn remove(home: &Home, name: &str) -> Result<(), InstallError> {
    Runtime::find(home, name).map(|_| ()).or_else(|error| match error {
        RuntimeError::Damaged { .. } => Ok(()),
        other => Err(other),
    })?;
    let path = home.runtimes()?.join(name);
    fs::remove_dir_all(&path).map_err(|error| InstallError::Io { path, error })
}
