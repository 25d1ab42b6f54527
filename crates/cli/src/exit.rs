//! How the program ends: one code for each kind of end, the same for every command.

use crate::{client::ClientError, config::ConfigError};

/// The job failed, or what was checked is not so.
pub(crate) const FAILED: u8 = 1;
/// Bad usage: the command line, a file it names, or a request that the service does not understand. clap's code, too.
pub(crate) const USAGE: u8 = 2;
/// Denied: no or wrong credentials, or a rule of a dataset.
pub(crate) const DENIED: u8 = 3;
/// There is no such thing, or it is none of the caller's business.
pub(crate) const NOT_FOUND: u8 = 4;
/// The service does not answer.
pub(crate) const UNREACHABLE: u8 = 5;
/// It was changed meanwhile, or is not in a state for this.
pub(crate) const CONFLICT: u8 = 6;
/// The service has all the work that it takes: later.
pub(crate) const BUSY: u8 = 7;
/// A fault of the service or of this program (`EX_SOFTWARE`).
pub(crate) const FAULT: u8 = 70;
/// Interrupted by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The table of codes, for the help.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the job did not finish well, or a check found something wrong
  2    bad usage: the command line, a file it names, a request that makes no sense
  3    denied: no or wrong credentials, or a rule of a dataset
  4    no such thing, or not visible to you
  5    the service cannot be reached
  6    changed meanwhile, or not in a state for this
  7    the service is busy: try again later
  70   a fault of the service or of this program
  130  interrupted";

/// Something that whoever called can set right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

impl Usage {
    /// As an error to give on.
    pub(crate) fn error(text: impl Into<String>) -> anyhow::Error {
        Self(text.into()).into()
    }
}

/// An end that is no error of anybody: the code says it, and a line if there is more to say.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Ended {
    pub(crate) code: u8,
    pub(crate) text: String,
}

impl Ended {
    /// As an error to give on.
    pub(crate) fn error(code: u8, text: impl Into<String>) -> anyhow::Error {
        Self { code, text: text.into() }.into()
    }
}

/// The code for an error.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(Ended { code, .. }) = cause.downcast_ref() {
            return *code;
        }
        if let Some(error) = cause.downcast_ref::<ClientError>() {
            return error.exit_code();
        }
        if cause.is::<ConfigError>() || cause.is::<Usage>() {
            return USAGE;
        }
    }
    FAULT
}

/// Whether nobody reads the output any more: then there is nothing to say, and nothing went wrong.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Problem;
    use anyhow::Context as _;

    #[test]
    fn codes_follow_the_kind_of_error() {
        let problem = |status| anyhow::Error::from(ClientError::Problem(Box::new(Problem::new(status, "t"))));
        for (status, code) in [
            (400, USAGE),
            (401, DENIED),
            (403, DENIED),
            (404, NOT_FOUND),
            (409, CONFLICT),
            (412, CONFLICT),
            (413, USAGE),
            (422, USAGE),
            (429, BUSY),
            (500, FAULT),
            (503, BUSY),
        ] {
            assert_eq!(code_of(&problem(status)), code, "{status}");
        }
        assert_eq!(code_of(&Usage::error("x").context("while reading")), USAGE);
        assert_eq!(code_of(&Ended::error(FAILED, "x")), FAILED);
        assert_eq!(code_of(&anyhow::anyhow!("anything")), FAULT);
        let error = Err::<(), _>(ClientError::NoKey).context("first");
        assert_eq!(code_of(&error.expect_err("an error")), DENIED);
    }

    #[test]
    fn a_closed_pipe_is_no_fault() {
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&anyhow::Error::from(closed).context("printing")));
        assert!(!is_closed_pipe(&anyhow::anyhow!("anything")));
    }
}
