//! The labels by which jobs are found again.

use crate::JobLabel;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cloister_model::{Account, Did, LabelError, Labels, Sha256};
use std::collections::BTreeSet;

/// The owner of a job: the account's key.
pub const OWNER: &str = "owner";
/// The owner as an Ocean Provider wrote it: Ocean's clients compare letters.
pub const OWNER_AS_SENT: &str = "owner-as-sent";
/// The Ocean Provider that started a job.
pub const PROVIDER: &str = "provider";
/// The Ocean agreement of a job.
pub const AGREEMENT: &str = "agreement";
/// The identifier of a job's algorithm, if it is published.
pub const ALGORITHM: &str = "algorithm";
/// The digest of the upload that a job runs, if it brings one.
pub const UPLOAD: &str = "upload";
/// The environment that a job runs in.
pub const ENVIRONMENT: &str = "environment";

/// What the consumer calls a job, in base64: labels have no spaces.
const LABEL: &str = "label";

/// The beginning of the labels of datasets.
const DATASET: &str = "d-";

/// The beginning of the labels of the publishers of datasets.
const PUBLISHER: &str = "p-";

/// The beginning of the labels of accounts that publishers have named as reviewers.
const REVIEWER: &str = "r-";

/// Reviewers that a job is labelled with. Others find it by its id only.
const MOST_REVIEWERS: usize = 4;

/// Publishers of datasets that a job is labelled with. A job on datasets of more publishers is found by the others by its
/// datasets only.
const MOST_PUBLISHERS: usize = 16;

/// The label of a publisher of datasets; its value is the account's key.
fn publisher_label(publisher: &Account) -> String {
    let digest = Sha256::of(publisher.key().as_bytes()).to_string();
    format!("{PUBLISHER}{}", &digest[..28])
}

/// The label of a reviewer; its value is the account's key.
fn reviewer_label(reviewer: &Account) -> String {
    let digest = Sha256::of(reviewer.key().as_bytes()).to_string();
    format!("{REVIEWER}{}", &digest[..28])
}

/// The label of every job that this account was named to review.
pub(crate) fn of_reviewer(reviewer: &Account) -> Result<Labels, LabelError> {
    Labels::new().with(&reviewer_label(reviewer), reviewer.key())
}

/// The same labels and those of these reviewers.
pub(crate) fn with_reviewers<'a>(
    labels: Labels,
    reviewers: impl IntoIterator<Item = &'a Account>,
) -> Result<Labels, LabelError> {
    let mut reviewers = reviewers.into_iter().take(MOST_REVIEWERS);
    reviewers.try_fold(labels, |all, reviewer| all.with(&reviewer_label(reviewer), reviewer.key()))
}

/// The label of every job on a dataset of this publisher.
pub(crate) fn of_publisher(publisher: &Account) -> Result<Labels, LabelError> {
    Labels::new().with(&publisher_label(publisher), publisher.key())
}

/// The label of a dataset; its value is the dataset's identifier. The name of a label has 32 characters, so this one has
/// the first 28 digits of a digest.
pub(crate) fn dataset_label(did: &Did) -> String {
    let digest = Sha256::of(did.id().as_bytes()).to_string();
    format!("{DATASET}{}", &digest[..28])
}

/// The datasets that labels name, sorted.
#[must_use]
pub fn datasets_of(labels: &Labels) -> Vec<Did> {
    let values = labels.iter().filter(|(name, _)| name.starts_with(DATASET)).map(|(_, value)| value);
    let mut datasets: Vec<Did> = values.filter_map(|value| value.parse().ok()).collect();
    datasets.sort();
    datasets
}

/// What the consumer calls a job, if they named it.
#[must_use]
pub fn label_of(labels: &Labels) -> Option<JobLabel> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(labels.get(LABEL)?).ok()?;
    String::from_utf8(bytes).ok()?.parse().ok()
}

/// What a job is labelled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelledBy<'a> {
    pub(crate) owner: &'a Account,
    pub(crate) environment: &'a str,
    pub(crate) algorithm: Option<&'a Did>,
    pub(crate) upload: Option<&'a str>,
    pub(crate) agreement: Option<&'a str>,
    pub(crate) label: Option<&'a JobLabel>,
    /// The owner as written, and the account of the Provider, if one started the job.
    pub(crate) provider: Option<(&'a str, Option<&'a Account>)>,
}

