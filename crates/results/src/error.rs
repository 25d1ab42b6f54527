use cloister_model::{Fault, JobId, Reason, StepFailure, StepResult, StoredResultsError, escape};
use std::{error::Error as StdError, io, iter::successors};

/// What an object store's error says before the status and the body of an answer.
const ANSWERED: &str = "Server returned non-2xx status code: ";

/// Bytes of the word that an S3 store has for a fault. Those of S3 are shorter.
const MOST_CODE_BYTES: usize = 60;

/// Why results could not be kept or read. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The configuration of the store.
    #[error("result store: {0}")]
    Config(String),
    /// The recipient is not one.
    #[error("results cannot be encrypted: the recipient is not an age X25519 public key (`age1...`)")]
    Recipient,
    /// There is no such result.
    #[error("job {0} has no such result in the store")]
    Missing(JobId),
    /// It was cancelled.
    #[error("publishing was cancelled")]
    Cancelled,
    /// A file that was to leave cannot be read.
    #[error("a result cannot be read: {0}")]
    File(String),
    /// A file that was to leave is not the one that was checked. Nothing of it was stored.
    #[error("a result is not what was checked: `{0}`; it is not stored")]
    Changed(String),
    /// The store does not answer, or cannot do what it is asked now. What is published is tried again.
    #[error("the result store does not answer: {0}; the operator can check its address and its network")]
    Away(String),
    /// Something is in the place of a thing that no program of this service has put there: a link, a pipe, more than is ever stored, or a list
    /// that is none.
    #[error(
        "the result store has something that was not stored by this service; the operator can see who else writes to it"
    )]
    Foreign,
    /// The store answers, and does not do what it is asked: it refuses its keys, has no such bucket, or no space. What is published is tried
    /// again, because an operator can change that.
    #[error("the result store cannot be used: {0}; the operator can check its address, its keys and its space")]
    Refused(String),
    /// The store answers nonsense, or a step of this program broke.
    #[error("the result store failed: {0}; the operator can check its address, its keys and its space")]
    Store(String),
}

/// Ends a blocking step. An error of its own, because `io::copy` and `write_all` retry some errors of the system.
#[derive(Debug, thiserror::Error)]
#[error("cancelled")]
pub(super) struct CancelledError;

impl From<PublishError> for StepResult {
    fn from(error: PublishError) -> Self {
        let (failure, fault) = match &error {
            PublishError::Cancelled => (StepFailure::Cancelled, Fault::Nobody),
            PublishError::Recipient => (StepFailure::Results, Fault::Algorithm),
            error if error.is_waited_for() => (StepFailure::StoreAway, Fault::System),
            _ => (StepFailure::Results, Fault::System),
        };
        let text = match failure {
            // Nothing has failed for good.
            StepFailure::StoreAway => error.to_string(),
            _ => format!("the results could not be stored: {error}"),
        };
        let reason = Reason::new(&text, fault);
        Self::Failed { failure, rule: None, reason, detail: None }
    }
}

impl From<PublishError> for StoredResultsError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Missing(job) => Self::Missing(job),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl PublishError {
    /// Whether an operator can change it in the store, or it may pass by itself: then the same is tried again later.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        match self {
            Self::Away(_) | Self::Refused(_) | Self::Foreign => true,
            Self::Config(_)
            | Self::Recipient
            | Self::Missing(_)
            | Self::Cancelled
            | Self::File(_)
            | Self::Changed(_)
            | Self::Store(_) => false,
        }
    }

    pub(super) fn folder(error: &io::Error) -> Self {
        if error.get_ref().is_some_and(|inner| inner.is::<CancelledError>()) {
            return Self::Cancelled;
        }
        Self::Refused(format!("a file of the folder cannot be written or read ({})", error.kind()))
    }

    pub(super) fn changed(name: &str) -> Self {
        Self::Changed(escape(name.as_bytes(), 100).to_string())
    }

    pub(super) fn file(name: &str, error: &io::Error) -> Self {
        Self::File(format!("`{}` ({})", escape(name.as_bytes(), 100), error.kind()))
    }

    /// An object store's error. Its text can hold URLs and keys, so no more of it is repeated than what [`answered`] finds.
    pub(super) fn objects(error: &object_store::Error) -> Self {
        use object_store::Error;
        let answer = answered(error);
        let what = match (error, &answer) {
            (Error::NotFound { .. }, _) => "there is no such object or bucket",
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) => {
                "it refuses what it is asked with these keys"
            }
            (Error::Precondition { .. } | Error::AlreadyExists { .. }, _) => "an object changed meanwhile",
            (Error::Generic { source, .. }, None) => return Self::Away(request_failure(source.as_ref())),
            (Error::Generic { .. }, Some(answer)) if answer.starts_with("507") => "it has no space left",
            (Error::Generic { .. }, Some(_)) => "it does not do what it is asked",
            _ => return Self::Store("the request failed".to_owned()),
        };
        Self::Refused(match answer {
            Some(answer) => format!("{what} ({answer})"),
            None => what.to_owned(),
        })
    }
}

