use cloister_model::{EngineError, StoreError};
use rusqlite::ErrorCode;

/// Why the database did not do what it was asked. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Db {
    #[error("the disk is full; nothing was changed. Make room")]
    Full,
    #[error("the database is locked by another program; nothing was changed. End that program")]
    Locked,
    #[error("the database is damaged ({0}); stop the service and restore it from a backup")]
    Damaged(String),
    #[error("the database failed: {0}")]
    Other(String),
}

impl From<rusqlite::Error> for Db {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Db {
    /// A row that this program wrote and cannot read.
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(format!("a row cannot be read: {error}"))
    }
}

impl From<Db> for EngineError {
    fn from(error: Db) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Db> for StoreError {
    fn from(error: Db) -> Self {
        match error {
            Db::Full => Self::Full(Db::Full.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Why an operation changed nothing: the database failed, or the operation itself said no.
#[derive(Debug)]
pub(crate) enum Fail<E> {
    Db(Db),
    Said(E),
}

impl<E> From<Db> for Fail<E> {
    fn from(error: Db) -> Self {
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

impl<E: From<Db>> Fail<E> {
    pub(crate) fn into_said(self) -> E {
        match self {
            Self::Db(error) => error.into(),
            Self::Said(error) => error,
        }
    }
}
