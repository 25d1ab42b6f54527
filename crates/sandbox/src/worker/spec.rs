//! The instructions for a worker. They are trusted: only the supervisor can write them, into a sealed file.

use crate::engine::EngineSettings;
use cloister_model::{Limits, OutputContract, Sha256};
use serde::{Deserialize, Serialize};

/// The descriptors that every worker is handed, in this order. Those of [`Spec::tree`] follow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Descriptor {
    Spec,
    Artifact,
    Counters,
    Log,
    Result,
    Outputs,
}

/// The first descriptor of [`Spec::tree`].
pub(crate) const FIRST_PLACED: usize = Descriptor::Outputs as usize + 1;

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
    /// The file of the tree that is the guest's standard input; none: nothing.
    pub(crate) stdin: Option<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Absolute guest paths; each file and mount takes the next descriptor.
    pub(crate) tree: Vec<Placed>,
    /// Whether the state of the instance is written to the descriptor after those of the tree, once the guest has returned.
    pub(crate) keeps_state: bool,
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

/// An archive in the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Archive {
    pub(crate) path: String,
    /// Whether the path leads through a file, and is found by the whole path only.
    pub(crate) through: bool,
    /// The files of which one must be at its top. If there are any, the archive is the author's, and one that is not as it should be
    /// is refused.
    pub(crate) entries: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Placed {
    File(String),
    Mount(String),
    Empty(String),
    /// An archive whose files are unpacked into this directory.
    Archive(Archive),
}
