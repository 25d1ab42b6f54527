use super::{AuditEvent, Claim, QuotaExceeded};
use crate::{
    CommandLine, Environment, EnvironmentId, InterpreterId, JobCard, JobCursor, JobId, JobSpec, JobStatus, Labels,
    Phase, Secret, Seen, StandardInput,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
};

/// What the calls of an engine return: a boxed future of the standard library, so that any async runtime can drive it.
///
/// Boxed because a program chooses its engine when it starts and holds it as `dyn Backend`, which `async fn` in traits
/// does not allow. One allocation per call is small beside a job.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// The jobs of an engine: everything about a job but the files that come out of it ([`Outputs`](super::Outputs)).
///
/// An engine is its store: a program may drop it and open it again at any moment, and the engine goes on with every job
/// where the job is. No method but [`Jobs::wait`] waits for a job to make progress.
///
/// **No effect without its record.** Every method that changes something takes the [`AuditEvent`] that describes the
/// change. The engine guarantees that each change that took effect has its record. A record may exist without its effect
/// (an engine may have to write it first); a call that changes nothing records nothing.
///
/// **Reads after writes.** The process that made a change sees it at once. Other processes of the same engine see it
/// within the engine's delay (none for the local engine, the delay of a watch on a cluster).
pub trait Jobs: fmt::Debug + Send + Sync {
    /// Where jobs run, and how busy it is there.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    fn environments(&self) -> EngineFuture<'_, Vec<EnvironmentStatus>>;

    /// Takes a job in, and takes its claims, and records it: all of it or nothing. Done when it is stored for good.
    /// Submitting an identical job again changes nothing and returns the stored status. The claims are held by the job:
    /// the engine gives them up when the job ends, or keeps them for as long as what the job registered needs them.
    ///
    /// # Errors
    /// [`EngineError::JobExists`] for a different job of that id, also if it was removed, because its receipt stays;
    /// [`EngineError::Claimed`] if another holder has one of the claims; [`EngineError::Full`];
    /// [`EngineError::FullForAccount`] (accounts are told apart by [`JobSpec::queue`]); [`EngineError::Quota`] if the
    /// [limit](Claim::limit) of a claim is reached; [`EngineError::Unavailable`].
    fn submit(&self, job: JobSpec, claims: Vec<Claim>, record: AuditEvent) -> EngineFuture<'_, JobStatus>;

    /// The present status of a job.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn status(&self, job: JobId) -> EngineFuture<'_, JobStatus>;

    /// The status of a job once it differs from what the caller has seen ([`JobStatus::seen`]), or the unchanged status
    /// after a while (at most 30 seconds; the engine chooses). For followers.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], also if the job is removed meanwhile; [`EngineError::Unavailable`].
    fn wait(&self, job: JobId, seen: Seen) -> EngineFuture<'_, JobStatus>;

    /// Why a job is where it is, as the engine sees it.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn explain(&self, job: JobId) -> EngineFuture<'_, Explanation>;

    /// What an access check and an answer about a job need: whose it is, what it runs on, what was decided. It holds
    /// neither sources nor parameters nor code.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn card(&self, job: JobId) -> EngineFuture<'_, JobCard>;

    /// What the consumer gave the algorithm of a job beside its data. It is the consumer's: the caller decides who may see it.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn parameters(&self, job: JobId) -> EngineFuture<'_, JobParameters>;

    /// The jobs that match a query, the newest first.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    fn list(&self, query: JobQuery) -> EngineFuture<'_, Vec<JobStatus>>;

    /// Asks for a job to be stopped, in whatever phase it is, at [`AuditEvent::at`]. Done when the request is stored and
    /// recorded; [`JobStatus::phase`] says when it has taken effect. A job that has ended, or that was asked to stop
    /// before, is not changed and nothing is recorded.
    ///
    /// # Errors
    /// [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn stop(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus>;

    /// Asks for the results of a job to be stored at once that wait for the result store ([`JobStatus::store_wait`]), instead of
    /// after the pause. Done when the request is stored and recorded; the attempt begins afterwards, and may fail as the ones
    /// before. A request while one is under way changes nothing and is not recorded.
    ///
    /// # Errors
    /// [`EngineError::NotWaitingForStore`], [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn publish_again(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus>;

    /// Removes an ended job with its log and its results. Done when no call returns anything of it, except for its
    /// receipt ([`Outputs::receipt`](super::Outputs::receipt)), which stays. The bytes are deleted afterwards.
    ///
    /// # Errors
    /// [`EngineError::NotEnded`], [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn remove(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, ()>;

    /// Stores a reviewer's decision on a job in [`Phase::InReview`], made by [`AuditEvent::actor`] at
    /// [`AuditEvent::at`]. The first decision counts; a later one is an error and is not recorded. Where two accounts have to approve
    /// ([`ReleaseRules::needs_two`](crate::ReleaseRules::needs_two)), the first approval is stored and recorded, and the job stays in
    /// review.
    ///
    /// # Errors
    /// [`EngineError::AlreadyApproved`] for a second approval of the same account; [`EngineError::NotInReview`], [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn review(&self, job: JobId, verdict: ReviewVerdict, record: AuditEvent) -> EngineFuture<'_, JobStatus>;

