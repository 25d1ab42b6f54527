//! Other programs that run preview 1 guests, where they are installed.

use crate::{
    job::{DATASET, Job},
    places::{Places, run},
};
use anyhow::{Result, bail};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// A program of that name on the search path.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// Options of its `run` that allow a precompiled artifact.
    run: &'static [&'static str],
    /// Its option for a directory, and what stands between the two paths.
    directory: (&'static str, &'static str),
}

pub(super) const ALL: [Peer; 2] = [
    Peer { name: "wasmtime", run: &["run", "--allow-precompiled"], directory: ("--dir", "::") },
    Peer { name: "wasmer", run: &["run"], directory: ("--volume", ":") },
];

/// A peer and what it made of the guest beforehand.
pub(super) struct Ready<'a> {
    peer: &'a Peer,
    artifact: PathBuf,
}

impl Peer {
    pub(super) fn prepare(&self, places: &Places) -> Result<Ready<'_>> {
        if !is_installed(self.name) {
            bail!("not installed");
        }
        let (guest, artifact) = (places.guest("kernels.wasm"), places.work.join(format!("{}.artifact", self.name)));
        run(Command::new(self.name).arg("compile").arg(guest).arg("-o").arg(&artifact))?;
        Ok(Ready { peer: self, artifact })
    }
}

impl Ready<'_> {
    pub(super) fn command(&self, job: &Job<'_>) -> Command {
        let Peer { name, run, directory: (option, between) } = self.peer;
        let mut command = Command::new(name);
        let inputs = format!("{}{between}/data/inputs", job.inputs().display());
        command.args(*run).args([*option, &inputs, "--env", &format!("DIDS=[\"{DATASET}\"]")]).arg(&self.artifact);
        command
    }
}

/// Whether a program can be started at all.
pub(super) fn is_installed(name: &str) -> bool {
    let mut command = Command::new(name);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
