//! With which parameters an algorithm runs: the consumer's, shown only to those who decide about the outputs.

use super::{JobAccess, JobError};
use crate::{Principal, UseCases, submission::MANY};
use cloister_model::{JobId, JobParameters};

impl UseCases {
    /// What the algorithm of a job is given beside its data: for the owner of the job, and while its outputs wait for a review
    /// for those who may decide about them.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn job_parameters(&self, who: &Principal, job: JobId) -> Result<JobParameters, JobError> {
        self.find_job(&who.clone().into(), job, JobAccess::Parameters).await?;
        let _share = self.shares().take(&who.account, MANY).await;
        Ok(self.backend().parameters(job).await?)
    }
}
