use super::{JobAccess, JobError};
use crate::{Principal, UseCases};
use cloister_model::{JobId, JobStatus, Seen};

/// The right to follow a job, for as long as what its holder has shown is good.
#[derive(Clone, Debug)]
pub struct JobWatch {
    use_cases: UseCases,
    who: Principal,
    job: JobId,
}

impl UseCases {
    /// The right to follow a job, and its present status.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn watch_job(&self, who: &Principal, job: JobId) -> Result<(JobWatch, JobStatus), JobError> {
        let found = self.find_job(&who.clone().into(), job, JobAccess::Read).await?;
        Ok((JobWatch { use_cases: self.clone(), who: who.clone(), job }, found.status))
    }
}

impl JobWatch {
    /// The status once it differs from what was seen, or after a while (at most 30 seconds).
    ///
    /// # Errors
    /// [`JobError::NotFound`] if the job is removed meanwhile; [`JobError::Engine`].
    pub async fn wait(&self, seen: Seen) -> Result<JobStatus, JobError> {
        Ok(self.use_cases.backend().wait(self.job, seen).await?)
    }

    /// Whether its holder may still follow: a key may have expired or been revoked.
    pub async fn is_still_good(&self) -> bool {
        self.use_cases.is_still_good(&self.who).await
    }
}
