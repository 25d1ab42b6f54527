//! The same piece of work in the sandbox, in the bare embedding, and compiled for this machine.

use crate::{
    places::Places,
    process::{Used, time},
    series::Sample,
};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The dataset of every job.
pub(crate) const DATASET: &str = "0a1b";

/// How the sandbox is given the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// One file: `--dataset`.
    File,
    /// A directory: `--data`.
    Tree,
}

/// A guest, its parameters, and a directory that looks like `/data`: what is below `inputs` is read, by all contenders.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    places: &'a Places,
    /// The guest's file.
    guest: &'static str,
    /// The native program of the same source.
    native: &'static str,
    root: PathBuf,
    given: Given,
    outputs: PathBuf,
    artifact: PathBuf,
}

/// The line that the guest `kernels` prints.
#[derive(Deserialize)]
struct Line {
    elapsed_ns: u64,
}

/// What is wanted of a report.
#[derive(Deserialize)]
struct Report {
    outcome: Value,
    usage: Usage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    guest_us: Option<u64>,
    peak_resident_bytes: u64,
}

/// How the guest's own time is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// By the guest's clock, which it prints. Real in the standard profile only.
    Printed,
    /// By the host's, from the guest's first instruction to its last. Outside the sandbox: the whole process.
    Host,
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        places: &'a Places,
        (guest, native): (&'static str, &'static str),
        root: &Path,
        given: Given,
        parameters: &Value,
    ) -> Result<Self> {
        let inputs = root.join("inputs");
        fs::create_dir_all(&inputs)?;
        fs::write(inputs.join("algoCustomData.json"), parameters.to_string())?;
        let contract = json!({ "maxBytes": 2_u64 << 30 });
        fs::write(places.work.join("contract.json"), contract.to_string())?;
        let (outputs, artifact) = (places.work.join("outputs"), places.artifact(guest)?);
        Ok(Self { places, guest, native, root: root.to_owned(), given, outputs, artifact })
    }

    /// The kernels, with parameters for one of them.
    pub(crate) fn kernel(places: &'a Places, root: &Path, given: Given, parameters: &Value) -> Result<Self> {
        Self::new(places, ("kernels.wasm", "kernels"), root, given, parameters)
    }

    /// In the sandbox, every wall up, its artifact cached (the first run makes it).
    pub(crate) fn sandbox(&self, profile: &str, clock: Clock) -> Result<Sample> {
        self.clear()?;
        let work = &self.places.work;
        let (report, log) = (work.join("report.json"), work.join("log"));
        let mut command = Command::new(&self.places.sandbox);
        command
            .env_clear()
            .env("CLOISTER_SANDBOX_HOME", &self.places.home)
            .arg("run")
            .arg(self.places.guest(self.guest));
        match self.given {
            Given::File => {
                let inputs = self.root.join("inputs");
                let mut dataset = std::ffi::OsString::from(format!("{DATASET}="));
                dataset.push(inputs.join(DATASET).join("0"));
                command.arg("--dataset").arg(dataset).arg("--params").arg(inputs.join("algoCustomData.json"))
            }
            Given::Tree => command.arg("--data").arg(&self.root),
        };
        command
            .args(["--json", "--require-isolation", "--limits", "wall=1h,cpu=1h", "--profile", profile])
            .arg("--outputs")
            .arg(&self.outputs)
            .arg("--contract")
            .arg(work.join("contract.json"))
            .arg("--log")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(File::create(&report)?);
        let used = time(&mut command).with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        let said: Report = serde_json::from_slice(&fs::read(&report)?).context("the sandbox's report")?;
        anyhow::ensure!(said.outcome["result"] == "succeeded", "the sandbox reports {}", said.outcome);
        let guest = match clock {
            Clock::Printed => printed(&log)?,
            Clock::Host => said.usage.guest_us.context("a guest that ended")? as f64 / 1e6,
        };
        Ok(Sample { guest: Some(guest), worker: Some(said.usage.peak_resident_bytes), ..sample(used) })
    }

    /// In the bare embedding.
    pub(crate) fn bare(&self, clock: Clock) -> Result<Sample> {
        let mut command = Command::new(&self.places.bare);
        command.arg("run").arg(&self.artifact);
        command.arg("--read-only-dir").arg(self.root.join("inputs")).arg("/data/inputs");
        command.arg("--dir").arg(&self.outputs).arg("/data/outputs").args(["--env", "DIDS", &dids()]);
        self.outside(&mut command, clock)
    }

    /// Compiled for this machine.
    pub(crate) fn native(&self, clock: Clock) -> Result<Sample> {
        let mut command = Command::new(self.places.native(self.native));
        command.env("INPUTS", self.root.join("inputs")).env("OUTPUTS", &self.outputs).env("DIDS", dids());
        self.outside(&mut command, clock)
    }

    /// In the wasmtime or wasmer program, or whatever else: `command` says how.
    pub(crate) fn outside(&self, command: &mut Command, clock: Clock) -> Result<Sample> {
        self.clear()?;
        fs::create_dir(&self.outputs)?;
        let log = self.places.work.join("log");
        let used = time(command.stdin(Stdio::null()).stdout(File::create(&log)?))?;
        let guest = match clock {
            Clock::Printed => Some(printed(&log)?),
            Clock::Host => None,
        };
        Ok(Sample { guest, ..sample(used) })
    }

    pub(crate) fn inputs(&self) -> PathBuf {
        self.root.join("inputs")
    }

    /// Every run begins without outputs.
    fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(&self.outputs) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn dids() -> String {
    json!([DATASET]).to_string()
}

fn sample(used: Used) -> Sample {
    Sample { whole: used.whole.as_secs_f64(), guest: None, resident: used.peak_resident_bytes, worker: None }
}

fn printed(log: &Path) -> Result<f64> {
    let text = fs::read_to_string(log)?;
    let line: Line = serde_json::from_str(text.trim()).with_context(|| format!("the guest printed `{text}`"))?;
    Ok(line.elapsed_ns as f64 / 1e9)
}