/// What an object store has answered: its status, and the word that S3 has for the fault. A body can repeat URLs and keys, so nothing
/// else of it is told.
fn answered(error: &object_store::Error) -> Option<String> {
    let text = error.to_string();
    let (_, answer) = text.split_once(ANSWERED)?;
    let status = answer.get(..3).filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()))?;
    let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let is_word = |code: &&str| {
        (1..=MOST_CODE_BYTES).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    Some(code.filter(is_word).map_or_else(|| status.to_owned(), |code| format!("{status} `{code}`")))
}

/// What went wrong with a request. Of its causes, only those kinds that hold no text of the URL or the server.
fn request_failure<'a>(error: &'a (dyn StdError + 'static)) -> String {
    let causes = || successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source());
    let request = causes().find_map(|error| error.downcast_ref::<reqwest::Error>());
    let cause = match request {
        Some(error) if error.is_timeout() => "it did not answer in time",
        Some(error) if error.is_connect() => "it cannot be reached",
        Some(error) if error.is_body() || error.is_decode() || error.is_request() => "the connection was cut",
        _ => "the request failed",
    };
    let kind = causes().find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
    let kind = kind.filter(|kind| request.is_some() && *kind != io::ErrorKind::Other);
    kind.map_or_else(|| cause.to_owned(), |kind| format!("{cause} ({kind})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an operator can change, a job waits for. Its outputs are not to blame.
    #[test]
    fn what_an_operator_can_change_in_the_store_is_waited_for() {
        let folder = |kind: io::ErrorKind| PublishError::folder(&kind.into());
        let waits = |error: PublishError| {
            let StepResult::Failed { failure, reason, rule: None, detail: None } = StepResult::from(error) else {
                panic!("it has not failed")
            };
            (failure == StepFailure::StoreAway, reason)
        };
        for (error, what) in [
            (folder(io::ErrorKind::StorageFull), io::ErrorKind::StorageFull.to_string()),
            (folder(io::ErrorKind::QuotaExceeded), io::ErrorKind::QuotaExceeded.to_string()),
            (folder(io::ErrorKind::PermissionDenied), io::ErrorKind::PermissionDenied.to_string()),
            (folder(io::ErrorKind::ReadOnlyFilesystem), io::ErrorKind::ReadOnlyFilesystem.to_string()),
            (PublishError::Away("it cannot be reached".to_owned()), "it cannot be reached".to_owned()),
            (PublishError::Foreign, "who else writes to it".to_owned()),
        ] {
            let (waits, reason) = waits(error);
            assert!(waits && reason.text().contains(&what), "{reason:?}");
            assert!(reason.text().contains("the operator can") && reason.fault() == Fault::System, "{reason:?}");
        }
        for error in [
            PublishError::Changed("a".to_owned()),
            PublishError::File("a".to_owned()),
            PublishError::Recipient,
            PublishError::Store("a step of publishing broke".to_owned()),
        ] {
            assert!(!waits(error.clone()).0, "{error}");
        }
    }
}
