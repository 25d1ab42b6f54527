use crate::{Limit, Refusal};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a run ended. A guest that ends badly is a value of this type, not an error of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "result")]
pub enum Outcome {
    /// The guest returned, or exited with 0.
    Succeeded,
    /// The guest said that it failed.
    AlgorithmFailed {
        /// What it exited with: 1 to 255 from preview 1 (larger values as they are); 1 from a component.
        exit_code: u32,
    },
    /// The guest did something that WebAssembly stops.
    Crashed {
        /// What.
        trap: TrapKind,
    },
    /// The guest met a limit, and failed or was stopped.
    LimitExceeded {
        /// Which.
        limit: Limit,
        /// The most it could have, in the limit's unit.
        allowed: u64,
        /// What it had or asked for when it was stopped, in the same unit.
        used: u64,
    },
    /// The module was not run.
    Refused {
        /// Why.
        refusals: Vec<Refusal>,
    },
    /// Ours: the host could not do its work. Says nothing about the algorithm.
    HostFault {
        /// What happened and what to do.
        message: String,
    },
}

/// The traps of WebAssembly, by the names of the specification's tests where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TrapKind {
    /// `unreachable`: what panics, aborts and failed assertions compile to.
    Unreachable,
    /// The call stack is exhausted.
    StackOverflow,
    /// A read or write outside memory: a bad pointer, or a shadow stack run over.
    MemoryOutOfBounds,
    /// An access outside a table.
    TableOutOfBounds,
    /// A call through an empty table slot.
    IndirectCallToNull,
    /// A call through a table slot of another type.
    BadSignature,
    /// An integer overflow, such as the least integer divided by -1.
    IntegerOverflow,
    /// An integer division by zero.
    IntegerDivisionByZero,
    /// A float that no integer can hold.
    BadConversionToInteger,
    /// An exception that nothing caught.
    UncaughtException,
    /// A call to an import that the runtime's manifest answers with a trap.
    TrappedImport,
    /// The guest broke the rules of an ABI, such as a pointer outside its memory handed to the host.
    AbiViolation,
    /// A trap of a newer engine that has no name here yet.
    Other,
}

impl TrapKind {
    /// A sentence for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Unreachable => "reached `unreachable` (a panic, an abort or a failed assertion)",
            Self::StackOverflow => "call stack exhausted",
            Self::MemoryOutOfBounds => {
                "memory access out of bounds (a bad pointer, or the program's own stack overran)"
            }
            Self::TableOutOfBounds => "table access out of bounds",
            Self::IndirectCallToNull => "call through an empty table slot",
            Self::BadSignature => "call through a table slot of another type",
            Self::IntegerOverflow => "integer overflow",
            Self::IntegerDivisionByZero => "integer division by zero",
            Self::BadConversionToInteger => "float out of the integer's range",
            Self::UncaughtException => "uncaught exception",
            Self::TrappedImport => "called an import that this runtime does not offer",
            Self::AbiViolation => "broke the rules of its host interface (such as a pointer outside its memory)",
            Self::Other => "trap",
        }
    }
}

impl Outcome {
    /// Whether the run did what it was for.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Succeeded)
    }
}

impl Outcome {
    /// The outcome without what an algorithm could choose of it: neither its exit code nor how it crashed, and of a limit only
    /// which one it was.
    #[must_use]
    pub fn coarse(self) -> Self {
        match self {
            Self::AlgorithmFailed { exit_code: _ } => Self::AlgorithmFailed { exit_code: 1 },
            Self::Crashed { trap: _ } => Self::Crashed { trap: TrapKind::Other },
            Self::LimitExceeded { limit, allowed, used: _ } => Self::LimitExceeded { limit, allowed, used: allowed },
            Self::Succeeded | Self::Refused { .. } | Self::HostFault { .. } => self,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => f.write_str("succeeded"),
            Self::AlgorithmFailed { exit_code } => write!(f, "algorithm failed with exit code {exit_code}"),
            Self::Crashed { trap } => write!(f, "algorithm crashed: {}", trap.describe()),
            Self::LimitExceeded { limit, allowed, used } => {
                write!(
                    f,
                    "limit exceeded: {} (allowed {allowed} {unit}, used or asked for {used} {unit})",
                    limit.as_str(),
                    unit = limit.unit()
                )
            }
            Self::Refused { refusals } => {
                f.write_str("refused")?;
                refusals.iter().take(1).try_for_each(|refusal| write!(f, ": {refusal}"))?;
                if refusals.len() > 1 { write!(f, " (and {} more)", refusals.len() - 1) } else { Ok(()) }
            }
            Self::HostFault { message } => write!(f, "host fault: {message}"),
        }
    }
}
