use cloister_model::{EngineError, JobId, StoreError};

/// Why something was not done with a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The job or a part of it does not exist, or the caller may not see it: the answer is the same.
    #[error("there is no such job that you may see")]
    NotFound,
    /// Only an ended job can be removed.
    #[error("job {0} has not ended; stop it first")]
    NotEnded(JobId),
    /// The results of the job do not wait for the result store.
    #[error(
        "the results of job {0} do not wait for the result store, so that nothing is stored again; `cloister job explain` says \
         where the job is"
    )]
    NotWaitingForStore(JobId),
    /// The job is not in review.
    #[error("there is nothing to review: job {0} is not in review")]
    NotInReview(JobId),
    /// Two different accounts have to approve.
    #[error("you have approved the outputs of job {0}; another reviewer has to approve them, too")]
    AlreadyApproved(JobId),
    /// The first of two accounts that have to approve is no reviewer any more.
    #[error(
        "the account that approved the outputs of job {0} first is no longer a reviewer, so that its approval does not count; \
         refuse the outputs, or name that account as a reviewer again"
    )]
    ApproverGone(JobId),
    /// The job has no withheld log.
    #[error("job {0} has no withheld log: it has not ended, or its consumer may read its log")]
    NoWithheldLog(JobId),
    /// The jobs of another account were asked for.
    #[error("only operators see the jobs of others; leave `owner` out")]
    OthersJobs,
    /// The engine.
    #[error(transparent)]
    Engine(EngineError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<EngineError> for JobError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NoSuchJob(_) | EngineError::NoSuchResult { .. } => Self::NotFound,
            EngineError::NotEnded(job) => Self::NotEnded(job),
            EngineError::NotWaitingForStore(job) => Self::NotWaitingForStore(job),
            EngineError::NotInReview(job) => Self::NotInReview(job),
            EngineError::AlreadyApproved(job) => Self::AlreadyApproved(job),
            EngineError::NoWithheldLog(job) => Self::NoWithheldLog(job),
            other => Self::Engine(other),
        }
    }
}
