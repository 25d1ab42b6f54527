//! The `sandbox` program: started so that it outlives this one, found again by the next, and never started twice.
//!
//! Every run has a folder. Two files in it say what became of the run, whoever asks and whenever:
//!
//! - `claim`: made by the sandbox before it does anything, with the number of its process in it. It can be made once. Not
//!   there: nothing was run yet.
//! - `run.lock`: locked, by the open file that is the sandbox's stdout. The kernel frees it when the sandbox has ended,
//!   however it does.

mod outcome;
mod stop;
mod trace;

pub(crate) use outcome::{event_of, without_report};
pub(crate) use stop::stop;
pub(crate) use trace::{Trace, has_ended, look, said};

use cloister_model::{Did, InterpreterId, Limits, OutputContract, Profile};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::{Child, Command};

const CLAIM: &str = "claim";
const LOCK: &str = "run.lock";
const REPORT: &str = "report.json";
const COMPLAINTS: &str = "complaints";
pub(crate) const LOG: &str = "log";
pub(crate) const OUTPUTS: &str = "outputs";
pub(crate) const DATA: &str = "data";

/// One run, in its folder, where `data` lies already.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) folder: PathBuf,
    /// The algorithm's file: absolute, or in the folder.
    pub(crate) algorithm: PathBuf,
    /// What it is published as.
    pub(crate) did: Option<Did>,
    /// In the order of `DIDS`.
    pub(crate) datasets: Vec<Did>,
    pub(crate) contract: OutputContract,
    pub(crate) limits: Limits,
    pub(crate) profile: Profile,
    pub(crate) interpreter: Option<InterpreterId>,
}

/// The program, and where it keeps what outlives a run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    home: PathBuf,
}

impl Program {
    /// Finds the program.
    ///
    /// # Errors
    /// If there is no such program, in words for its operator.
    pub(crate) fn find(path: &Path, home: PathBuf) -> Result<Self, String> {
        let path = path.canonicalize().map_err(|error| error.to_string())?;
        let executable = rustix::fs::access(&path, rustix::fs::Access::EXEC_OK).is_ok();
        if !path.is_file() || !executable {
            return Err("it is no program that this user may run".to_owned());
        }
        Ok(Self { path, home })
    }

    /// Starts a run. The lock is the child's alone when this returns.
    ///
    /// # Errors
    /// `WouldBlock` if a run of this folder goes on. Whatever else keeps a process from being started.
    pub(crate) fn start(&self, order: &Order) -> io::Result<Child> {
        let Order { folder, algorithm, did, datasets, contract, limits, profile, interpreter } = order;
        let lock = file(&folder.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        write(&folder.join("contract.json"), &serde_json::to_vec(contract)?)?;
        write(&folder.join("limits.json"), &serde_json::to_vec(limits)?)?;
        let dids: Vec<&str> = datasets.iter().map(Did::id).collect();
        let mut command = Command::new(&self.path);
        command
            .arg("run")
            .arg(algorithm)
            .args(["--data", DATA, "--outputs", OUTPUTS, "--contract", "contract.json", "--limits", "limits.json"])
            .args(["--profile", profile.as_str(), "--report", REPORT, "--log", LOG, "--claim", CLAIM])
            .args(["--json", "--require-isolation", "--home"])
            .arg(&self.home)
            .args(["--dids", &dids.join(",")]);
        if let Some(did) = did {
            command.args(["--did", did.id()]);
        }
        if let Some(name) = interpreter {
            command.args(["--runtime", name.as_str()]);
        }
        // A group of its own: what ends this program from a terminal does not end a run.
        command
            .current_dir(folder)
            .env_clear()
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(lock)
            .stderr(file(&folder.join(COMPLAINTS))?)
            .spawn()
    }
}

/// A file for this user alone, made if it is not there, its content left alone.
fn file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    file(path)?.write_all(bytes)
}
