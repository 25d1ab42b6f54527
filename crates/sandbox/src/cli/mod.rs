//! The command line, one file for each subcommand.

mod claim;
mod compile;
mod inspect;
mod limits;
mod message;
mod probe;
mod progress;
mod reserve;
mod run;
mod runtime;
mod show;
mod wait;

use clap::{CommandFactory as _, Parser, Subcommand};
use cloister_model::{Outcome, escape};
use cloister_sandbox::{
    home::{Home, HomeError},
    host_file::{open_regular, read_bounded},
    runtime::{BundleError, InstallError, RuntimeError},
    supervisor::{InputError, JobError},
};
use serde::de::DeserializeOwned;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::LazyLock,
};

/// The guest exited with a code other than 0, or crashed.
const ALGORITHM_FAILED: u8 = 1;
/// Invalid usage: the command line, or a file that it names. clap uses the same code.
const USAGE: u8 = 2;
/// A limit was exceeded.
const LIMIT: u8 = 3;
/// Refused at admission.
const REFUSED: u8 = 4;
/// A wall is missing and `--require-isolation` was given.
const NOT_ISOLATED: u8 = 5;
/// Another run holds the `--claim`.
const CLAIMED: u8 = 6;
/// A fault of this host (`EX_SOFTWARE`).
pub(crate) const HOST_FAULT: u8 = 70;

const EXIT_CODES: &str = "\
Exit codes:
  0   the algorithm succeeded
  1   the algorithm failed: a non-zero exit code, or a crash
  2   invalid usage: the command line, or a file that it names
  3   a limit was exceeded
  4   the algorithm was refused at admission
  5   a wall is missing and --require-isolation was given
  6   the --claim is taken: this run was started before
  70  a fault of this host, not of the algorithm";

/// The version, and the commit if the build was told of it: `make build` does so. Without a build script, so that a commit
/// compiles nothing again but this program.
static VERSION: LazyLock<String> = LazyLock::new(|| match option_env!("CLOISTERDEV_COMMIT") {
    None | Some("") => env!("CARGO_PKG_VERSION").to_owned(),
    Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
});

/// Run a WebAssembly algorithm on a dataset in isolation: it can read the dataset and write a bounded amount of results,
/// and nothing else.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version = VERSION.as_str(), after_help = EXIT_CODES)]
struct Arguments {
    /// The directory for compiled artifacts and runtimes [default: $CLOISTER_SANDBOX_HOME, else
    /// cloister in $XDG_DATA_HOME, else ~/.local/share/cloister]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
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
    /// Manage interpreters, which run algorithms written as scripts
    #[command(subcommand)]
    Runtime(runtime::Runtime),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    // For packages.
    /// Write the manual pages of all commands into a directory
    #[command(hide = true)]
    Man {
        /// The directory, which must exist
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
}

/// Runs the command line and returns the exit code.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = cloister_isolation::end_on_signals_as_process_one() {
        complain(&format!("cannot install a handler for SIGTERM: {error}"));
        return ExitCode::from(HOST_FAULT);
    }
    #[expect(clippy::disallowed_methods, reason = "the command line is the one place that reads the environment")]
    let home = || Home::find(arguments.home.as_deref(), |name| std::env::var_os(name).map(PathBuf::from));
    let code = match arguments.command {
        Command::Run(command) => command.execute(home),
        Command::Inspect(command) => command.execute(home),
        Command::Compile(command) => command.execute(home),
        Command::Probe(command) => command.execute(),
        Command::Runtime(command) => command.execute(home),
        Command::Completions { shell } => completions(shell),
        Command::Man { into } => man(&into),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        code_of(&error)
    }))
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "sandbox", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(0)
}

fn man(into: &Path) -> anyhow::Result<u8> {
    let written = clap_mangen::generate_to(Arguments::command(), into);
    written.map_err(|error| Usage::file("directory", into, error))?;
    Ok(0)
}

/// The exit code for an error: usage errors are the caller's to correct, all others are faults of this host.
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
            || cause.downcast_ref::<BundleError>().is_some_and(|error| !matches!(error, BundleError::Machine(_)))
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

/// The command line is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

impl Usage {
    fn file(what: &str, path: &Path, problem: impl std::fmt::Display) -> anyhow::Error {
        Self(format!("{what} `{}`: {problem}", path.display())).into()
    }
}

/// The most bytes in a JSON file that the command line names.
const MAX_JSON_BYTES: u64 = 1024 * 1024;

/// Reads a JSON object: from a file, or from the argument itself if that begins with `{`.
fn read_json<T: DeserializeOwned>(what: &str, path: &Path) -> anyhow::Result<T> {
    if let Some(text) = path.to_str().filter(|text| text.starts_with('{')) {
        return serde_json::from_str(text).map_err(|error| Usage(format!("{what}: {error}")).into());
    }
    let wrong = |problem: &dyn std::fmt::Display| Usage::file(what, path, problem);
    let mut file = open_regular(path).map_err(|error| wrong(&error))?;
    let bytes = read_bounded(&mut file, MAX_JSON_BYTES).map_err(|error| wrong(&error))?;
    // serde would also accept a list in place of an object.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(wrong(&"expected a JSON object: { ... }"));
    }
    serde_json::from_slice(&bytes).map_err(|error| wrong(&error))
}

/// Prints one line to stderr, with control characters escaped.
fn complain(message: &str) {
    // Names that are already escaped keep their backslashes.
    let pieces: Vec<String> = message.split('\\').map(|piece| escape(piece.as_bytes(), 4000).to_string()).collect();
    let _ = writeln!(std::io::stderr().lock(), "sandbox: {}", pieces.join("\\"));
}

/// Prints text to stdout. A closed pipe is not an error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
