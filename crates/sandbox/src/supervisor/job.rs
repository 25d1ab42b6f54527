use super::InputError;
use cloister_model::{Did, Inputs, Limits, LimitsError, OutputContract, OutputContractError, Profile};
use std::path::PathBuf;

/// One run, as it was asked for.
#[derive(Clone, Debug)]
pub struct Job {
    /// The author's file: a module, or a script for `runtime`.
    pub algorithm: PathBuf,
    /// What it is published as, for `TRANSFORMATION_DID`; none: its digest stands there.
    pub did: Option<Did>,
    /// The interpreter, for scripts.
    pub runtime: Option<RuntimeChoice>,
    /// What it may read.
    pub inputs: Inputs,
    /// The consumer's parameters, a JSON file; none: `{}`.
    pub params: Option<PathBuf>,
    /// DDOs, by the asset they describe.
    pub ddos: Vec<(Did, PathBuf)>,
    /// Where results go: an empty directory, or one that is not there yet.
    pub outputs: PathBuf,
    /// What may leave.
    pub contract: OutputContract,
    /// What it may use. A runtime's own needs raise the module and compile limits, never the others.
    pub limits: Limits,
    /// What it may learn of time and chance.
    pub profile: Profile,
    /// Refuse to run if a wall is missing.
    pub require_isolation: bool,
}

/// An installed interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeChoice(pub String);

/// Why a run did not even begin: something that whoever asked for it can set right.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The algorithm's file.
    #[error("algorithm `{path}`: {error}")]
    Algorithm {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// Inputs, parameters or DDOs.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The outputs directory.
    #[error("outputs `{path}`: {problem}")]
    Outputs {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A limit.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The output contract.
    #[error(transparent)]
    Contract(#[from] OutputContractError),
    /// The runtime.
    #[error(transparent)]
    Runtime(#[from] crate::runtime::RuntimeError),
    /// A wall is missing and the run required it.
    #[error("not isolated, as --require-isolation demands: {0}. See `sandbox probe`")]
    NotIsolated(String),
}
