//! The command line: one file for each subcommand.

mod claim;
mod compile;
mod inspect;
mod limits;
mod probe;
mod progress;
mod reserve;
mod run;
mod runtime;
mod show;

use clap::{Parser, Subcommand};
use cloister_model::{Outcome, escape};
use cloister_sandbox::{
    artifact::read_bounded,
    home::{Home, HomeError, open_regular},
    runtime::{InstallError, RuntimeError},
    supervisor::{InputError, JobError},
};
use serde::de::DeserializeOwned;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The guest exited with another code than 0, or crashed.
const ALGORITHM_FAILED: u8 = 1;
/// Bad usage: the command line, or a file it names. clap uses the same code.
const USAGE: u8 = 2;
/// A limit was met.
const LIMIT: u8 = 3;
/// Refused at admission.
const REFUSED: u8 = 4;
/// `--require-isolation`, and a wall is missing.
const NOT_ISOLATED: u8 = 5;
/// `--claim`, and another run has it.
const CLAIMED: u8 = 6;
/// Ours (`EX_SOFTWARE`).
pub(crate) const HOST_FAULT: u8 = 70;

const EXIT_CODES: &str = "\
Exit codes:
  0   the algorithm succeeded
  1   the algorithm failed: another exit code than 0, or a crash
  2   bad usage: the command line, or a file it names
  3   a limit was met
  4   the algorithm was refused at admission
  5   a wall is missing and --require-isolation was given
  6   the --claim is taken: this run was begun before
  70  a fault of this host, not of the algorithm";

/// Run a WebAssembly algorithm on a dataset, sealed: it can read the dataset, write results within a budget, and nothing
/// else.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version, after_help = EXIT_CODES)]
struct Arguments {
    /// Where compiled artifacts and runtimes are kept [default: $CLOISTER_SANDBOX_HOME, else
    /// cloister in $XDG_DATA_HOME, else ~/.local/share/cloister]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Inspect(inspect::Inspect),
    Compile(compile::Compile),
    Probe(probe::Probe),
    /// Interpreters, so that authors can supply scripts
    #[command(subcommand)]
    Runtime(runtime::Runtime),
}

/// Reads the command line, does what it says, and answers with the exit code.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let home = || Home::find(arguments.home.as_deref(), |name| std::env::var_os(name).map(PathBuf::from));
    let code = match arguments.command {
        Command::Run(command) => command.execute(home),
        Command::Inspect(command) => command.execute(home),
        Command::Compile(command) => command.execute(home),
        Command::Probe(command) => command.execute(),
        Command::Runtime(command) => command.execute(home),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        code_of(&error)
    }))
}

/// The exit code for an error: bad usage if whoever called can set it right, else ours.
fn code_of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(JobError::NotIsolated(_)) = cause.downcast_ref() {
            return NOT_ISOLATED;
        }
        if cause.is::<claim::Claimed>() {
            return CLAIMED;
        }
        if cause.is::<JobError>()
            || cause.is::<InputError>()
            || cause.is::<HomeError>()
            || cause.is::<RuntimeError>()
            || cause.is::<InstallError>()
            || cause.is::<Usage>()
        {
            return USAGE;
        }
    }
    HOST_FAULT
}

/// The exit code for how a run ended.
fn code_for(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Succeeded => 0,
        Outcome::AlgorithmFailed { .. } | Outcome::Crashed { .. } => ALGORITHM_FAILED,
        Outcome::LimitExceeded { .. } => LIMIT,
        Outcome::Refused { .. } => REFUSED,
        Outcome::HostFault { .. } => HOST_FAULT,
    }
}

/// Something on the command line that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

impl Usage {
    fn file(what: &str, path: &Path, problem: impl std::fmt::Display) -> anyhow::Error {
        Self(format!("{what} `{}`: {problem}", path.display())).into()
    }
}

/// The most bytes of a JSON file that the command line names.
const MAX_JSON_BYTES: u64 = 1024 * 1024;

/// A JSON object in a file.
fn read_json<T: DeserializeOwned>(what: &str, path: &Path) -> anyhow::Result<T> {
    let wrong = |problem: &dyn std::fmt::Display| Usage::file(what, path, problem);
    let mut file = open_regular(path).map_err(|error| wrong(&error))?;
    let bytes = read_bounded(&mut file, MAX_JSON_BYTES).map_err(|error| wrong(&error))?;
    // serde would take a list for an object without names.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(wrong(&"expected a JSON object: { ... }"));
    }
    serde_json::from_slice(&bytes).map_err(|error| wrong(&error))
}

/// One line on stderr, whatever names are in it.
fn complain(message: &str) {
    // Names that were escaped already keep their backslashes.
    let pieces: Vec<String> = message.split('\\').map(|piece| escape(piece.as_bytes(), 4000).to_string()).collect();
    let _ = writeln!(std::io::stderr().lock(), "sandbox: {}", pieces.join("\\"));
}

/// Text on stdout. A reader that went away is no error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
