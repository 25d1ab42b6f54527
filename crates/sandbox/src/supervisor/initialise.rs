//! Running an interpreter to the end of its initialisation, for a snapshot.

use super::{
    Observer, Phase,
    execute::{execute, start_worker},
    inputs::Opened,
    report::Draft,
};
use crate::{
    cache::AuthenticatedCode,
    compiler::sealed,
    engine::{EngineSettings, WASMTIME_VERSION},
    runtime::{Runtime, Snapshot},
    worker::spec::{Placed, Spec, Start},
};
use anyhow::{Result, bail};
use cap_std::fs::Dir;
use cloister_isolation::create_memfd;
use cloister_model::{AlgorithmReport, EngineReport, Limits, Outcome, OutputContract, Profile, Sha256, escape};
use std::{fs::File, os::fd::OwnedFd};

/// The engine that initialises an interpreter: what it comes to must not depend on the time or the machine.
pub(crate) const SNAPSHOT_ENGINE: EngineSettings =
    EngineSettings { profile: Profile::Deterministic, exceptions: true, fuel: false };

/// The most bytes of a state.
const MAX_STATE_BYTES: u64 = 1 << 30;
/// The most bytes of what it prints that are shown if it fails.
const SHOWN_BYTES: usize = 2000;

/// Calls the exports that initialise an instrumented interpreter, with the files of its snapshot beside its own and nothing else, and returns the file with its
/// state. `outputs` is an empty directory, and stays empty. It sees no dataset, and no variable but the manifest's: what it comes to is the same on every machine.
///
/// # Errors
/// If it does not return.
pub(crate) fn initialise(
    runtime: &Runtime,
    code: AuthenticatedCode,
    snapshot: &Snapshot,
    limits: Limits,
    outputs: &Dir,
    observer: &mut dyn Observer,
) -> Result<File> {
    let engine = SNAPSHOT_ENGINE;
    let contract =
        OutputContract { max_bytes: MAX_STATE_BYTES, max_files: 0, max_directories: 0, ..OutputContract::default() };
    let algorithm = Sha256::of(b"");
    let draft = Draft {
        algorithm: AlgorithmReport { sha256: algorithm, bytes: 0, kind: None, runtime: Some(runtime.report()) },
        engine: EngineReport {
            name: "wasmtime".to_owned(),
            version: WASMTIME_VERSION.to_owned(),
            config_sha256: engine.digest(),
        },
        profile: engine.profile,
        limits: limits.clone(),
        contract: contract.clone(),
        datasets: Vec::new(),
        compile_ms: None,
    };
    let opened = snapshot
        .files
        .iter()
        .map(|file| Ok((Placed::File(file.guest.clone()), sealed("snapshot file", &file.bytes())?)));
    let state = File::from(create_memfd("state")?);
    let opened = Opened::only(opened.collect::<Result<Vec<(Placed, OwnedFd)>>>()?, state.try_clone()?.into());
    let spec = Spec {
        engine,
        limits,
        contract,
        algorithm,
        start: Start::Module { exports: snapshot.initialize.clone(), trap: runtime.trapped_imports().to_vec() },
        arguments: runtime.arguments(),
        stdin: None,
        environment: runtime.environment().collect(),
        tree: runtime.placed().chain(opened.placed.iter().cloned()).collect(),
        keeps_state: true,
        require_isolation: false,
    };
    let mut printed = Printed { observer, text: Vec::new() };
    let execution = execute((start_worker()?, spec), opened, code, Some(runtime), outputs, &draft, &mut printed)?;
    match execution.outcome {
        Outcome::Succeeded => Ok(state),
        outcome => {
            bail!("its initialisation did not end well: {outcome}; it printed: {}", escape(&printed.text, SHOWN_BYTES))
        }
    }
}

/// Keeps the last of what is printed, and passes the rest on.
struct Printed<'a> {
    observer: &'a mut dyn Observer,
    text: Vec<u8>,
}

impl Observer for Printed<'_> {
    fn phase(&mut self, phase: Phase) {
        self.observer.phase(phase);
    }

    fn tick(&mut self) {
        self.observer.tick();
    }

    fn log(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        let surplus = self.text.len().saturating_sub(SHOWN_BYTES);
        self.text.drain(..surplus);
    }
}
