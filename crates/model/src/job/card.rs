use super::{JobId, JobSpec, Timestamp};
use crate::{Account, Did, Sha256, Terms};
use serde::{Deserialize, Serialize};

/// What the service knows about a job from the moment of its decision: whose it is, and whose data it uses. Stored with
/// the job; access checks read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRecord {
    /// Whose job it is.
    pub owner: Account,
    /// Digest of the request, if the client may repeat it (idempotency).
    pub request: Option<Sha256>,
    /// Drawn at random for every submission. Of two identical requests within one millisecond, one becomes the job and the
    /// other finds it.
    pub attempt: u64,
    /// Its datasets, as they were at the decision.
    pub datasets: Vec<RecordedDataset>,
    /// Its algorithm, as it was at the decision; none: the job brought it.
    pub algorithm: Option<RecordedAsset>,
}

/// A dataset of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedDataset {
    /// Which dataset.
    #[serde(flatten)]
    pub asset: RecordedAsset,
    /// Whether its owner must approve results before they leave.
    pub review: bool,
}

/// An asset of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedAsset {
    /// Its DID.
    pub did: Did,
    /// The service through which it is used.
    pub service: String,
    /// Its publisher.
    pub publisher: Account,
    /// The revision of its description.
    pub revision: u64,
}

impl JobRecord {
    /// Whether the account published one of the datasets.
    #[must_use]
    pub fn published_by(&self, account: &Account) -> bool {
        self.datasets.iter().any(|dataset| dataset.asset.publisher == *account)
    }

    /// Whether the account's decision alone settles a review: it published every dataset that asks for one.
    #[must_use]
    pub fn reviewed_by(&self, account: &Account, terms: &Terms) -> bool {
        let mut wanted = self.datasets.iter().filter(|dataset| dataset.review).peekable();
        terms.release.review && wanted.peek().is_some() && wanted.all(|dataset| dataset.asset.publisher == *account)
    }
}

/// The part of a job that answers about it need: no source, no parameter, no code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobCard {
    /// Which job.
    pub id: JobId,
    /// When it was allowed.
    pub created: Timestamp,
    /// Whose it is and whose data it uses.
    pub record: JobRecord,
    /// What was decided.
    pub terms: Terms,
    /// Its datasets, in the order of `DIDS`.
    pub inputs: Vec<Did>,
}

impl JobSpec {
    /// The job without its secrets.
    #[must_use]
    pub fn card(&self) -> JobCard {
        JobCard {
            id: self.id,
            created: self.created,
            record: self.record.clone(),
            terms: self.terms.clone(),
            inputs: self.inputs.iter().map(|input| input.did.clone()).collect(),
        }
    }
}
