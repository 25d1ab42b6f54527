use cloister_model::{EngineError, StoreError, Unavailability};
use rusqlite::ErrorCode;

/// Why the database did not do what it was asked. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DbError {
    #[error("the disk is full; nothing was changed. Make room")]
    Full,
    #[error("the database is locked by another program; nothing was changed. End that program")]
    Locked,
    /// Trying again does not help.
    #[error("the database is damaged ({0}); stop the service and restore it from a backup")]
    Damaged(String),
    /// A file or folder of the service.
    #[error("the folder: {0}")]
    Disk(String),
    #[error("the service is shutting down; nothing was changed")]
    Ending,
    #[error("the database failed: {0}")]
    Other(String),
}

impl DbError {
    fn kind(&self) -> Unavailability {
        match self {
            Self::Full | Self::Disk(_) => Unavailability::Disk,
            Self::Locked | Self::Damaged(_) | Self::Other(_) => Unavailability::Store,
            Self::Ending => Unavailability::Ending,
        }
    }

    /// Whether the same may succeed later without an operator's help.
    pub(crate) fn is_passing(&self) -> bool {
        !matches!(self, Self::Damaged(_))
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly) => Self::Disk(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for DbError {
    /// A row that cannot be read: it was damaged, or a newer version wrote something that must not be ignored.
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(format!("a row cannot be read: {error}"))
    }
}

impl From<DbError> for EngineError {
    fn from(error: DbError) -> Self {
        Self::unavailable(error.kind(), error.to_string())
    }
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Full => Self::Full(DbError::Full.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Why an operation changed nothing: the database failed, or the operation itself refused.
#[derive(Debug)]
pub(crate) enum Fail<E> {
    Db(DbError),
    Rejected(E),
}

impl<E> From<DbError> for Fail<E> {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl<E> From<rusqlite::Error> for Fail<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error.into())
    }
}

impl<E> From<serde_json::Error> for Fail<E> {
    fn from(error: serde_json::Error) -> Self {
        Self::Db(error.into())
    }
}

impl<E: From<DbError>> Fail<E> {
    pub(crate) fn into_error(self) -> E {
        match self {
            Self::Db(error) => error.into(),
            Self::Rejected(error) => error,
        }
    }
}
