use super::terms::TermsForm;
use cloister_model::{
    Account, Did, JobCard, JobId, JobRecord, OceanProvider, RecordedAsset, RecordedDataset, Sha256, Timestamp,
};
use serde::{Deserialize, Serialize};

/// A [`JobCard`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CardForm {
    id: JobId,
    created: Timestamp,
    record: RecordForm,
    terms: TermsForm,
    inputs: Vec<Did>,
}

impl CardForm {
    /// The owner of a job, by its stored card, without reading the rest; none if it cannot be read.
    pub(crate) fn owner(card: &str) -> Option<Account> {
        #[derive(Deserialize)]
        struct Record {
            owner: Account,
        }
        #[derive(Deserialize)]
        struct Card {
            record: Record,
        }
        serde_json::from_str(card).ok().map(|card: Card| card.record.owner)
    }
}

/// A [`JobRecord`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordForm {
    owner: Account,
    request: Option<Sha256>,
    attempt: u64,
    datasets: Vec<RecordedDatasetForm>,
    algorithm: Option<RecordedAssetForm>,
    /// Since version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<OceanProviderForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OceanProviderForm {
    account: Option<Account>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordedDatasetForm {
    #[serde(flatten)]
    asset: RecordedAssetForm,
    review: bool,
    /// Since version 3. Where it is missing, the publisher of another dataset reads no withheld log.
    #[serde(default)]
    log_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordedAssetForm {
    did: Did,
    service: String,
    publisher: Account,
    revision: u64,
}

impl From<&JobCard> for CardForm {
    fn from(card: &JobCard) -> Self {
        let JobCard { id, created, record, terms, inputs } = card;
        Self { id: *id, created: *created, record: record.into(), terms: terms.into(), inputs: inputs.clone() }
    }
}

impl From<CardForm> for JobCard {
    fn from(form: CardForm) -> Self {
        let CardForm { id, created, record, terms, inputs } = form;
        Self { id, created, record: record.into(), terms: terms.into(), inputs }
    }
}

impl From<&JobRecord> for RecordForm {
    fn from(record: &JobRecord) -> Self {
        let JobRecord { owner, request, attempt, datasets, algorithm, provider } = record.clone();
        let datasets = datasets.into_iter();
        Self {
            owner,
            request,
            attempt,
            datasets: datasets
                .map(|RecordedDataset { asset, review, log_bytes }| RecordedDatasetForm {
                    asset: asset.into(),
                    review,
                    log_bytes,
                })
                .collect(),
            algorithm: algorithm.map(Into::into),
            provider: provider.map(|OceanProvider { account }| OceanProviderForm { account }),
        }
    }
}

impl From<RecordForm> for JobRecord {
    fn from(form: RecordForm) -> Self {
        let RecordForm { owner, request, attempt, datasets, algorithm, provider } = form;
        let datasets = datasets.into_iter();
        Self {
            owner,
            request,
            attempt,
            datasets: datasets
                .map(|RecordedDatasetForm { asset, review, log_bytes }| RecordedDataset {
                    asset: asset.into(),
                    review,
                    log_bytes,
                })
                .collect(),
            algorithm: algorithm.map(Into::into),
            provider: provider.map(|OceanProviderForm { account }| OceanProvider { account }),
        }
    }
}

impl From<RecordedAsset> for RecordedAssetForm {
    fn from(asset: RecordedAsset) -> Self {
        let RecordedAsset { did, service, publisher, revision } = asset;
        Self { did, service, publisher, revision }
    }
}

impl From<RecordedAssetForm> for RecordedAsset {
    fn from(form: RecordedAssetForm) -> Self {
        let RecordedAssetForm { did, service, publisher, revision } = form;
        Self { did, service, publisher, revision }
    }
}
