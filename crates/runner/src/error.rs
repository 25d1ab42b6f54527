use std::{io, path::PathBuf};

/// Why a run could not be started, observed or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// There is no sandbox program, or it cannot be run.
    #[error("the sandbox program {} cannot be run: {problem}; build it, or give its path", path.display())]
    Program {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another run goes on in the folder.
    #[error("another run goes on in this folder; wait for its end")]
    InUse,
    /// The process could not be started.
    #[error("the sandbox could not be started: {0}")]
    Start(io::Error),
    /// A killed process does not end.
    #[error("the sandbox does not end although it was killed; the kernel may be waiting for a disk")]
    StillRunning,
    /// The folder of the run cannot be read or written.
    #[error("the folder of the run cannot be used: {0}")]
    Folder(#[from] io::Error),
}

impl From<rustix::io::Errno> for RunnerError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Folder(error.into())
    }
}
