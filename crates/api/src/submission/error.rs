use crate::problem::Problem;
use axum::http::StatusCode;
use cloister_model::{Denial, EngineError, StoreError};

/// Why a job was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    /// It may not run: every rule it met.
    #[error("the job is denied")]
    Denied(Vec<Denial>),
    /// There is no such asset, or not for this consumer.
    #[error("there is no such asset for you")]
    NoSuchAsset {
        /// Where the request names it.
        field: String,
    },
    /// A field cannot be used.
    #[error("{problem}")]
    Field {
        /// Which.
        field: String,
        /// What is wrong, safe to show.
        problem: String,
    },
    /// The name was used for another request.
    #[error("the key or name was used for another job; use a fresh one")]
    Reused,
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The registry or the record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of this program.
    #[error("the service failed: {0}")]
    Internal(&'static str),
}

impl SubmitError {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Denied(rules) => Self::denied(rules),
            SubmitError::NoSuchAsset { field } => Self::new(
                StatusCode::NOT_FOUND,
                "no-such-asset",
                "No such asset",
                "there is no such asset that you may see; check its DID",
            )
            .about(field),
            SubmitError::Field { field, problem } => Self::field(field, problem),
            SubmitError::Reused => Self::conflict("idempotency-key-reused", error.to_string()),
            SubmitError::Engine(error) => error.into(),
            SubmitError::Store(error) => error.into(),
            SubmitError::Internal(what) => {
                tracing::error!(what, "a submission failed");
                Self::internal()
            }
        }
    }
}
