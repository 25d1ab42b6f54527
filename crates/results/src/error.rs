use cloister_model::{Fault, JobId, Reason, StepFailure, StepResult, StoredResultsError, escape};
use std::{error::Error as StdError, io, iter::successors};

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
    /// Something is in the place of a thing that no program of this service has put there: a link, a pipe, or more than is ever stored.
    #[error(
        "the result store has something that was not stored by this service; the operator can see who else writes to it"
    )]
    Foreign,
    /// The store refuses, or answers nonsense.
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
            PublishError::Away(_) => (StepFailure::StoreAway, Fault::System),
            PublishError::Config(_)
            | PublishError::Missing(_)
            | PublishError::File(_)
            | PublishError::Changed(_)
            | PublishError::Foreign
            | PublishError::Store(_) => (StepFailure::Results, Fault::System),
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
    pub(super) fn folder(error: &io::Error) -> Self {
        if error.get_ref().is_some_and(|inner| inner.is::<CancelledError>()) {
            return Self::Cancelled;
        }
        Self::Store(format!("a file of the folder cannot be written or read ({})", error.kind()))
    }

    pub(super) fn changed(name: &str) -> Self {
        Self::Changed(escape(name.as_bytes(), 100).to_string())
    }

    pub(super) fn file(name: &str, error: &io::Error) -> Self {
        Self::File(format!("`{}` ({})", escape(name.as_bytes(), 100), error.kind()))
    }

    /// An object store's error. Its text can hold URLs and keys, so none of it is repeated.
    pub(super) fn objects(error: &object_store::Error) -> Self {
        use object_store::Error;
        Self::Store(match error {
            Error::NotFound { .. } => "there is no such object or bucket".to_owned(),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => "it refuses its keys".to_owned(),
            Error::Precondition { .. } | Error::AlreadyExists { .. } => "an object changed meanwhile".to_owned(),
            // What a store answers with that has a meaning is one of the others.
            Error::Generic { source, .. } => return Self::Away(request_failure(source.as_ref())),
            _ => "the request failed".to_owned(),
        })
    }
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
