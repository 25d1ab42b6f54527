//! The state of one running guest.

use crate::{
    abi::{component::Resources, preview1::Descriptors},
    account::Account,
    clock::Clock,
    fs::{Errno, FileKind, FileSystem, OpenOptions},
    limiter::Limiter,
    log::Log,
    random::Random,
};

/// The state behind every host call: what the guest was given, and nothing more.
#[derive(Debug)]
pub struct Guest {
    /// The files that it can reach.
    pub files: FileSystem,
    /// Its time.
    pub clock: Clock,
    /// Its randomness.
    pub random: Random,
    /// Its log: stdout and stderr.
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
    /// Its resource use.
    pub account: Account,
    /// Its descriptors in preview 1.
    pub(crate) descriptors: Descriptors,
    /// Its resources in 0.2.
    pub(crate) resources: Resources,
}

impl Guest {
    /// Makes a file that the guest sees its standard input.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub(crate) fn give_stdin(&mut self, path: &str) -> Result<(), Errno> {
        let root = self.files.open_root()?;
        let options = OpenOptions { read: true, follow: true, ..OpenOptions::default() };
        // From the root, where no path leads out of what the guest sees.
        let opened = self.files.open(root, path.trim_start_matches('/').as_bytes(), options);
        self.files.close(root);
        let handle = opened?;
        let problem = match self.files.stat(handle)?.kind {
            FileKind::File { .. } => None,
            FileKind::Directory => Some(Errno::IsDirectory),
            FileKind::Link { .. } | FileKind::Device => Some(Errno::Access),
        };
        if let Some(problem) = problem {
            self.files.close(handle);
            return Err(problem);
        }
        self.descriptors.give_stdin(handle);
        self.resources.give_stdin(handle);
        Ok(())
    }
}

/// The guest called `exit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exit with code {0}")]
pub struct Exit(pub u32);

/// The guest called an import that its runtime's manifest lists under `trap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an import that this runtime does not offer")]
pub struct TrappedImport;

/// The guest violated an ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AbiViolation(pub &'static str);
