use super::JobError;
use crate::{Actor, OWNER, PROVIDER, Principal, Provider, UseCases};
use cloister_model::{Account, EngineError, JobCard, JobId, JobStatus, Labels, Phase, Review, Role, ServiceKind};

/// A kind of access to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobAccess {
    /// See how it is doing, and what it did: its owner, publishers of its datasets, operators; while it is in review, its
    /// reviewers.
    Read,
    /// Stop it, or have its results stored that wait for the result store: its owner, publishers of its datasets, operators.
    Stop,
    /// Remove it, and read its log: its owner and operators.
    Control,
    /// Read its results: its owner alone. An operator needs not see what was computed.
    Results,
    /// See outputs before they leave: the publisher of all datasets that ask for a review.
    ReadHeld,
    /// Decide whether they leave: the same, and operators, who decide without seeing them. (On datasets of several publishers,
    /// no publisher alone can decide.)
    Review,
    /// See what its consumer gave the algorithm: its owner. While its outputs are in review, those who may decide, too: a consumer
    /// sees before submission that a dataset asks for a review.
    Parameters,
    /// Read a log that is withheld from the consumer: a publisher, as far as the datasets of others let logs out.
    WithheldLog,
    /// Release a withheld log, as far as the rules of the own datasets withhold it: a publisher, who may decide this without
    /// being allowed to read it.
    ReleaseLog,
}

/// A job that the actor may have this access to.
#[derive(Clone, Debug)]
pub(crate) struct FoundJob {
    pub(crate) card: JobCard,
    pub(crate) status: JobStatus,
}

impl UseCases {
    /// A job; none if it does not exist. Makes the same look-ups in both cases, so that a job that is hidden takes as long as
    /// one that is missing.
    pub(crate) async fn look_up_job(&self, job: JobId) -> Result<Option<FoundJob>, EngineError> {
        let (card, status) = (self.backend().card(job).await, self.backend().status(job).await);
        match (card, status) {
            (Ok(card), Ok(status)) => Ok(Some(FoundJob { card, status })),
            (Err(EngineError::NoSuchJob(_)), _) | (_, Err(EngineError::NoSuchJob(_))) => Ok(None),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// A job, if it exists and the actor may do this with it. Everything else is the same [`JobError::NotFound`].
    pub(crate) async fn find_job(&self, actor: &Actor, job: JobId, access: JobAccess) -> Result<FoundJob, JobError> {
        let found = self.look_up_job(job).await?;
        let found = found.filter(|found| may(actor, found, access)).ok_or(JobError::NotFound)?;
        if let Actor::Principal(who) = actor
            && is_by_name(who, &found, access)
            && !self.is_reviewer_now(&who.account, &found.card).await?
        {
            return Err(JobError::NotFound);
        }
        Ok(found)
    }

    /// Whether an account is a reviewer of this job at present: it published a dataset that asks for a review, or such a dataset
    /// names it. (The job has the list of the moment at which it was submitted.)
    pub(super) async fn is_reviewer_now(&self, account: &Account, card: &JobCard) -> Result<bool, JobError> {
        let wanted = card.record.datasets.iter().filter(|dataset| dataset.review);
        if wanted.clone().any(|dataset| dataset.asset.publisher == *account) {
            return Ok(true);
        }
        for dataset in wanted {
            let Some(asset) = self.backend().asset(dataset.asset.did.clone()).await? else { continue };
            let service = asset.ddo.services().iter().find(|service| service.id == dataset.asset.service);
            let named = service.is_some_and(|service| match &service.kind {
                ServiceKind::Compute(rules) => rules.output_contract.release.reviewers.contains(account),
                ServiceKind::Access => false,
            });
            if named {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How a job is doing, if the actor may see it.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn job_status(&self, actor: &Actor, job: JobId) -> Result<JobStatus, JobError> {
        let status = match self.backend().status(job).await {
            Ok(status) => status,
            // As for a job that the actor may not see.
            Err(EngineError::NoSuchJob(_)) => {
                return Ok(self.find_job(actor, job, JobAccess::Read).await?.status);
            }
            Err(error) => return Err(error.into()),
        };
        // Asked more often than anything else. For owners and operators, the labels that the service has given the job are
        // enough.
        let by_labels = match actor {
            Actor::Principal(who) => {
                let owner = status.labels.get(OWNER);
                owner == Some(who.account.key()) || (owner.is_some() && who.is(Role::Operator))
            }
            Actor::Provider(provider) => reaches(provider, &status.labels),
        };
        if by_labels { Ok(status) } else { Ok(self.find_job(actor, job, JobAccess::Read).await?.status) }
    }
}

/// Whether a job with these labels was started through this Provider, for the consumer that it speaks for.
pub(super) fn reaches(provider: &Provider, labels: &Labels) -> bool {
    let Provider { account, consumer } = provider;
    account.as_ref().is_none_or(|account| labels.get(PROVIDER) == Some(account.key()))
        && consumer.as_ref().is_none_or(|consumer| labels.get(OWNER) == Some(consumer.key()))
}

/// Whether an account has this access only because a publisher had named it as a reviewer when the job was submitted. It may have been
/// taken off the list since.
pub(super) fn is_by_name(who: &Principal, job: &FoundJob, access: JobAccess) -> bool {
    let by_role = who.is(Role::Operator) && access != JobAccess::ReadHeld;
    if by_role || !job.card.terms.release.reviewers.contains(&who.account) {
        return false;
    }
    let mut unnamed = job.clone();
    unnamed.card.terms.release.reviewers.clear();
    !may(&Actor::from(who.clone()), &unnamed, access)
}

fn may(actor: &Actor, job: &FoundJob, access: JobAccess) -> bool {
    let FoundJob { card, status } = job;
    let who = match actor {
        Actor::Principal(who) => who,
        // A Provider acts as the consumer, who owns the job, and never as a reviewer.
        Actor::Provider(provider) => {
            let as_publisher = matches!(
                access,
                JobAccess::ReadHeld | JobAccess::Review | JobAccess::WithheldLog | JobAccess::ReleaseLog
            );
            return !as_publisher && reaches(provider, &status.labels);
        }
    };
    let owns = card.record.owner == who.account;
    let operates = who.is(Role::Operator);
    match access {
        JobAccess::Read => {
            let reviews = status.phase == Phase::InReview && card.record.reviewed_by(&who.account, &card.terms);
            owns || operates || card.record.published_by(&who.account) || reviews
        }
        JobAccess::Stop => owns || operates || card.record.published_by(&who.account),
        JobAccess::Control => owns || operates,
        JobAccess::Results => owns,
        JobAccess::WithheldLog => card.record.log_bytes_for(&who.account) > 0,
        JobAccess::ReleaseLog => card.record.published_by(&who.account),
        JobAccess::ReadHeld => card.record.reviewed_by(&who.account, &card.terms),
        JobAccess::Parameters => {
            // The first approval of two does not decide.
            let is_open = |review: &Review| review.approved && review.first.is_none() && card.terms.release.needs_two();
            let waits = status.phase == Phase::InReview && status.review.as_ref().is_none_or(is_open);
            owns || (waits && may(actor, job, JobAccess::Review))
        }
        JobAccess::Review => operates || card.record.reviewed_by(&who.account, &card.terms),
    }
}
