use super::{JobAccess, JobError, access::is_by_name};
use crate::{Principal, UseCases};
use cloister_model::{JobId, JobStatus, Seen};

/// The right to follow a job, for as long as what its holder has shown is good.
#[derive(Clone, Debug)]
pub struct JobWatch {
    use_cases: UseCases,
    who: Principal,
    job: JobId,
    /// Whether its holder has it as a named reviewer: for as long as the outputs wait and the holder is one.
    by_name: bool,
}

impl UseCases {
    /// The right to follow a job, and its present status.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn watch_job(&self, who: &Principal, job: JobId) -> Result<(JobWatch, JobStatus), JobError> {
        let found = self.find_job(&who.clone().into(), job, JobAccess::Read).await?;
        let by_name = is_by_name(who, &found, JobAccess::Read);
        Ok((JobWatch { use_cases: self.clone(), who: who.clone(), job, by_name }, found.status))
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

    /// Whether its holder may still follow: a key may have expired or been revoked, and a reviewer may have been taken off the list.
    pub async fn is_still_good(&self) -> bool {
        let Self { use_cases, who, job, by_name } = self;
        let may = !by_name || use_cases.find_job(&who.clone().into(), *job, JobAccess::Read).await.is_ok();
        may && use_cases.is_still_good(who).await
    }
}
