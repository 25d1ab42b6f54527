//! Where things are: the programs that are measured, the guests, the data. Built first, unless told otherwise.

use anyhow::{Context as _, Result, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Everything a measurement needs to find.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) sandbox: PathBuf,
    pub(crate) bare: PathBuf,
    /// Artifacts and runtimes of the sandbox.
    pub(crate) home: PathBuf,
    /// Inputs, kept from run to run.
    pub(crate) data: PathBuf,
    /// Outputs, reports, logs of the current run. In memory where there is room.
    pub(crate) work: PathBuf,
}

/// The room that outputs need, with some to spare.
const WORK_BYTES: u64 = 3 << 30;

impl Places {
    pub(crate) fn prepare(build: bool) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository")?.to_owned();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
        let work = work_parent()?.join(format!("cloister-bench-{}", std::process::id()));
        let places = Self {
            sandbox: target.join("release/sandbox"),
            bare: target.join("release/bare"),
            // Shared with the tests and the demo: an interpreter is compiled once.
            home: env::var_os("CLOISTER_SANDBOX_HOME").map_or_else(|| root.join("target/test-home"), PathBuf::from),
            data: target.join("bench-data"),
            root,
            target,
            work,
        };
        if build {
            places.build()?;
        }
        for needed in [&places.sandbox, &places.bare, &places.native("kernels"), &places.guest("kernels.wasm")] {
            ensure!(needed.exists(), "`{}` is not there; run without --no-build", needed.display());
        }
        for directory in [&places.home, &places.data, &places.work, &places.artifacts()] {
            fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        }
        Ok(places)
    }

    /// A guest that scripts/guests.sh built.
    pub(crate) fn guest(&self, file: &str) -> PathBuf {
        self.root.join("target/guests").join(file)
    }

    /// The same source as a guest, compiled for this machine.
    pub(crate) fn native(&self, name: &str) -> PathBuf {
        self.target.join("bench-native/release").join(name)
    }

    fn artifacts(&self) -> PathBuf {
        self.target.join("bench-artifacts")
    }

    /// What the bare embedding compiled of a guest. Made anew once per run: the engine may have changed.
    pub(crate) fn artifact(&self, guest: &str) -> Result<PathBuf> {
        let path = self.artifacts().join(guest).with_extension("cwasm");
        run(Command::new(&self.bare).arg("compile").arg(self.guest(guest)).arg(&path))?;
        Ok(path)
    }

    fn build(&self) -> Result<()> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = |directory: &Path, arguments: &[&str]| {
            run(Command::new(&cargo).current_dir(directory).args(["build", "--release", "--quiet"]).args(arguments))
        };
        // All of the workspace, as `make build` does: a part of it would have the engine compiled with other features.
        build(&self.root, &["--workspace", "--bins", "--examples", "--locked"])?;
        run(Command::new(self.root.join("scripts/guests.sh")).args(["kernels", "column-stats"]))?;
        let native = self.target.join("bench-native");
        let native = native.to_str().context("a path that is not UTF-8")?;
        let packages = ["-p", "kernels", "-p", "column-stats", "-p", "generate"];
        build(&self.root.join("algorithms"), &[&["--target-dir", native], &packages[..]].concat())
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// Memory if it has room, so that no disk is measured; else the directory for temporary files.
fn work_parent() -> Result<PathBuf> {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    Ok(if room >= WORK_BYTES { memory.to_owned() } else { env::temp_dir() })
}

/// Runs a command to its end, its output on stderr.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(std::io::stderr()).status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
