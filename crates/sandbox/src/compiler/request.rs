use crate::engine::{Effort, EngineSettings};
use cloister_model::{Admission, Limits};
use serde::{Deserialize, Serialize};

/// The descriptors that a compiler process inherits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Descriptor {
    Request = 3,
    Module = 4,
    Result = 5,
    /// Only if the request asks for compilation.
    Artifact = 6,
}

/// The kind of program that a module is checked as.
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

/// The request from the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) limits: Limits,
    pub(crate) role: Role,
    /// The engine to compile for; none to check only.
    pub(crate) engine: Option<EngineSettings>,
    /// How much time compiling may take.
    pub(crate) effort: Effort,
}

/// The answer of the compiler process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Response {
    pub(crate) admission: Admission,
    /// Why an admitted module has no artifact.
    pub(crate) error: Option<String>,
    pub(crate) artifact_too_large: bool,
    /// Whether that is because no space is left for the artifact.
    pub(crate) no_space: bool,
}
