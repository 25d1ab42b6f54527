use super::{SubmitError, decision::Decided};
use cloister_model::{Account, Did, JobSpec, Secret, Sha256, Terms};
use serde::{Deserialize, Serialize};

/// What the door keeps with a job about its decision, to know later who may see what of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Whose job it is.
    pub(crate) owner: Account,
    /// Digest of the request, if it may come again.
    pub(crate) request: Option<Sha256>,
    /// Drawn for every submission: of two of the same request in the same millisecond, one is the job and the other finds
    /// it there.
    pub(crate) attempt: u64,
    /// Its datasets, as they were.
    pub(crate) datasets: Vec<RecordedDataset>,
    /// Its algorithm, as it was; none: the job brought it.
    pub(crate) algorithm: Option<RecordedAsset>,
}

/// A dataset of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordedDataset {
    /// Which, and whose.
    #[serde(flatten)]
    pub(crate) asset: RecordedAsset,
    /// Whether its owner must agree before results leave.
    pub(crate) review: bool,
}

/// An asset of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordedAsset {
    /// Which.
    pub(crate) did: Did,
    /// Through which service.
    pub(crate) service: String,
    /// Whose.
    pub(crate) publisher: Account,
    /// Which revision of its description.
    pub(crate) revision: u64,
}

impl Record {
    pub(super) fn new(owner: &Account, request: Option<Sha256>, attempt: u64, decided: &Decided) -> Self {
        Self {
            owner: owner.clone(),
            request,
            attempt,
            datasets: decided.recorded_datasets(),
            algorithm: decided.recorded_algorithm(),
        }
    }

    /// As it is kept with the job.
    pub(super) fn write(&self) -> Result<Secret<serde_json::Value>, SubmitError> {
        serde_json::to_value(self).map(Secret::new).map_err(|_| SubmitError::Internal("a record cannot be written"))
    }

    /// What was kept with a job; none if it is no job of this door.
    pub(crate) fn of(spec: &JobSpec) -> Option<Self> {
        Self::deserialize(spec.record.expose()).ok()
    }

    /// Whether the account published one of the datasets.
    pub(crate) fn published_by(&self, account: &Account) -> bool {
        self.datasets.iter().any(|dataset| dataset.asset.publisher == *account)
    }

    /// Whether the account's word alone settles a review: every dataset that wants one is theirs.
    pub(crate) fn reviewed_by(&self, account: &Account, terms: &Terms) -> bool {
        let mut wanted = self.datasets.iter().filter(|dataset| dataset.review).peekable();
        terms.release.review && wanted.peek().is_some() && wanted.all(|dataset| dataset.asset.publisher == *account)
    }
}
