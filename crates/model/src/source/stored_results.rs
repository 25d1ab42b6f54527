use crate::{ByteRange, JobId, ResultFile, Sha256};
use std::{fmt, future::Future, pin::Pin};

/// Reads released results of jobs and uploads, for sources of type `result` and `upload`. The step that fetches files gets
/// it, so that it need neither know nor link the store.
pub trait StoredResults: fmt::Debug + Send + Sync {
    /// What one result is.
    ///
    /// # Errors
    /// [`StoredResultsError`].
    fn describe(&self, job: JobId, index: u32) -> StoredResultsFuture<'_, ResultFile>;

    /// A part of one result. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// [`StoredResultsError`].
    fn read_part(&self, job: JobId, index: u32, range: ByteRange) -> StoredResultsFuture<'_, Vec<u8>>;

    /// The size of an upload in bytes; none if the store has no such upload, or keeps no uploads at all.
    ///
    /// # Errors
    /// [`StoredResultsError::Unavailable`].
    fn upload_size(&self, sha256: Sha256) -> StoredResultsFuture<'_, Option<u64>>;

    /// A part of an upload. Shorter than asked for only at its end. The bytes are as the store has them: check the digest of
    /// the whole.
    ///
    /// # Errors
    /// [`StoredResultsError::NoUpload`], [`StoredResultsError::Unavailable`].
    fn upload_part(&self, sha256: Sha256, range: ByteRange) -> StoredResultsFuture<'_, Vec<u8>>;
}

/// What the calls of [`StoredResults`] give.
pub type StoredResultsFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoredResultsError>> + Send + 'a>>;

/// Why a result or an upload cannot be read. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredResultsError {
    /// There is no such result, or no longer.
    #[error("job {0} has no such result")]
    Missing(JobId),
    /// There is no such upload, or no longer.
    #[error("there is no such upload")]
    NoUpload(Sha256),
    /// The store does not answer, or answers nonsense.
    #[error("{0}")]
    Unavailable(String),
}
