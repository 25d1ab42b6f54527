use cloister_model::{Denial, EngineError, StoreError};

/// Why a job was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It may not run: every rule that it met.
    #[error("the job may not run")]
    Denied {
        /// The rules.
        rules: Vec<Denial>,
        /// The interpreter that the operator has named for the algorithm's image, if it is one of the rules that this is not installed.
        interpreter: Option<String>,
    },
    /// An asset does not exist, or this consumer may not see it.
    #[error("there is no such asset that you may see; check its DID")]
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
    /// The idempotency key was used for another request.
    #[error("the key or name was used for another job; use a fresh one")]
    Reused,
    /// Another unfinished job has the agreement.
    #[error("the agreement is in use for another job; wait until that job has ended")]
    AgreementInUse,
    /// The engine.
    #[error(transparent)]
    Engine(EngineError),
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

impl From<EngineError> for SubmitError {
    fn from(error: EngineError) -> Self {
        use cloister_model::ClaimKind;
        match error {
            EngineError::Claimed(claim) if claim.kind() == ClaimKind::Agreement => Self::AgreementInUse,
            EngineError::Claimed(claim) if claim.kind() == ClaimKind::AssetName => super::job::name_taken(),
            EngineError::Quota(exceeded) => Self::Store(exceeded.into()),
            other => Self::Engine(other),
        }
    }
}
