use super::EngineFuture;
use crate::{Account, ByteRange, JobId, Report, ResultFile, ResultSet, StoredReceipt};
use std::fmt;

/// What comes out of jobs: log, report, results, receipt.
pub trait Outputs: fmt::Debug + Send + Sync {
    /// A part of the algorithm log, as far as this scope shows it. Nothing of it is lost while the job is there: what the
    /// consumer may not read is kept for the publishers of the datasets.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`](super::EngineError::NoSuchJob),
    /// [`EngineError::Unavailable`](super::EngineError::Unavailable).
    fn log(&self, job: JobId, scope: LogScope, range: ByteRange) -> EngineFuture<'_, LogPart>;

    /// The host's report of the run; none before the run has ended, or if nothing ran.
    ///
    /// # Errors
    /// As [`Outputs::log`].
    fn report(&self, job: JobId) -> EngineFuture<'_, Option<Report>>;

    /// The files of one set; an empty list if there are none (yet). Order and content of released files do not change
    /// afterwards.
    ///
    /// # Errors
    /// As [`Outputs::log`].
    fn results(&self, job: JobId, set: ResultSet) -> EngineFuture<'_, Vec<ResultFile>>;

    /// A part of one file, by its place in [`Outputs::results`]. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// As [`Outputs::log`], and [`EngineError::NoSuchResult`](super::EngineError::NoSuchResult).
    fn read_result(&self, job: JobId, set: ResultSet, index: u32, range: ByteRange) -> EngineFuture<'_, Vec<u8>>;

    /// The bytes of the released results of all jobs of an account that are there.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`](super::EngineError::Unavailable).
    fn result_bytes(&self, owner: Account) -> EngineFuture<'_, u64>;

    /// The receipt of a job; none while the job has not ended, and for jobs that an earlier version ended without one. It
    /// stays when the job is removed.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`](super::EngineError::NoSuchJob) if there is neither a job nor a receipt;
    /// [`EngineError::Unavailable`](super::EngineError::Unavailable).
    fn receipt(&self, job: JobId) -> EngineFuture<'_, Option<StoredReceipt>>;
}

/// How much of a log is shown. Which of them a reader is given is the caller's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogScope {
    /// What the job's consumer may read: at most what the output contract lets out, and nothing while the log is held with the
    /// outputs ([`ReleaseRules::holds_log`](crate::ReleaseRules::holds_log)), unless a publisher has released it
    /// ([`Jobs::release_log`](super::Jobs::release_log)). Then the total is 0.
    Readable,
    /// All that is kept.
    Kept,
}

/// A part of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    /// The bytes of the requested range that exist.
    pub bytes: Vec<u8>,
    /// The length of the log at present, in bytes, as far as the scope shows it.
    pub total: u64,
    /// Whether the log is complete: no byte will be added.
    pub ended: bool,
}
