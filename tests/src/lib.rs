//! Runs the built `sandbox` program the way its users do, and reads what it reports.
//!
//! The program is the one that `cargo build --release --bin sandbox` made (or `CLOISTERDEV_SANDBOX` names): a test here says
//! something about what is shipped. Compiled artifacts are shared by all tests, the demo and benchmarks in `target/test-home`, so
//! that a runtime is compiled once.

#![expect(clippy::panic, reason = "a harness fails tests by panicking")]

pub mod chart;
pub mod cluster;
pub mod document;
pub mod guide;
mod missing;
mod runtimes;
pub mod service;
pub mod shell;

pub use cloister_testkit::{root, target};
pub use missing::{not_run, not_run_outside_ci};
pub use runtimes::{install_javascript, install_python, install_python_plain};

use cloister_model::{Outcome, Report};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// The built program.
///
/// # Panics
/// If it was not built. The message says how to build it.
#[must_use]
pub fn sandbox() -> PathBuf {
    cloister_testkit::program("sandbox").unwrap_or_else(|missing| panic!("{missing}"))
}

/// A guest that `scripts/guests.sh` built.
///
/// # Panics
/// If it was not built. The message says how to build it.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    cloister_testkit::guest(name).unwrap_or_else(|missing| panic!("{missing}"))
}

/// The directory that all tests share for compiled artifacts and runtimes.
#[must_use]
pub fn shared_home() -> PathBuf {
    root().join("target/test-home")
}

/// The program with the shared home and an environment of nothing else that could change what it does.
#[must_use]
pub fn program() -> Command {
    let mut command = Command::new(sandbox());
    command.env_clear().env("CLOISTER_SANDBOX_HOME", shared_home()).stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// One run of the program, with a directory of its own.
#[derive(Debug)]
pub struct Trial {
    /// Where `outputs`, `report.json` and whatever the test writes lie.
    pub directory: TempDir,
    algorithm: PathBuf,
    arguments: Vec<String>,
    has_dataset: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code of the program; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it printed beside that.
    pub stderr: String,
    /// The report, if there is one.
    pub report: Option<Report>,
    /// What the guest printed, as it is.
    pub log: Vec<u8>,
    /// The trial's directory: `outputs` in it is what the guest left.
    pub directory: TempDir,
}

impl Trial {
    /// A run of a WAT text.
    #[must_use]
    pub fn wat(text: &str) -> Self {
        Self::bytes(&wat::parse_str(text).expect("a valid WAT text"))
    }

    /// A run of a WAT file below `tests/`.
    #[must_use]
    pub fn wat_file(name: &str) -> Self {
        let path = root().join("tests").join(name);
        Self::bytes(&wat::parse_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// A run of whatever bytes.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let algorithm = directory.path().join("algorithm.wasm");
        fs::write(&algorithm, bytes).expect("written");
        Self { directory, algorithm, arguments: Vec::new(), has_dataset: false }
    }

    /// A run of a file that is there: a built guest, a script.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        Self { directory, algorithm: path.to_owned(), arguments: Vec::new(), has_dataset: false }
    }

    /// Adds arguments of the command line.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.has_dataset |= arguments.iter().any(|argument| matches!(*argument, "--data" | "--dataset"));
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Adds a dataset with one file of this content.
    #[must_use]
    pub fn dataset(self, did: &str, content: &[u8]) -> Self {
        let path = self.directory.path().join(format!("dataset-{did}"));
        fs::write(&path, content).expect("written");
        let argument = format!("{did}={}", path.display());
        self.with(&["--dataset", &argument])
    }

    /// Adds an option whose value is a file with this content, such as `--params`.
    #[must_use]
    pub fn with_file(self, option: &str, content: &str) -> Self {
        let path = self.directory.path().join(option.trim_start_matches('-'));
        fs::write(&path, content).expect("written");
        self.with(&[option, &path.display().to_string()])
    }

    /// The command, for tests that start it themselves. A trial without a dataset gets one called `d` that says `data`.
    #[must_use]
    pub fn command(&mut self) -> Command {
        let here = self.directory.path();
        let mut command = program();
        command.arg("run").arg(&self.algorithm).arg("--outputs").arg(here.join("outputs"));
        command.arg("--report").arg(here.join("report.json")).arg("--log").arg(here.join("log"));
        if !self.has_dataset {
            let path = here.join("dataset");
            fs::write(&path, "data").expect("written");
            command.arg("--dataset").arg(format!("d={}", path.display()));
        }
        command.args(&self.arguments);
        command
    }

    /// The command, started by another program that ends by executing its arguments.
    #[must_use]
    pub fn command_through(&mut self, program: &str, arguments: &[&str]) -> Command {
        let inner = self.command();
        let mut command = Command::new(program);
        command.args(arguments).arg(inner.get_program()).args(inner.get_args()).env_clear().stdin(Stdio::null());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(mut self) -> Ended {
        let Output { status, stdout, stderr } = self.command().output().expect("the program starts");
        self.ended(status.code(), &stdout, &stderr)
    }

    /// What a run left, for tests that started it themselves.
    #[must_use]
    pub fn ended(self, code: Option<i32>, stdout: &[u8], stderr: &[u8]) -> Ended {
        let here = self.directory.path();
        let report = fs::read(here.join("report.json")).ok();
        Ended {
            code,
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
            report: report.map(|text| serde_json::from_slice(&text).expect("a report")),
            log: fs::read(here.join("log")).unwrap_or_default(),
            directory: self.directory,
        }
    }
}

impl Ended {
    /// The report.
    ///
    /// # Panics
    /// If there is none: shows what the program said instead.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.report.as_ref().unwrap_or_else(|| panic!("no report; code {:?}\n{}", self.code, self.stderr))
    }

    /// How the run ended.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.report().outcome
    }

    /// Asserts that the guest returned or exited with 0.
    ///
    /// # Panics
    /// If it did not: shows why.
    #[track_caller]
    pub fn assert_succeeded(&self) {
        assert!(
            self.code == Some(0) && self.outcome().is_success(),
            "{:?}\n{}\n{}",
            self.outcome(),
            self.stdout,
            self.stderr
        );
    }

    /// Every output file by its path, read from the disk and not from the report.
    ///
    /// # Panics
    /// If they cannot be read.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.directory.path().join("outputs");
        let (mut files, mut open) = (BTreeMap::new(), vec![root.clone()]);
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).expect("the outputs") {
                let path = entry.expect("an output").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(&root).expect("below the outputs").display().to_string();
                    files.insert(name, fs::read(&path).expect("an output"));
                }
            }
        }
        files
    }

    /// An output's content.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn output(&self, path: &str) -> Vec<u8> {
        fs::read(self.directory.path().join("outputs").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}