/// All labels of a job on these datasets, each with its publisher.
pub(crate) fn labels<'a>(
    by: LabelledBy<'_>,
    datasets: impl IntoIterator<Item = (&'a Did, &'a Account)>,
) -> Result<Labels, LabelError> {
    let LabelledBy { owner, environment, algorithm, upload, agreement, label, provider } = by;
    let label = label.map(|label| BASE64_URL_SAFE_NO_PAD.encode(label.as_str()));
    let given = [
        Some((OWNER, owner.key())),
        Some((ENVIRONMENT, environment)),
        algorithm.map(|did| (ALGORITHM, did.id())),
        upload.map(|sha256| (UPLOAD, sha256)),
        agreement.map(|agreement| (AGREEMENT, agreement)),
        label.as_deref().map(|label| (LABEL, label)),
        provider.map(|(as_sent, _)| (OWNER_AS_SENT, as_sent)),
        provider.and_then(|(_, account)| account).map(|account| (PROVIDER, account.key())),
    ];
    let labels = given.into_iter().flatten().try_fold(Labels::new(), |all, (name, value)| all.with(name, value))?;
    let mut publishers = BTreeSet::new();
    datasets.into_iter().try_fold(labels, |all, (did, publisher)| {
        let all = all.with(&dataset_label(did), did.id())?;
        let is_new = publishers.len() < MOST_PUBLISHERS && publishers.insert(publisher.key());
        if is_new { all.with(&publisher_label(publisher), publisher.key()) } else { Ok(all) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_are_found_again() {
        let did = |text: &str| text.parse::<Did>().expect("a DID");
        let (one, other, stats) = (did("penguins"), did("A_b-3"), did("stats"));
        let owner: Account = "0xAB".parse().expect("an account");
        let by = LabelledBy {
            owner: &owner,
            environment: "local",
            algorithm: Some(&stats),
            upload: None,
            agreement: None,
            label: None,
            provider: None,
        };
        let alice: Account = "alice".parse().expect("an account");
        let labels = labels(by, [(&one, &alice), (&other, &owner)]).expect("labels");
        for publisher in [&alice, &owner] {
            assert!(labels.matches(&of_publisher(publisher).expect("a label")), "{publisher}");
        }
        assert!(!labels.matches(&of_publisher(&"bob".parse().expect("an account")).expect("a label")));
        assert_eq!(datasets_of(&labels), [other, one.clone()]);
        assert_eq!((labels.get(ALGORITHM), labels.get(OWNER)), (Some("stats"), Some("0xAB")));
        assert_eq!(label_of(&labels), None);
        // printf penguins | sha256sum
        assert_eq!(dataset_label(&one).len(), 30);
        assert_eq!(labels.get(&dataset_label(&one)), Some("penguins"));
    }
    #[test]
    fn any_text_that_is_a_label_is_found_again() {
        let owner: Account = "bob".parse().expect("an account");
        for text in ["baseline, 3rd try", "größer \\ kleiner", &"x".repeat(100), &"ä".repeat(95), "日本語のラベル"]
        {
            let label: JobLabel = text.parse().expect("a label");
            let by = LabelledBy {
                owner: &owner,
                environment: "local",
                algorithm: None,
                upload: None,
                agreement: None,
                label: Some(&label),
                provider: None,
            };
            assert_eq!(label_of(&labels(by, []).expect("labels")), Some(label), "{text}");
        }
    }

    #[test]
    fn as_many_datasets_and_publishers_as_a_job_can_have_fit() {
        let owner: Account = "bob".parse().expect("an account");
        let stats: Did = "stats".parse().expect("a DID");
        let by = LabelledBy {
            owner: &owner,
            environment: "local",
            algorithm: Some(&stats),
            upload: Some("ab"),
            agreement: Some("x"),
            label: None,
            provider: Some(("bob", Some(&owner))),
        };
        let many: Vec<(Did, Account)> = (0..100)
            .map(|n| (format!("d{n}").parse().expect("a DID"), format!("p{n}").parse().expect("an account")))
            .collect();
        let labels = labels(by, many.iter().map(|(did, publisher)| (did, publisher))).expect("labels");
        assert_eq!(datasets_of(&labels).len(), 100);
    }
}
