use super::{JobId, JobSpec, JobStatus, Labels, Timestamp};
use crate::Sha256;
use serde::{Deserialize, Serialize};
use std::{fmt, future::Future, pin::Pin};

/// What an engine's calls give: a boxed future of the standard library, for whatever runtime the program has.
///
/// Boxed, because the door holds one engine of a kind that is known only when the program starts (`dyn Engine`), which
/// `async fn` in traits cannot be; one allocation per call is nothing beside a job.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// What carries jobs out. The door decides and asks; an engine does, and never learns who asked.
///
/// An engine is its store: it can be dropped and made again at any moment, and goes on with every job where it is. No
/// method waits for a job to get anywhere.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Takes a job in. Done when it is stored for good. The same job once more changes nothing.
    ///
    /// # Errors
    /// [`EngineError::JobExists`] for another job of that name; [`EngineError::Full`]; [`EngineError::Unavailable`].
    fn submit(&self, job: JobSpec) -> EngineFuture<'_, JobStatus>;

    /// How a job is doing.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn status(&self, job: JobId) -> EngineFuture<'_, JobStatus>;

    /// The job as it was submitted.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn spec(&self, job: JobId) -> EngineFuture<'_, JobSpec>;

    /// The jobs that have all of these labels, by id, after the given one, at most so many.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    fn list(&self, labels: &Labels, after: Option<JobId>, at_most: u32) -> EngineFuture<'_, Vec<JobStatus>>;

    /// Asks for a job to be stopped, in whatever phase. Done when the wish is stored; [`JobStatus::phase`] says when it
    /// came true. Changes nothing for a job that has ended.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn stop(&self, job: JobId, at: Timestamp) -> EngineFuture<'_, JobStatus>;

    /// A part of the algorithm log, as far as it has been written. Shorter than asked for only at its present end.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn log(&self, job: JobId, range: ByteRange) -> EngineFuture<'_, Vec<u8>>;

    /// The results; none before their release. Order and content do not change afterwards.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn results(&self, job: JobId) -> EngineFuture<'_, Vec<ResultFile>>;

    /// A part of one result, by its place in [`Engine::results`]. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::NoSuchResult`], [`EngineError::Unavailable`].
    fn read_result(&self, job: JobId, index: u32, range: ByteRange) -> EngineFuture<'_, Vec<u8>>;
}

/// A part of a file: so many bytes from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Bytes before it.
    pub offset: u64,
    /// The most bytes to give. They are held in memory: the caller chooses.
    pub at_most: u32,
}

/// One result of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResultFile {
    /// Its path below `/data/outputs`, or the log's name. The guest's text: escape it before showing.
    pub name: String,
    /// What it is.
    pub kind: ResultKind,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// What a result is, in Ocean's words: clients depend on them, `configrationLog` included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ResultKind {
    /// What the algorithm wrote.
    Output,
    /// What the algorithm printed.
    AlgorithmLog,
    /// What configuration says of its work.
    #[serde(rename = "configrationLog")]
    ConfigurationLog,
    /// What filtering says of its work.
    FilteringLog,
    /// What publishing says of its work.
    PublishLog,
}

/// Why an engine could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It has no such job.
    #[error("no job {0}; it may have been removed")]
    NoSuchJob(JobId),
    /// The job has fewer results.
    #[error("job {job} has no result {index}; list its results first")]
    NoSuchResult {
        /// Which job.
        job: JobId,
        /// Which place.
        index: u32,
    },
    /// Another job has this name.
    #[error("job {0} exists and is another one; submit under a fresh id")]
    JobExists(JobId),
    /// It takes no more jobs for now.
    #[error("the environment has all the jobs that it takes; try again later")]
    Full,
    /// Its store, its cluster or its disk does not answer.
    #[error("the engine cannot be reached: {0}; try again, and ask the operator if it stays so")]
    Unavailable(String),
}

#[cfg(test)]
#[path = "contract_tests.rs"]
mod tests;
