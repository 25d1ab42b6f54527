use super::{JobId, JobIdError, JobSpec, JobStatus, Labels, Timestamp};
use crate::{Environment, EnvironmentId, InterpreterId, Phase, Report, Sha256};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
    str::FromStr,
};

/// What an engine's calls give: a boxed future of the standard library, for whatever runtime the program has.
///
/// Boxed, because the door holds one engine of a kind that is known only when the program starts (`dyn Engine`), which
/// `async fn` in traits cannot be; one allocation per call is nothing beside a job.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// What carries jobs out. The door decides and asks; an engine does, and never learns who asked.
///
/// An engine is its store: it can be dropped and made again at any moment, and goes on with every job where it is. No
/// method but [`Engine::wait`] waits for a job to get anywhere.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Where jobs run, and how much is going on there.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    fn environments(&self) -> EngineFuture<'_, Vec<EnvironmentStatus>>;

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

    /// How a job is doing, once its [`JobStatus::revision`] is above the one seen, or after some time (at most 30
    /// seconds, the engine's choice) as it is. For followers.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], also if it is removed meanwhile; [`EngineError::Unavailable`].
    fn wait(&self, job: JobId, seen: u64) -> EngineFuture<'_, JobStatus>;

    /// Why a job is where it is, in the engine's view.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn explain(&self, job: JobId) -> EngineFuture<'_, Explanation>;

    /// The job as it was submitted.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn spec(&self, job: JobId) -> EngineFuture<'_, JobSpec>;

    /// The jobs that are asked for, the newest first.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    fn list(&self, query: JobQuery) -> EngineFuture<'_, Vec<JobStatus>>;

    /// Asks for a job to be stopped, in whatever phase. Done when the wish is stored; [`JobStatus::phase`] says when it
    /// came true. Changes nothing for a job that has ended.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn stop(&self, job: JobId, at: Timestamp) -> EngineFuture<'_, JobStatus>;

    /// Removes a job that has ended, with its log and its results. Done when nothing can be read of it any more.
    ///
    /// # Errors
    /// [`EngineError::NotEnded`], [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn remove(&self, job: JobId) -> EngineFuture<'_, ()>;

    /// A reviewer's word on a job in [`Phase::InReview`].
    ///
    /// # Errors
    /// [`EngineError::NotInReview`], [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn review(&self, job: JobId, verdict: ReviewVerdict, at: Timestamp) -> EngineFuture<'_, JobStatus>;

    /// A part of the algorithm log, as far as it has been written. Shorter than asked for only at its present end.
    /// Empty while it is held with the outputs ([`ReleaseRules::holds_log`](crate::ReleaseRules::holds_log)).
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn log(&self, job: JobId, range: ByteRange) -> EngineFuture<'_, Vec<u8>>;

    /// What the host reports of the run; none before it has ended, or if nothing ran.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn report(&self, job: JobId) -> EngineFuture<'_, Option<Report>>;

    /// The files on a shelf; none if there are none (yet). Order and content of released ones do not change afterwards.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn results(&self, job: JobId, shelf: Shelf) -> EngineFuture<'_, Vec<ResultFile>>;

    /// A part of one file, by its place in [`Engine::results`]. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::NoSuchResult`], [`EngineError::Unavailable`].
    fn read_result(&self, job: JobId, shelf: Shelf, index: u32, range: ByteRange) -> EngineFuture<'_, Vec<u8>>;
}

/// Whose eyes files are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// The consumer's: what was released.
    Released,
    /// A reviewer's: what waits for a word, while the job is in [`Phase::InReview`].
    Held,
}

/// A reviewer's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewVerdict {
    /// The outputs may leave.
    Approve,
    /// They may not, for this reason, which the consumer is told.
    Refuse(String),
}

/// Which jobs are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Those that have all of these.
    pub labels: Labels,
    /// Those in one of these phases; none: any.
    pub phases: Option<BTreeSet<Phase>>,
    /// Those that come after this place; none: from the newest on.
    pub after: Option<JobCursor>,
    /// At most so many.
    pub at_most: u32,
}

/// A place in the list of jobs, the newest first: `<created in ms>-<job>` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobCursor {
    /// When the job was allowed.
    pub created: Timestamp,
    /// Which job.
    pub job: JobId,
}

impl fmt::Display for JobCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.created.unix_ms(), self.job)
    }
}

impl FromStr for JobCursor {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        let (created, job) = text.split_once('-').ok_or(JobIdError)?;
        let created = created.parse().map(Timestamp::from_unix_ms).map_err(|_| JobIdError)?;
        Ok(Self { created, job: job.parse()? })
    }
}

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One line, safe to show.
    pub text: String,
    /// Jobs that come before it; none if it does not wait for its turn.
    pub ahead: Option<u64>,
}

/// Where jobs run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentStatus {
    /// Its name, which jobs give.
    pub id: EnvironmentId,
    /// What its operator says of it.
    pub description: String,
    /// What it offers, as the decision asks for it.
    pub offers: Environment,
    /// The installed interpreters, by name.
    pub interpreters: BTreeSet<InterpreterId>,
    /// Processors for all its jobs.
    pub cpus: u32,
    /// Memory for all its jobs, in bytes.
    pub memory_bytes: u64,
    /// The most that one job may have of memory, in bytes.
    pub job_memory_bytes: u64,
    /// The longest that one algorithm may run, in milliseconds.
    pub max_wall_ms: u64,
    /// The most jobs at once.
    pub max_jobs: u64,
    /// The most jobs that may wait.
    pub max_queued: u64,
    /// How many jobs are in each phase.
    pub phases: BTreeMap<Phase, u64>,
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
    /// Only an ended job can be removed.
    #[error("job {0} has not ended; stop it first")]
    NotEnded(JobId),
    /// There is nothing to review.
    #[error("job {0} is not in review; its phase says where it is")]
    NotInReview(JobId),
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