    /// Stores that a publisher releases the withheld log of an ended job ([`JobStatus::withheld_log`]) as far as its own
    /// datasets withhold it: decided by [`AuditEvent::actor`] at [`AuditEvent::at`]. The consumer may read what the datasets of
    /// the publishers that have not released it let out; all, once none is left. A publisher that has released it already, or
    /// published none of the datasets, changes nothing, and nothing is recorded.
    ///
    /// # Errors
    /// [`EngineError::NoWithheldLog`], [`EngineError::NoSuchJob`], [`EngineError::Unavailable`].
    fn release_log(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
}

/// What the algorithm of a job is given beside its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobParameters {
    /// What becomes `algoCustomData.json`; none: `{}`.
    pub values: Option<Secret<Value>>,
    /// The arguments of its program, after its name.
    pub arguments: Vec<String>,
    /// What its program reads as its standard input, if anything.
    pub stdin: Option<StandardInput>,
}

impl JobParameters {
    /// Their size as text, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let values = self.values.as_ref().map_or(0, |values| values.expose().to_string().len());
        let stdin = self.stdin.iter().map(|(StandardInput::File(text) | StandardInput::Text(text))| text);
        self.arguments.iter().chain(stdin).fold(values, |sum, text| sum.saturating_add(text.len()))
    }
}

impl From<&JobSpec> for JobParameters {
    fn from(job: &JobSpec) -> Self {
        let CommandLine { arguments, stdin } = job.command_line();
        Self { values: job.parameters.clone(), arguments, stdin }
    }
}

/// A reviewer's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewVerdict {
    /// The outputs may leave.
    Approve,
    /// The outputs may not leave, for this reason, which the consumer is told.
    Refuse(String),
}

/// Which jobs to list.
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

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One line, safe to show.
    pub text: String,
    /// Jobs that come before it; none if it does not wait for its turn, or the engine cannot tell.
    pub ahead: Option<u64>,
}

/// A place where jobs run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentStatus {
    /// Its name, which jobs give.
    pub id: EnvironmentId,
    /// Its description, written by the operator.
    pub description: String,
    /// What it offers, as the permission decision needs it.
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

/// What kind of thing failed behind an engine: for metrics, and for deciding whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unavailability {
    /// The disk is full or fails.
    Disk,
    /// The database or the object store fails.
    Store,
    /// The cluster does not answer.
    Cluster,
    /// The engine could run nothing now, and holds its queue until it can. The text says why, and may be shown to anyone.
    Held,
    /// The service is shutting down.
    Ending,
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine does not have this job.
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
    /// A different job has this id.
    #[error("job {0} exists and is another one; submit under a fresh id")]
    JobExists(JobId),
    /// Another job or asset holds one of the claims that the job needs.
    #[error("{claim} is taken; choose another one, or wait until it is free", claim = .0.name())]
    Claimed(Claim),
    /// Only an ended job can be removed.
    #[error("job {0} has not ended; stop it first")]
    NotEnded(JobId),
    /// Its results do not wait for the result store.
    #[error(
        "the results of job {0} do not wait for the result store, so that nothing is stored again; `cloister job explain` says \
         where the job is"
    )]
    NotWaitingForStore(JobId),
    /// There is nothing to review.
    #[error("there is nothing to review: job {0} is not in review")]
    NotInReview(JobId),
    /// Two different accounts have to approve.
    #[error("you have approved the outputs of job {0}; another reviewer has to approve them, too")]
    AlreadyApproved(JobId),
    /// There is no log to release.
    #[error("job {0} has no withheld log: it has not ended, or its consumer may read its log")]
    NoWithheldLog(JobId),
    /// The environment takes no more jobs for now.
    #[error("the queue of the environment is full; try again later")]
    Full,
    /// The account has as many waiting jobs as one account may have.
    #[error(
        "you have {0} jobs in the queue, which is the most for one account; wait until some have started, or stop some of them"
    )]
    FullForAccount(u64),
    /// The owner of the job has as many assets as it may have, those that its unfinished jobs will register included.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// Its store, its cluster or its disk does not answer.
    #[error("the engine cannot be reached: {text}; try again, and ask the operator if it stays so")]
    Unavailable {
        /// What failed.
        kind: Unavailability,
        /// What went wrong, safe to show to an operator.
        text: String,
    },
}

impl EngineError {
    /// The engine cannot be reached.
    #[must_use]
    pub fn unavailable(kind: Unavailability, text: impl Into<String>) -> Self {
        Self::Unavailable { kind, text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use crate::Backend;

    /// Programs hold an engine of a kind that they choose when they start.
    #[test]
    fn a_backend_is_an_object() {
        fn holds(_: &dyn Backend) {}
        let _: fn(&dyn Backend) = holds;
    }
}
