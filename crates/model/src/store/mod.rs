//! What the door keeps, beside jobs: assets, keys, used nonces, uploads, and the record of what was decided. Traits only;
//! an engine's store implements them, so that a Cloister has one place for its state.

mod assets;
mod audit;
mod files;
mod keys;
mod nonces;

pub use assets::{Asset, AssetQuery, Registry};
pub use audit::{AuditAction, AuditBreak, AuditEvent, AuditLog, AuditRecord};
pub use files::{FileDigest, Files, Upload};
pub use keys::{ApiKey, KeyId, KeyIdError, Keyring, Role};
pub use nonces::Nonces;

use crate::EngineFuture;

/// Why a store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It changed since it was read, or it exists already.
    #[error("it was changed meanwhile; read it again and repeat the change")]
    Conflict,
    /// There is no such thing.
    #[error("there is no such entry")]
    Missing,
    /// It holds all that it may.
    #[error("the store is full: {0}")]
    Full(String),
    /// A source could not be read. The text is safe to show and holds no secret of the source.
    #[error("a source could not be fetched: {0}")]
    Source(String),
    /// Its disk or its cluster does not answer.
    #[error("the store cannot be reached: {0}; try again, and ask the operator if it stays so")]
    Unavailable(String),
}

/// What a store's calls give; see [`EngineFuture`].
pub type StoreFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Everything behind the door in one: what a program hands to it.
pub trait Backend: crate::Engine + Registry + Keyring + Nonces + Files + AuditLog {
    /// Whether it can take work now.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`](crate::EngineError::Unavailable), with what is wrong.
    fn ready(&self) -> EngineFuture<'_, ()>;
}
