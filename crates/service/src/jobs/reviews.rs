//! What waits for a reviewer.

use super::{JobAccess, JobError};
use crate::{
    Principal, UseCases,
    labels::{of_publisher, of_reviewer},
};
use cloister_model::{
    Account, EngineError, JobCard, JobCursor, JobId, JobParameters, JobQuery, JobStatus, Labels, Phase, ResultFile,
    ResultSet, Role, Timestamp,
};
use std::collections::BTreeSet;

/// Jobs in review that are read from the engine for one answer. More are answered once some of these are decided.
const MOST: u32 = 500;

/// Jobs of one answer whose parameters it shows: on a cluster, each of them takes requests to the API server.
const MOST_WITH_PARAMETERS: usize = 50;

/// Bytes of the parameters of one job that such an answer shows.
const MOST_PARAMETER_BYTES: usize = 4096;

/// A job whose outputs wait for a decision that the caller may make.
#[derive(Clone, Debug)]
pub struct WaitingReview {
    /// The job.
    pub job: JobStatus,
    /// Who decides, and until when.
    pub waits: ReviewWait,
    /// The outputs that wait; none for an operator, who decides without seeing them.
    pub outputs: Option<Vec<ResultFile>>,
    /// What its algorithm was given beside its data; none if that is long, or if many jobs have waited longer:
    /// [`UseCases::job_parameters`] has it.
    pub parameters: Option<JobParameters>,
}

/// Whom the outputs of a job wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewWait {
    /// The publishers of the datasets that ask for a review, sorted. If there are several, none of them alone can decide: an
    /// operator does.
    pub reviewers: Vec<Account>,
    /// Accounts that the publisher has named as reviewers. If there are any, two different accounts have to approve.
    pub named: Vec<Account>,
    /// Who has approved, where two have to.
    pub approved_by: Option<Account>,
    /// When the job expires if no reviewer has decided, by the present setting of the service.
    pub until: Timestamp,
}

impl UseCases {
    /// The jobs whose outputs wait for this principal's decision, those that have waited longest first.
    ///
    /// # Errors
    /// [`JobError::Engine`].
    pub async fn reviews(&self, who: &Principal) -> Result<Vec<WaitingReview>, JobError> {
        let labels = match who.is(Role::Operator) {
            true => vec![Labels::new()],
            false => [of_publisher(&who.account), of_reviewer(&who.account)].into_iter().flatten().collect(),
        };
        let mut waiting: Vec<WaitingReview> = Vec::new();
        for labels in labels {
            let phases = Some(BTreeSet::from([Phase::InReview]));
            for job in self.backend().list(JobQuery { labels, phases, after: None, at_most: MOST }).await? {
                waiting.extend(self.waiting(who, job).await?);
            }
        }
        waiting.sort_by_key(|one| (one.job.changed, JobCursor { created: one.job.created, job: one.job.id }));
        waiting.dedup_by_key(|one| one.job.id);
        for one in waiting.iter_mut().take(MOST_WITH_PARAMETERS) {
            one.parameters = self.short_parameters(who, one.job.id).await?;
        }
        Ok(waiting)
    }

    /// A job of the list, if the principal may decide about it and it is still undecided.
    async fn waiting(&self, who: &Principal, job: JobStatus) -> Result<Option<WaitingReview>, JobError> {
        let found = match self.find_job(&who.clone().into(), job.id, JobAccess::Review).await {
            Ok(found) => found,
            Err(JobError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(waits) = self.review_wait(&found.status, &found.card) else { return Ok(None) };
        let outputs = match found.card.record.reviewed_by(&who.account, &found.card.terms) {
            false => None,
            true => match self.backend().results(job.id, ResultSet::UnderReview).await {
                Ok(outputs) => Some(outputs),
                Err(EngineError::NotInReview(_) | EngineError::NoSuchJob(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Some(WaitingReview { job: found.status, waits, outputs, parameters: None }))
    }

    /// The parameters of a job, if they are short and the job still waits.
    async fn short_parameters(&self, who: &Principal, job: JobId) -> Result<Option<JobParameters>, JobError> {
        match self.job_parameters(who, job).await {
            Ok(parameters) => Ok(Some(parameters).filter(|parameters| parameters.bytes() <= MOST_PARAMETER_BYTES)),
            Err(JobError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whom a job waits for; none if it is not in review.
    pub(super) fn review_wait(&self, status: &JobStatus, card: &JobCard) -> Option<ReviewWait> {
        let wanted = card.record.datasets.iter().filter(|dataset| dataset.review);
        let reviewers: BTreeSet<Account> = wanted.map(|dataset| dataset.asset.publisher.clone()).collect();
        let until = status.changed.unix_ms().saturating_add(self.options().times.review_ms);
        (status.phase == Phase::InReview).then(|| ReviewWait {
            reviewers: reviewers.into_iter().collect(),
            named: card.terms.release.reviewers.iter().cloned().collect(),
            approved_by: status.review.as_ref().map(|review| review.by.clone()),
            until: Timestamp::from_unix_ms(until),
        })
    }
}
