//! The messages between supervisor and worker. The spec is trusted: only the supervisor can write it, into a sealed
//! file.

use crate::engine::EngineSettings;
use cloister_model::{Isolation, Limits, OutputContract, Sha256, TrapKind};
use serde::{Deserialize, Serialize};

/// The descriptors that every worker inherits, in this order from 3. Those of [`Spec::tree`] follow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Descriptor {
    Spec = 3,
    Artifact = 4,
    Counters = 5,
    Log = 6,
    Result = 7,
    Outputs = 8,
}

/// The first descriptor of [`Spec::tree`].
pub(crate) const FIRST_PLACED: i32 = 9;

/// The complete description of one run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    pub(crate) engine: EngineSettings,
    pub(crate) limits: Limits,
    pub(crate) contract: OutputContract,
    /// Seeds the deterministic profile's randomness.
    pub(crate) algorithm: Sha256,
    pub(crate) start: Start,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Absolute guest paths; each file and mount takes the next descriptor.
    pub(crate) tree: Vec<Placed>,
    /// Do not start the guest if a wall is missing.
    pub(crate) require_isolation: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Start {
    /// `wasi:cli/run` of a component.
    Component,
    /// These exports of a core module, in order. `trap` names imports (module, name) that are answered with a trap.
    Module { exports: Vec<String>, trap: Vec<(String, String)> },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Placed {
    File(String),
    Mount(String),
    Empty(String),
}

/// The worker's messages, each one line of JSON. Once the guest has started, the supervisor cannot trust them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Message {
    /// Sent before the guest's first instruction: the state of each wall.
    Walls(Isolation),
    /// A wall is missing and the run required it. The guest was not started.
    NotIsolated,
    /// The guest has ended.
    End { end: End, guest_us: u64, peak_resident_bytes: Option<u64>, fuel: Option<u64> },
}

/// How the guest ended, according to the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    Returned,
    Exited(u32),
    Trapped(TrapKind),
    OutOfFuel,
    /// It could not start, because its declarations exceed a limit on the account.
    DoesNotFit,
    /// The host failed.
    Fault(String),
}
