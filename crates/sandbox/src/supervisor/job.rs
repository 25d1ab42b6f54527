use super::InputError;
use cloister_model::{
    Did, Inputs, Limits, LimitsError, OutputContract, OutputContractError, Profile, Sha256, StandardInput,
};
use std::path::PathBuf;

/// The request for one run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The author's file: a module, or a script for `runtime`.
    pub algorithm: PathBuf,
    /// Its DID, for `TRANSFORMATION_DID`. If there is none, the variable holds the file's digest.
    pub did: Option<Did>,
    /// The interpreter, for scripts.
    pub runtime: Option<RuntimeChoice>,
    /// Its arguments, after its name.
    pub arguments: Vec<String>,
    /// What it reads as its standard input; none: nothing.
    pub stdin: Option<Stdin>,
    /// Whether parameters fill the arguments and standard input: see [`fill_arguments`](cloister_model::fill_arguments).
    pub fill_arguments: bool,
    /// The files that it may read.
    pub inputs: Inputs,
    /// The consumer's parameters, a JSON file. If there is none, the guest gets `{}`.
    pub params: Option<PathBuf>,
    /// DDOs, by the asset they describe.
    pub ddos: Vec<(Did, PathBuf)>,
    /// The directory for results. It must be empty, or not exist yet.
    pub outputs: PathBuf,
    /// The output contract.
    pub contract: OutputContract,
    /// The resource limits. A runtime's needs raise the limits on the module, stack, tables and compiling, but no others.
    pub limits: Limits,
    /// The profile: which clock and randomness the guest gets.
    pub profile: Profile,
    /// Whether to refuse the run if a wall is missing.
    pub require_isolation: bool,
}

/// What a guest reads as its standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// This file of the host.
    Host(PathBuf),
    /// A file that it sees, or a text.
    Given(StandardInput),
}

/// Which interpreter runs a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// The one that is installed in the home under this name.
    Installed(String),
    /// The one that is installed, from the memory of the process that keeps it there, if that offers it.
    Kept {
        /// Its name.
        name: String,
        /// The path that [`Kept::path`](crate::runtime::Kept::path) named.
        label: PathBuf,
    },
    /// The one in a bundle, with its compiled code.
    Bundle {
        /// The directory of the bundle.
        directory: PathBuf,
        /// The digest of its index, which the operator trusts.
        trusted: Sha256,
    },
}

/// Why a run did not begin: a mistake in the request.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The algorithm's file is not usable.
    #[error("algorithm `{path}`: {error}")]
    Algorithm {
        /// The file.
        path: PathBuf,
        /// The error.
        error: std::io::Error,
    },
    /// The inputs, parameters or DDOs are not usable.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The outputs directory is not usable.
    #[error("outputs `{path}`: {problem}")]
    Outputs {
        /// The directory.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A limit is out of range.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The output contract is invalid.
    #[error(transparent)]
    Contract(#[from] OutputContractError),
    /// The arguments cannot be given to a program.
    #[error("arguments: {0}")]
    Arguments(#[from] cloister_model::EntrypointError),
    /// Standard input cannot be given to a program.
    #[error("standard input: {0}")]
    Stdin(cloister_model::EntrypointError),
    /// The parameters cannot fill the arguments.
    #[error("arguments: {0}")]
    Fill(#[from] cloister_model::FillError),
    /// The runtime is not usable.
    #[error(transparent)]
    Runtime(#[from] crate::runtime::RuntimeError),
    /// The bundle is not usable.
    #[error(transparent)]
    Bundle(#[from] crate::runtime::BundleError),
    /// A wall is missing and the request requires all of them.
    #[error("not isolated, as --require-isolation demands: {0}. See `sandbox probe`")]
    NotIsolated(String),
}
