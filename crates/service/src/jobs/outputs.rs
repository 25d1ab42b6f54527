use super::{JobAccess, JobError, access::FoundJob};
use crate::{Actor, Principal, UseCases};
use cloister_model::{
    ByteRange, Explanation, JobId, JobRecord, JobStatus, LogPart, Phase, Report, ResultFile, ResultSet, Role, Terms,
};

/// The algorithm log of a job, for an actor that may read it.
#[derive(Clone, Debug)]
pub struct JobLog {
    use_cases: UseCases,
    job: JobId,
}

impl JobLog {
    /// A part of the log, as far as it is written and may be read.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if the job was removed; [`JobError::Engine`].
    pub async fn read(&self, range: ByteRange) -> Result<LogPart, JobError> {
        Ok(self.use_cases.backend().log(self.job, range).await?)
    }
}

impl UseCases {
    /// The algorithm log of a job.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn job_log(&self, actor: &Actor, job: JobId) -> Result<JobLog, JobError> {
        self.find_job(actor, job, JobAccess::Control).await?;
        Ok(JobLog { use_cases: self.clone(), job })
    }

    /// What a job has released, for its owner.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn results(&self, who: &Principal, job: JobId) -> Result<Vec<ResultFile>, JobError> {
        self.find_job(&who.clone().into(), job, JobAccess::Results).await?;
        Ok(self.backend().results(job, ResultSet::Released).await?)
    }

    /// The host's report of a run, as far as the caller may see it.
    ///
    /// # Errors
    /// [`JobError::NotFound`], also if nothing ran yet; [`JobError::Engine`].
    pub async fn report(&self, who: &Principal, job: JobId) -> Result<Report, JobError> {
        let FoundJob { card, status } = self.find_job(&who.clone().into(), job, JobAccess::Read).await?;
        let report = self.backend().report(job).await?.ok_or(JobError::NotFound)?;
        Ok(redact(report, status.phase, &card.record, who))
    }

    /// Why a job is where it is, and the terms on which it was allowed.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn explain_job(&self, who: &Principal, job: JobId) -> Result<(JobStatus, Explanation, Terms), JobError> {
        let FoundJob { card, status } = self.find_job(&who.clone().into(), job, JobAccess::Read).await?;
        Ok((status, self.backend().explain(job).await?, card.terms))
    }
}

/// The part of a report that a reader may see.
///
/// Names of outputs are the algorithm's own text, and the digest of a low-entropy value can be reversed by guessing. So the
/// report says nothing about outputs until they are released, and a publisher sees neither the files of other publishers
/// nor the consumer's parameters.
fn redact(report: Report, phase: Phase, record: &JobRecord, who: &Principal) -> Report {
    let mut report = report;
    if phase != Phase::Finished {
        report.outputs.clear();
    }
    if !who.is(Role::Operator) && record.owner != who.account {
        let own = |folder: &str| {
            let mut datasets = record.datasets.iter();
            datasets.any(|dataset| dataset.asset.publisher == who.account && dataset.asset.did.id() == folder)
        };
        report.inputs.retain(|file| match file.path.strip_prefix("inputs/") {
            Some(rest) => rest.split_once('/').is_some_and(|(folder, _)| own(folder)),
            None => true,
        });
    }
    report
}
