//! The ports: what use cases ask of an engine, as traits. Each engine implements all of them, so that one Cloister has one
//! place for its state. The conformance suite (`cloister-engine-tests`) says what every engine must do.

mod audit;
mod claims;
mod figures;
mod files;
mod jobs;
mod keyring;
mod outputs;
mod quota;
mod registry;

pub use audit::{Archived, AuditAction, AuditBreak, AuditEvent, AuditLog, AuditRecord};
pub use claims::{AssetLimit, Claim, ClaimKind, Claims};
pub use figures::{Distribution, EngineFigures, PhaseChange};
pub use files::{
    CheckedSource, FileDigest, Inspection, Inspections, LastCheck, SourceCheck, SourceOutcome, StrangerLimit, Upload,
    UploadLimits, UploadQuery, Uploads,
};
pub use jobs::{
    EngineError, EngineFuture, EnvironmentStatus, Explanation, JobParameters, JobQuery, Jobs, ReviewVerdict,
    Unavailability,
};
pub use keyring::{ApiKey, KeyId, KeyIdError, Keyring, Role};
pub use outputs::{LogPart, LogScope, Outputs};
pub use quota::{Quota, QuotaExceeded};
pub use registry::{Asset, AssetList, AssetQuery, Registry};

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The entry changed since it was read, or it exists already, or its name is claimed.
    #[error("it was changed meanwhile; read it again and repeat the change")]
    Conflict,
    /// There is no such entry.
    #[error("there is no such entry")]
    Missing,
    /// It holds all that it may.
    #[error("the store is full: {0}")]
    Full(String),
    /// The account has as much as one account may have.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// Its disk or its cluster does not answer.
    #[error("the store cannot be reached: {0}; try again, and ask the operator if it stays so")]
    Unavailable(String),
}

/// What the calls of a store return; see [`EngineFuture`].
pub type StoreFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Everything that use cases need of an engine: what a program hands to the service.
pub trait Backend: Jobs + Outputs + Registry + Keyring + Claims + Uploads + Inspections + AuditLog {
    /// Whether it can take work now. Cheap, and asked every few seconds.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`], with what is wrong.
    fn ready(&self) -> EngineFuture<'_, ()>;

    /// What it has counted, for metrics. An engine whose jobs another program carries has nothing to say here.
    fn figures(&self) -> EngineFuture<'_, EngineFigures> {
        Box::pin(std::future::ready(Ok(EngineFigures::default())))
    }
}
