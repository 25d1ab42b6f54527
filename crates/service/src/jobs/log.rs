use super::{JobAccess, JobError, access::FoundJob};
use crate::{Actor, Principal, UseCases};
use cloister_model::{AuditAction, ByteRange, JobId, JobStatus, LogPart, LogScope, Phase, WithheldLog};
use serde_json::json;

/// The algorithm log of a job, for an actor that may read it.
#[derive(Clone, Debug)]
pub struct JobLog {
    use_cases: UseCases,
    job: JobId,
    scope: LogScope,
    /// Of a withheld log, how much its reader may see.
    at_most: u64,
    withheld: Option<WithheldLog>,
}

impl JobLog {
    /// A part of the log, as far as it is written and may be read.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if the job was removed; [`JobError::Engine`].
    pub async fn read(&self, range: ByteRange) -> Result<LogPart, JobError> {
        let Self { use_cases, job, scope, at_most, withheld: _ } = self;
        let left = u32::try_from(at_most.saturating_sub(range.offset)).unwrap_or(u32::MAX);
        let range = ByteRange { at_most: range.at_most.min(left), ..range };
        let part = use_cases.backend().log(*job, *scope, range).await?;
        Ok(LogPart { total: part.total.min(*at_most), ..part })
    }

    /// Who withholds it from its reader, if the job has ended. It is empty then.
    #[must_use]
    pub fn withheld(&self) -> Option<&WithheldLog> {
        self.withheld.as_ref()
    }

    /// Its length at present, in bytes, as far as it may be read.
    ///
    /// # Errors
    /// As [`JobLog::read`].
    pub async fn length(&self) -> Result<u64, JobError> {
        Ok(self.read(ByteRange { offset: 0, at_most: 0 }).await?.total)
    }
}

impl UseCases {
    /// The algorithm log of a job, as far as its consumer may read it.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn job_log(&self, actor: &Actor, job: JobId) -> Result<JobLog, JobError> {
        let FoundJob { status, .. } = self.find_job(actor, job, JobAccess::Control).await?;
        let withheld = status.withheld_log.filter(|log| log.released().is_none());
        Ok(JobLog { use_cases: self.clone(), job, scope: LogScope::Readable, at_most: u64::MAX, withheld })
    }

    /// The log of an ended job that its consumer may not read, for a publisher. Reading it is recorded, once a day.
    ///
    /// # Errors
    /// [`JobError::NoWithheldLog`], [`JobError::NotFound`], [`JobError::Engine`], [`JobError::Store`].
    pub async fn withheld_log(&self, who: &Principal, job: JobId) -> Result<JobLog, JobError> {
        let FoundJob { card, status } = self.find_withheld_log(who, job, JobAccess::WithheldLog).await?;
        let detail = json!({"log": "withheld"});
        let record = Actor::from(who.clone()).event(self.now(), AuditAction::ResultDownloaded, &status, detail);
        self.record_download(record).await?;
        let at_most = card.record.log_bytes_for(&who.account);
        Ok(JobLog { use_cases: self.clone(), job, scope: LogScope::Kept, at_most, withheld: None })
    }

    /// Releases the withheld log of an ended job, as far as the rules of this publisher's own datasets withhold it. Its consumer
    /// may read it once all publishers that withhold it have released it. The first release of a publisher counts, and only that
    /// one is recorded.
    ///
    /// # Errors
    /// [`JobError::NoWithheldLog`], [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn release_log(&self, who: &Principal, job: JobId) -> Result<JobStatus, JobError> {
        let FoundJob { card, status } = self.find_withheld_log(who, job, JobAccess::ReleaseLog).await?;
        let own = card.record.datasets.iter().filter(|dataset| dataset.asset.publisher == who.account);
        let own: Vec<_> = own.map(|dataset| dataset.asset.did.to_string()).collect();
        let record =
            Actor::from(who.clone()).event(self.now(), AuditAction::LogReleased, &status, json!({"datasets": own}));
        Ok(self.backend().release_log(job, record).await?)
    }

    async fn find_withheld_log(&self, who: &Principal, job: JobId, access: JobAccess) -> Result<FoundJob, JobError> {
        let found = self.find_job(&who.clone().into(), job, access).await?;
        if found.status.withheld_log.is_some() { Ok(found) } else { Err(JobError::NoWithheldLog(job)) }
    }

    /// The log of a job that ended without results, for an Ocean Provider: none if there is nothing that it may read. Ocean lists
    /// the log of a failed algorithm as its only result.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn log_as_result(&self, actor: &Actor, job: &JobStatus) -> Result<Option<(JobLog, u64)>, JobError> {
        if !job.phase.has_ended() || job.phase == Phase::Finished {
            return Ok(None);
        }
        let log = self.job_log(actor, job.id).await?;
        let bytes = log.length().await?;
        Ok((bytes > 0).then_some((log, bytes)))
    }
}
