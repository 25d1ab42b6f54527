//! Whom to tell that outputs wait for a review.

use crate::{ENVIRONMENT, UseCases, datasets_of};
use cloister_model::{Account, Claim, Did, EngineError, JobId, JobQuery, Labels, Phase, StoreError, Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// Jobs in review that are read for one answer: the newest. Earlier ones were told of when they were the newest.
const MOST: u32 = 500;

/// How long it is remembered that a review was told of, after it is over.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// That the outputs of a job wait for a review. Holds no text of a guest and none of the consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewNotice {
    /// Which job.
    pub job: JobId,
    /// Where it ran.
    pub environment: String,
    /// On which datasets, sorted.
    pub datasets: Vec<Did>,
    /// The publishers of the datasets that ask for a review, sorted.
    pub publishers: Vec<Account>,
    /// The accounts that their publisher has named to review beside.
    pub named: Vec<Account>,
    /// Who has approved already, where two have to.
    pub approved_by: Option<Account>,
    /// When the job expires if no reviewer has decided.
    pub until: Timestamp,
}

impl UseCases {
    /// The jobs whose outputs wait for a review now, those that have waited longest first.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    pub async fn review_notices(&self) -> Result<Vec<ReviewNotice>, EngineError> {
        let phases = Some(BTreeSet::from([Phase::InReview]));
        let query = JobQuery { labels: Labels::new(), phases, after: None, at_most: MOST };
        let mut waiting = self.backend().list(query).await?;
        waiting.sort_by_key(|job| job.changed);
        let mut notices = Vec::new();
        for job in waiting {
            let Some(found) = self.look_up_job(job.id).await? else { continue };
            let Some(waits) = self.review_wait(&found.status, &found.card) else { continue };
            notices.push(ReviewNotice {
                job: job.id,
                environment: job.labels.get(ENVIRONMENT).unwrap_or_default().to_owned(),
                datasets: datasets_of(&job.labels),
                publishers: waits.reviewers,
                named: waits.named,
                approved_by: waits.approved_by,
                until: waits.until,
            });
        }
        Ok(notices)
    }

    /// Whether no replica has sent a message about this before. From now on, one has.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn claim_notice(&self, notice: &ReviewNotice) -> Result<bool, StoreError> {
        let ReviewNotice { job, approved_by, until, .. } = notice;
        let remembered = u64::try_from(REMEMBERED.as_millis()).unwrap_or(u64::MAX);
        let until = Timestamp::from_unix_ms(until.unix_ms().saturating_add(remembered));
        let what = format!("{job} {}", approved_by.as_ref().map_or("", |account| account.key()));
        self.backend().claim(Claim::notice(&what, until)).await
    }
}
