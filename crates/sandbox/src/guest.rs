//! Everything the host knows about one running guest.

use crate::{
    abi::{component::Resources, preview1::Descriptors},
    account::Account,
    clock::Clock,
    fs::FileSystem,
    limiter::Limiter,
    log::Log,
    random::Random,
};

/// The state behind every host call: what the guest was given, and nothing else.
#[derive(Debug)]
pub struct Guest {
    /// What it can reach by a path.
    pub files: FileSystem,
    /// Its time.
    pub clock: Clock,
    /// Its randomness.
    pub random: Random,
    /// What it prints.
    pub log: Log,
    /// Its arguments, the program's name first.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// The most bytes that one call may make the host allocate.
    pub call_bytes: u64,
    /// The most resources (0.2) or descriptors (preview 1) it may hold.
    pub handles: u32,
    /// Decides on memories and tables.
    pub limiter: Limiter,
    /// What it has used.
    pub account: Account,
    /// Preview 1's names for handles.
    pub(crate) descriptors: Descriptors,
    /// 0.2's names for handles.
    pub(crate) resources: Resources,
}

/// The guest ended itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exit with code {0}")]
pub struct Exit(pub u32);

/// The guest called an import that its runtime's manifest answers with a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an import that this runtime does not offer")]
pub struct TrappedImport;

/// The guest broke the rules of an ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AbiViolation(pub &'static str);
