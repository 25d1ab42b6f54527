use std::{fmt, io, time::Duration};

/// The operator's bound that a file exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLarge {
    /// It has more bytes than one file may have.
    File(u64),
    /// The files of the job have more bytes together than those of one job may have, this file among them.
    Job(u64),
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(most) => write!(f, "a file may have {most} bytes, this one has more"),
            Self::Job(most) => write!(f, "the files of a job may have {most} bytes together, these have more"),
        }
    }
}

/// Why a file could not be fetched. Safe to show: names a source by its place and, at most, its scheme and host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The files are described in a way that cannot be fetched.
    #[error("file objects: {0}; the publisher has to correct them and publish again")]
    Unsupported(String),
    /// The source did not give the file.
    #[error("file {index} ({place}): the source failed: {cause}")]
    Source {
        /// Its place in the list.
        index: usize,
        /// Where it was asked for.
        place: String,
        /// What happened.
        cause: String,
    },
    /// The operator's policy does not let it be fetched.
    #[error("file {index} ({place}): not allowed here: {cause}")]
    Refused {
        /// Its place in the list.
        index: usize,
        /// Where it would have been asked for.
        place: String,
        /// Which rule.
        cause: String,
    },
    /// It is larger than the operator lets a file or a job be.
    #[error("file {index} ({place}): {bound}")]
    TooLarge {
        /// Its place in the list.
        index: usize,
        /// Where it is.
        place: String,
        /// Which bound.
        bound: TooLarge,
    },
    /// The source gave something else than was agreed: another digest or size.
    #[error("file {index} ({place}): not the agreed content: {cause}")]
    Content {
        /// Its place in the list.
        index: usize,
        /// Where it came from.
        place: String,
        /// The difference.
        cause: String,
    },
    /// It was cancelled.
    #[error("fetching was cancelled")]
    Cancelled,
    /// This machine failed: its disk, its cache.
    #[error("this machine failed: {0}; the operator can check its disk")]
    System(String),
}

/// Why one file could not be had, before it is said which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another attempt may go better; not before so long, if the server said so.
    Passing(String, Option<Duration>),
    /// What was there before has changed: begin again.
    Changed(String),
    /// The source will not give it.
    Source(String),
    /// It must not be asked.
    Refused(String),
    /// It is larger than it may be.
    TooLarge(TooLarge),
    /// It gave something else.
    Content(String),
    /// It was cancelled.
    Cancelled,
    /// This machine.
    System(String),
}

impl fmt::Display for Failure {
    /// Of one file, which the reader knows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passing(cause, _) | Self::Changed(cause) | Self::Source(cause) | Self::System(cause) => {
                f.write_str(cause)
            }
            Self::Refused(cause) => write!(f, "not allowed here: {cause}"),
            Self::TooLarge(bound) => bound.fmt(f),
            Self::Content(cause) => write!(f, "not the agreed content: {cause}"),
            Self::Cancelled => f.write_str("it was cancelled"),
        }
    }
}

impl Failure {
    pub(crate) fn passing(cause: String) -> Self {
        Self::Passing(cause, None)
    }

    /// A file of this machine. Paths of the machine are not a stranger's business.
    pub(crate) fn disk(error: &io::Error) -> Self {
        Self::System(format!("a file of the cache cannot be written or read ({})", error.kind()))
    }

    /// The error for the file at this place of the list.
    pub(crate) fn of(self, index: usize, place: String) -> FetchError {
        match self {
            Self::Passing(cause, _) | Self::Changed(cause) | Self::Source(cause) => {
                FetchError::Source { index, place, cause }
            }
            Self::Refused(cause) => FetchError::Refused { index, place, cause },
            Self::TooLarge(bound) => FetchError::TooLarge { index, place, bound },
            Self::Content(cause) => FetchError::Content { index, place, cause },
            Self::Cancelled => FetchError::Cancelled,
            Self::System(cause) => FetchError::System(cause),
        }
    }
}
