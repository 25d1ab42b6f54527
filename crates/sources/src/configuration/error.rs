use crate::{FetchError, TooLarge};
use cloister_model::{Did, FailureDetail, Fault, Reason, StepFailure, StepResult};

/// A policy that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum FetcherError {
    /// A folder of local files that cannot be used.
    #[error("a folder of local files cannot be used: {0}; correct the list of folders")]
    LocalRoot(#[from] std::io::Error),
    /// TLS could not be set up.
    #[error("requests cannot be made: {0}; check the certificates of this machine")]
    Client(String),
    /// A bound that lets nothing through.
    #[error("source policy: `{0}` must be at least 1")]
    Zero(&'static str),
}

impl FetcherError {
    pub(crate) fn tls() -> Self {
        Self::Client("TLS cannot be set up, or a file of certificate authorities is not PEM".to_owned())
    }
}

/// Why a job could not be configured. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// A dataset could not be provided.
    #[error("{did}: {reason}")]
    Data {
        /// Which.
        did: Did,
        /// Why, for every reader.
        reason: String,
        /// What its publisher has to know to mend it.
        detail: Option<String>,
        /// Whose doing it was.
        fault: Fault,
    },
    /// The algorithm could not be provided.
    #[error("the algorithm: {reason}")]
    Algorithm {
        /// Which; none: the job brought it.
        did: Option<Did>,
        /// Why, for every reader.
        reason: String,
        /// What its publisher, or the job's owner, has to know to mend it.
        detail: Option<String>,
        /// Whose doing it was.
        fault: Fault,
    },
    /// It was cancelled.
    #[error("configuration was cancelled")]
    Cancelled,
    /// This machine failed.
    #[error("{0}")]
    System(String),
}

impl From<ConfigurationError> for StepResult {
    fn from(error: ConfigurationError) -> Self {
        let (failure, text, fault) = match &error {
            ConfigurationError::Data { did, reason, detail: _, fault } => {
                (StepFailure::Data, format!("dataset {did} could not be provided: {reason}"), *fault)
            }
            ConfigurationError::Algorithm { did: _, reason, detail: _, fault } => {
                (StepFailure::Algorithm, format!("the algorithm could not be provided: {reason}"), *fault)
            }
            ConfigurationError::Cancelled => (StepFailure::Cancelled, error.to_string(), Fault::Nobody),
            ConfigurationError::System(_) => {
                (StepFailure::Data, format!("the inputs could not be laid out: {error}"), Fault::System)
            }
        };
        let detail = match &error {
            ConfigurationError::Data { did, detail: Some(detail), .. } => {
                Some(FailureDetail::new(Some(did.clone()), detail))
            }
            ConfigurationError::Algorithm { did, detail: Some(detail), .. } => {
                Some(FailureDetail::new(did.clone(), detail))
            }
            _ => None,
        };
        Self::Failed { failure, rule: None, reason: Reason::new(&text, fault), detail }
    }
}

impl ConfigurationError {
    /// A dataset's files. Never the algorithm's doing, whatever is wrong with them.
    pub(super) fn data(did: &Did, error: &FetchError) -> Self {
        let detail = Some(error.to_string());
        if let Some((reason, fault)) = too_large(error) {
            return Self::Data { did: did.clone(), reason, detail, fault };
        }
        match public_reason(error) {
            Ok(reason) => {
                let reason = format!("{reason}; ask its publisher");
                Self::Data { did: did.clone(), reason, detail, fault: Fault::Publisher }
            }
            Err(other) => other,
        }
    }

    /// The algorithm's files: its publisher's, or brought by the job.
    pub(super) fn algorithm(did: Option<&Did>, error: &FetchError) -> Self {
        if let Some((reason, fault)) = too_large(error) {
            return Self::Algorithm { did: did.cloned(), reason, detail: Some(error.to_string()), fault };
        }
        let (fault, advice) = match did {
            Some(_) => (Fault::Publisher, "ask its publisher"),
            None => (Fault::Algorithm, "the job's owner can read more in the explanation of the job"),
        };
        match public_reason(error) {
            Ok(reason) => {
                let (reason, detail) = (format!("{reason}; {advice}"), Some(error.to_string()));
                Self::Algorithm { did: did.cloned(), reason, detail, fault }
            }
            Err(other) => other,
        }
    }
}

/// What every reader is told of files that are larger than the operator lets them be, and whose doing that is. The bound is the
/// operator's, and no secret; how much larger they are is not told.
fn too_large(error: &FetchError) -> Option<(String, Fault)> {
    let FetchError::TooLarge { index, bound, .. } = error else { return None };
    Some(match bound {
        TooLarge::File(most) => {
            let text = format!(
                "file {index} has more than {most} bytes, the most that one file may have here; ask its publisher for a \
                 smaller one, or the operator for more (`sources.max_file`)"
            );
            (text, Fault::Publisher)
        }
        TooLarge::Job(most) => {
            let text = format!(
                "with file {index}, the job has more than {most} bytes of input, the most that one job may have here; name \
                 fewer or smaller datasets, or ask the operator for more (`sources.max_job`)"
            );
            (text, Fault::System)
        }
    })
}

/// What every reader is told of files that could not be fetched: neither where they are kept, nor the digest that they have or
/// should have, because a digest of little data tells what it is. An error if the files are not to blame.
fn public_reason(error: &FetchError) -> Result<String, ConfigurationError> {
    match error {
        FetchError::Cancelled => Err(ConfigurationError::Cancelled),
        FetchError::System(_) => Err(ConfigurationError::System(error.to_string())),
        FetchError::Unsupported(_) => Ok("its files are described in a way that cannot be fetched".to_owned()),
        FetchError::Source { index, .. } => Ok(format!("file {index} could not be fetched from where it is kept")),
        FetchError::TooLarge { index, .. } => Ok(format!("file {index} is too large")),
        FetchError::Refused { index, .. } => Ok(format!("file {index} is kept where this service may not fetch it")),
        FetchError::Content { index, .. } => Ok(format!("file {index}: not the agreed content")),
    }
}
