use crate::NeedsRole;
use cloister_model::{AssetKind, DdoError, EngineError, FieldError, ManifestError, StoreError};

/// Why something was not done with an asset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssetError {
    /// The asset does not exist, or the caller may not see or change it: the answer is the same.
    #[error("there is no such asset that you may see")]
    NotFound,
    /// The dataset has no compute service of the id that was named.
    #[error("the dataset has no compute service of this id")]
    NoSuchService,
    /// The algorithm that is to be trusted does not exist, or the caller may not see it.
    #[error("there is no such asset that you may see; check its DID")]
    NoSuchAlgorithm,
    /// No rule of the caller's dataset trusts the algorithm by name. Whether there is such an algorithm, this does not say.
    #[error("no rule of the dataset trusts this algorithm by name: there is nothing to take back")]
    NotTrusted,
    /// Only publishers publish.
    #[error(transparent)]
    Role(#[from] NeedsRole),
    /// The document describes an asset of this other kind.
    #[error("the document describes another kind of asset")]
    OtherKind(AssetKind),
    /// A field cannot be used.
    #[error("{problem}")]
    Field {
        /// Which; none: the document as a whole.
        field: Option<String>,
        /// What is wrong, safe to show.
        problem: String,
    },
    /// Another asset has this DID.
    #[error("another asset has this DID; publish under another one")]
    DidTaken,
    /// The asset was changed at the same moment, or its owner has another asset of this name.
    #[error("it was changed meanwhile, or you have another asset of this name; read it again and repeat the change")]
    Conflict,
    /// The algorithm that is to be trusted is not the one that was inspected.
    #[error("the algorithm has other files or another container now than the ones you give; inspect it again")]
    AlgorithmChanged,
    /// The asset is not in the state that the caller expects.
    #[error("it was changed since you read it; read it again and repeat the change")]
    Changed,
    /// The files of an algorithm are still being fetched.
    #[error("the files are still being fetched from their sources; publish the same again in a moment to continue")]
    Pending,
    /// A file of an algorithm could not be fetched.
    #[error("a file could not be fetched from its source: {0}")]
    Source(String),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store.
    #[error(transparent)]
    Store(StoreError),
    /// A fault of this program.
    #[error("the service failed: {0}")]
    Internal(&'static str),
}

impl AssetError {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: Some(field.into()), problem: problem.into() }
    }
}

impl From<StoreError> for AssetError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => Self::NotFound,
            StoreError::Conflict => Self::Conflict,
            other => Self::Store(other),
        }
    }
}

impl From<FieldError> for AssetError {
    fn from(error: FieldError) -> Self {
        let problem = error.to_string();
        Self::Field { field: Some(error.field), problem }
    }
}

impl From<ManifestError> for AssetError {
    fn from(error: ManifestError) -> Self {
        let problem = error.to_string();
        let field = match error {
            ManifestError::Field(error) | ManifestError::Ddo(DdoError::Field(error)) => Some(error.field),
            ManifestError::Ddo(_) => None,
        };
        Self::Field { field, problem }
    }
}
