use crate::engine::EngineSettings;
use cloister_model::{Admission, Limits};
use serde::{Deserialize, Serialize};

/// The descriptors that a compiler process is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Descriptor {
    Request = 3,
    Module = 4,
    Result = 5,
    /// Only if something is to be compiled.
    Artifact = 6,
}

/// What a module is checked as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// An author's program.
    Algorithm,
    /// An interpreter that the operator installed.
    Runtime {
        /// Imports (module, name) that are answered with a trap.
        trap: Vec<(String, String)>,
        /// Exports that start it, in order.
        start: Vec<String>,
    },
}

/// What the supervisor asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) limits: Limits,
    pub(crate) role: Role,
    /// Compile for this engine; none: only check.
    pub(crate) engine: Option<EngineSettings>,
}

/// What the compiler process answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Response {
    pub(crate) admission: Admission,
    /// Why there is no artifact, although the module was admitted.
    pub(crate) error: Option<String>,
    pub(crate) artifact_too_large: bool,
}
