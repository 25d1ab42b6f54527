//! Exit codes: one for each kind of end, the same for every command. `failure.rs` chooses the code for an error.

/// The job failed, or a check failed.
pub(crate) const FAILED: u8 = 1;
/// Bad usage: the command line, a file it names, or a request that the service does not understand. clap's code, too.
pub(crate) const USAGE: u8 = 2;
/// Denied: no or wrong credentials, or a rule of a dataset.
pub(crate) const DENIED: u8 = 3;
/// It does not exist, or the caller may not see it.
pub(crate) const NOT_FOUND: u8 = 4;
/// The service cannot be reached.
pub(crate) const UNREACHABLE: u8 = 5;
/// Someone else changed it, or its state does not allow this.
pub(crate) const CONFLICT: u8 = 6;
/// The service is busy.
pub(crate) const BUSY: u8 = 7;
/// A fault of the service or of this program (`EX_SOFTWARE`).
pub(crate) const FAULT: u8 = 70;
/// Interrupted by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The table of codes, for the help.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the job failed, or a check failed
  2    bad usage: the command line, a file it names, or an invalid request
  3    denied: missing or wrong credentials, or a rule of a dataset
  4    not found, or not visible to you
  5    the service cannot be reached
  6    conflict: changed by someone else, or not possible in the current state
  7    the service is busy: try again later
  70   a fault of the service or of this program
  130  interrupted";

/// A mistake that the caller can correct.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

impl Usage {
    /// As an `anyhow` error.
    pub(crate) fn error(text: impl Into<String>) -> anyhow::Error {
        Self(text.into()).into()
    }
}

/// An end with an exit code of its own, and a line of explanation if there is one.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Ended {
    pub(crate) code: u8,
    pub(crate) text: String,
}

impl Ended {
    /// As an `anyhow` error.
    pub(crate) fn error(code: u8, text: impl Into<String>) -> anyhow::Error {
        Self { code, text: text.into() }.into()
    }
}
