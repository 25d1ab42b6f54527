use crate::FetchError;
use cloister_model::{Did, Fault, Reason, StepFailure, StepResult};

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

/// Why a job could not be configured. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// A dataset could not be provided.
    #[error("{did}: {reason}")]
    Data {
        /// Which.
        did: Did,
        /// Why.
        reason: String,
        /// Whose doing it was.
        fault: Fault,
    },
    /// The algorithm could not be provided.
    #[error("the algorithm: {reason}")]
    Algorithm {
        /// Why.
        reason: String,
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
            ConfigurationError::Data { did, reason, fault } => {
                (StepFailure::Data, format!("dataset {did} could not be provided: {reason}"), *fault)
            }
            ConfigurationError::Algorithm { reason, fault } => {
                (StepFailure::Algorithm, format!("the algorithm could not be provided: {reason}"), *fault)
            }
            ConfigurationError::Cancelled => (StepFailure::Cancelled, error.to_string(), Fault::Nobody),
            ConfigurationError::System(_) => {
                (StepFailure::Data, format!("the inputs could not be laid out: {error}"), Fault::System)
            }
        };
        Self::Failed { failure, rule: None, reason: Reason::new(&text, fault) }
    }
}

impl ConfigurationError {
    /// A dataset's files. Never the algorithm's doing, whatever is wrong with them.
    pub(super) fn data(did: &Did, error: &FetchError) -> Self {
        match error {
            FetchError::Cancelled => Self::Cancelled,
            FetchError::System(_) => Self::System(error.to_string()),
            // The consumer reads this. A digest of little data tells what it is.
            FetchError::Content { index, .. } => {
                let reason = format!("file {index}: not the agreed content; its publisher has to publish it again");
                Self::Data { did: did.clone(), reason, fault: Fault::System }
            }
            _ => Self::Data { did: did.clone(), reason: error.to_string(), fault: Fault::System },
        }
    }

    /// The algorithm's files. What their description or their content is will be the same next time; whether their
    /// source answers may not.
    pub(super) fn algorithm(error: &FetchError) -> Self {
        let fault = match error {
            FetchError::Cancelled => return Self::Cancelled,
            FetchError::System(_) => return Self::System(error.to_string()),
            FetchError::Source { .. } => Fault::System,
            FetchError::Unsupported(_) | FetchError::Refused { .. } | FetchError::Content { .. } => Fault::Algorithm,
        };
        Self::Algorithm { reason: error.to_string(), fault }
    }
}
