use super::{JobAccess, JobError, access::FoundJob};
use crate::{Actor, Principal, UseCases};
use cloister_model::{
    AuditAction, EngineError, JobCard, JobId, JobStatus, Phase, ResultFile, ResultSet, Review, ReviewVerdict, escape,
};
use serde_json::json;

/// Characters of a reviewer's reason on record.
const MOST_REASON: usize = 500;

impl UseCases {
    /// Asks for a job to be stopped: its owner, a publisher of one of its datasets, an operator. A job that has ended stays as
    /// it is, and nothing is recorded.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn stop_job(&self, actor: &Actor, job: JobId) -> Result<JobStatus, JobError> {
        let FoundJob { status, .. } = self.find_job(actor, job, JobAccess::Stop).await?;
        if status.phase.has_ended() {
            return Ok(status);
        }
        let record = actor.event(self.now(), AuditAction::JobStopped, &status, json!({"phase": status.phase}));
        Ok(self.backend().stop(job, record).await?)
    }

    /// Has results that wait for the result store stored at once. All accounts that may stop the job may ask for this.
    ///
    /// # Errors
    /// [`JobError::NotWaitingForStore`], [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn publish_job(&self, actor: &Actor, job: JobId) -> Result<JobStatus, JobError> {
        let FoundJob { status, .. } = self.find_job(actor, job, JobAccess::Stop).await?;
        let Some(wait) = &status.store_wait else { return Err(JobError::NotWaitingForStore(job)) };
        let detail = json!({"failures": wait.failures});
        let record = actor.event(self.now(), AuditAction::PublishingAsked, &status, detail);
        Ok(self.backend().publish_again(job, record).await?)
    }

    /// Removes a job that has ended, with its log and its results. Its receipt stays.
    ///
    /// # Errors
    /// [`JobError::NotEnded`], [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn remove_job(&self, actor: &Actor, job: JobId) -> Result<(), JobError> {
        let FoundJob { status, .. } = self.find_job(actor, job, JobAccess::Control).await?;
        if !status.phase.has_ended() {
            return Err(JobError::NotEnded(job));
        }
        let record = actor.event(self.now(), AuditAction::JobRemoved, &status, json!({"phase": status.phase}));
        Ok(self.backend().remove(job, record).await?)
    }

    /// The outputs that wait for this reviewer's decision.
    ///
    /// # Errors
    /// [`JobError::NotInReview`], [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn outputs_under_review(&self, who: &Principal, job: JobId) -> Result<Vec<ResultFile>, JobError> {
        self.find_in_review(who, job, JobAccess::ReadHeld).await?;
        Ok(self.backend().results(job, ResultSet::UnderReview).await?)
    }

    /// Decides whether outputs may leave. The first decision counts, and only that one is recorded.
    ///
    /// # Errors
    /// [`JobError::NotInReview`], [`JobError::ApproverGone`], [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn review(&self, who: &Principal, job: JobId, verdict: ReviewVerdict) -> Result<JobStatus, JobError> {
        let FoundJob { status, card } = self.find_with_card(who, job, JobAccess::Review).await?;
        if verdict == ReviewVerdict::Approve {
            self.check_first_approval(&status, &card).await?;
        }
        let detail = match &verdict {
            ReviewVerdict::Approve => json!({"verdict": "approve"}),
            ReviewVerdict::Refuse(reason) => {
                json!({"verdict": "refuse", "reason": escape(reason.as_bytes(), MOST_REASON).to_string()})
            }
        };
        let record = Actor::from(who.clone()).event(self.now(), AuditAction::Reviewed, &status, detail);
        Ok(self.backend().review(job, verdict, record).await?)
    }

    /// A job in review, for an account with this access.
    pub(crate) async fn find_in_review(
        &self,
        who: &Principal,
        job: JobId,
        access: JobAccess,
    ) -> Result<JobStatus, JobError> {
        Ok(self.find_with_card(who, job, access).await?.status)
    }

    async fn find_with_card(&self, who: &Principal, job: JobId, access: JobAccess) -> Result<FoundJob, JobError> {
        let found = self.find_job(&who.clone().into(), job, access).await?;
        match found.status.phase {
            Phase::InReview => Ok(found),
            _ => Err(EngineError::NotInReview(job).into()),
        }
    }

    /// Checks that an earlier approval counts still: an account that was taken off the list since is none of the two that have to
    /// approve.
    async fn check_first_approval(&self, status: &JobStatus, card: &JobCard) -> Result<(), JobError> {
        let Some(Review { approved: true, by, first: None, .. }) = &status.review else { return Ok(()) };
        if !card.terms.release.reviewers.contains(by) || self.is_reviewer_now(by, card).await? {
            return Ok(());
        }
        Err(JobError::ApproverGone(status.id))
    }
}
