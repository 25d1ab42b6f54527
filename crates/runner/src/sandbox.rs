use crate::{CLAIM, DATA, LOCK, LOG, OUTPUTS, REPORT, RunnerError, STDERR, kept::Keepers, wait_for_end};
use cloister_model::{CommandLine, Did, InterpreterId, Limits, OutputContract, Profile, StandardInput};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};
use tokio::process::{Child, Command};

/// One run, in its folder, where [`DATA`] lies already.
#[derive(Clone, Debug)]
pub struct Run {
    /// The folder. One run at a time.
    pub folder: PathBuf,
    /// The algorithm's file: absolute, or in the folder.
    pub algorithm: PathBuf,
    /// What the algorithm is published as.
    pub did: Option<Did>,
    /// The datasets below [`DATA`], in the order of `DIDS`.
    pub datasets: Vec<Did>,
    /// What may leave.
    pub contract: OutputContract,
    /// What the run may use.
    pub limits: Limits,
    /// What it may learn of time and chance.
    pub profile: Profile,
    /// The interpreter that runs the algorithm's file; none: the file is a WebAssembly program itself.
    pub interpreter: Option<InterpreterId>,
    /// What the algorithm is started with, before it was [filled](CommandLine::filled).
    pub command_line: CommandLine,
}

/// The sandbox program, and the folder where it keeps what outlives a run.
#[derive(Clone, Debug)]
pub struct Sandbox {
    path: PathBuf,
    home: PathBuf,
    keepers: Arc<Keepers>,
}

/// A run that this process has started. Dropped, the run goes on.
#[derive(Debug)]
pub struct Running {
    folder: PathBuf,
    child: Child,
}

/// How the sandbox exited, in words. The run itself is described by [`look`](crate::look).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit(pub String);

impl Sandbox {
    /// Finds the program. It keeps no interpreters in memory.
    ///
    /// # Errors
    /// [`RunnerError::Program`].
    pub fn find(path: &Path, home: PathBuf) -> Result<Self, RunnerError> {
        let wrong = |problem: String| RunnerError::Program { path: path.to_owned(), problem };
        let found = path.canonicalize().map_err(|error| wrong(error.to_string()))?;
        let executable = rustix::fs::access(&found, rustix::fs::Access::EXEC_OK).is_ok();
        if !found.is_file() || !executable {
            return Err(wrong("it is not a program that this user may run".to_owned()));
        }
        Ok(Self { path: found, home, keepers: Keepers::new(0) })
    }

    /// The same program, which keeps interpreters that runs need in memory, at most as many bytes of them.
    #[must_use]
    pub fn keeping(self, most_bytes: u64) -> Self {
        Self { keepers: Keepers::new(most_bytes), ..self }
    }

    /// Whether the program is still there and may be run.
    ///
    /// # Errors
    /// [`RunnerError::Program`].
    pub fn check(&self) -> Result<(), RunnerError> {
        Self::find(&self.path, self.home.clone()).map(drop)
    }

    /// Starts a run. When this returns, the sandbox alone holds the lock. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`RunnerError::InUse`] if a run of this folder goes on, or another process looks at its lock in this instant;
    /// [`RunnerError::Start`] and [`RunnerError::Folder`].
    pub fn start(&self, run: &Run) -> Result<Running, RunnerError> {
        let Run { folder, algorithm, did, datasets, contract, limits, profile, interpreter, command_line } = run;
        let lock = file(&folder.join(LOCK))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(RunnerError::InUse),
            Err(error) => return Err(error.into()),
        }
        write(&folder.join("contract.json"), &serde_json::to_vec(contract).map_err(io::Error::from)?)?;
        write(&folder.join("limits.json"), &serde_json::to_vec(limits).map_err(io::Error::from)?)?;
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
            // Code that counts instructions is other code, which nothing keeps.
            let kept = || self.keepers.path(&self.path, &self.home, name, *profile);
            if let Some(path) = limits.fuel.is_none().then(kept).flatten() {
                command.arg("--kept").arg(path);
            }
        }
        if command_line.has_parameters() {
            command.arg("--fill-arguments");
        }
        let CommandLine { arguments, stdin } = command_line;
        match stdin {
            None => {}
            Some(StandardInput::File(path)) => drop(command.args(["--stdin-data", path])),
            // One word: a text may begin with `-`.
            Some(StandardInput::Text(text)) => drop(command.arg(format!("--stdin-text={text}"))),
        }
        if !arguments.is_empty() {
            command.arg("--").args(arguments);
        }
        let child = command
            .current_dir(folder)
            .env_clear()
            // A group of its own: a signal from the terminal that ends this process does not end a run.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(lock)
            .stderr(file(&folder.join(STDERR))?)
            .spawn()
            .map_err(RunnerError::Start)?;
        Ok(Running { folder: folder.clone(), child })
    }
}

impl Running {
    /// Waits for the end of the run: until the sandbox has exited *and* its lock is free. A process of the sandbox that is
    /// still exiting holds the lock for a moment longer, and a run whose lock is held cannot be told from one that goes on.
    ///
    /// # Errors
    /// [`RunnerError::Folder`].
    pub async fn wait(mut self) -> Result<Exit, RunnerError> {
        let exit = self.child.wait().await?;
        wait_for_end(&self.folder).await?;
        Ok(Exit(exit.to_string()))
    }
}

/// A file for this user alone, made if it is not there, its content left as it is.
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
