use crate::{ByteRange, JobId, ResultFile};
use std::{fmt, future::Future, pin::Pin};

/// Reads released results of jobs, for sources of type `result`. The step that fetches files gets it, so that it need
/// neither know nor link the store.
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
}

/// What the calls of [`StoredResults`] give.
pub type StoredResultsFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoredResultsError>> + Send + 'a>>;

/// Why a result cannot be read. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredResultsError {
    /// There is no such result, or no longer.
    #[error("job {0} has no such result")]
    Missing(JobId),
    /// The store does not answer, or answers nonsense.
    #[error("{0}")]
    Unavailable(String),
}
