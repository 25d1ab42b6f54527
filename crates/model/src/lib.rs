//! The words of Cloister, as types.
//!
//! Everything that crosses a border between parts (limits, the output contract, what a module asks for, how a run
//! ended, the report) is defined here once, together with the pure decisions about it. Nothing in this crate reads a
//! file, a clock or the network.

#![forbid(unsafe_code)]

mod admission;
mod did;
mod digest;
mod escape;
mod inputs;
mod isolation;
mod limits;
mod outcome;
mod output_contract;
mod profile;
mod report;

pub use admission::{Admission, Capability, Import, MemoryType, ModuleKind, Refusal, Rule, Toolchain, Verdict};
pub use did::{Did, DidError};
pub use digest::{DigestError, Sha256};
pub use escape::{Escaped, escape};
pub use inputs::{InputFile, Inputs};
pub use isolation::{Isolation, Wall, WallState};
pub use limits::{CompileLimits, Limit, Limits, LimitsError};
pub use outcome::{Outcome, TrapKind};
pub use output_contract::{NamePattern, NamePatternError, OutputContract, OutputContractError};
pub use profile::Profile;
pub use report::{AlgorithmReport, EngineReport, FileReport, LogReport, REPORT_VERSION, Report, RuntimeReport, Usage};
