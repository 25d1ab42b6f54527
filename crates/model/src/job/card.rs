use super::{FailureDetail, JobId, JobSpec, Timestamp};
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
    /// The Ocean Provider that asked for it; none: its owner did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<OceanProvider>,
}

/// An Ocean Provider that asks for jobs of consumers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OceanProvider {
    /// Its account; none: no Provider vouches for the request, and the operator accepts that.
    pub account: Option<Account>,
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
    /// How many bytes of the algorithm log its rules alone let out unseen, to anyone: 0 if it lets none out, or holds the log
    /// until a person or a program has seen the outputs.
    pub log_bytes: u64,
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

    /// Whether the account may see and review outputs: it published every dataset that asks for a review, or the one publisher of
    /// these named it as a reviewer.
    #[must_use]
    pub fn reviewed_by(&self, account: &Account, terms: &Terms) -> bool {
        let mut wanted = self.datasets.iter().filter(|dataset| dataset.review).map(|dataset| &dataset.asset.publisher);
        let Some(publisher) = wanted.next().filter(|_| terms.release.review) else { return false };
        // An account that was only named does not decide about results of its own.
        let named = self.owner != *account && terms.release.reviewers.contains(account);
        wanted.all(|other| other == publisher) && (publisher == account || named)
    }

    /// Whether the account may read a failure's detail: it published the asset that the detail is about, or brought the
    /// algorithm.
    #[must_use]
    pub fn may_read_detail(&self, account: &Account, detail: &FailureDetail) -> bool {
        let Some(did) = detail.asset() else { return self.owner == *account };
        let mut assets = self.datasets.iter().map(|dataset| &dataset.asset).chain(&self.algorithm);
        assets.any(|asset| asset.did == *did && asset.publisher == *account)
    }

    /// The datasets that let no byte of the log out unseen.
    #[must_use]
    pub fn withholding_log(&self) -> Vec<Did> {
        let withholding = self.datasets.iter().filter(|dataset| dataset.log_bytes == 0);
        withholding.map(|dataset| dataset.asset.did.clone()).collect()
    }

    /// How many bytes of a withheld log the account may read. A log may hold data of every dataset, so each dataset of another
    /// publisher limits it to what that dataset lets out. 0 for an account that published none.
    #[must_use]
    pub fn log_bytes_for(&self, account: &Account) -> u64 {
        if !self.published_by(account) {
            return 0;
        }
        self.log_bytes_without(|publisher| publisher == account)
    }

    /// How many bytes of a withheld log may leave when these accounts have released it: what the datasets of all other
    /// publishers let out.
    #[must_use]
    pub fn log_bytes_released_by(&self, accounts: &[&Account]) -> u64 {
        self.log_bytes_without(|publisher| accounts.contains(&publisher))
    }

    /// What the datasets let out together if those of these publishers do not count.
    fn log_bytes_without(&self, counts_not: impl Fn(&Account) -> bool) -> u64 {
        let others = self.datasets.iter().filter(|dataset| !counts_not(&dataset.asset.publisher));
        others.map(|dataset| dataset.log_bytes).min().unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(datasets: &[(&str, &str, u64)]) -> JobRecord {
        let dataset = |(did, publisher, log_bytes): &(&str, &str, u64)| RecordedDataset {
            asset: RecordedAsset {
                did: did.parse().expect("a DID"),
                service: "compute".to_owned(),
                publisher: publisher.parse().expect("an account"),
                revision: 1,
            },
            review: false,
            log_bytes: *log_bytes,
        };
        let owner = "carol".parse().expect("an account");
        JobRecord {
            owner,
            request: None,
            attempt: 1,
            datasets: datasets.iter().map(dataset).collect(),
            algorithm: None,
            provider: None,
        }
    }

    #[test]
    fn a_detail_is_for_the_publisher_of_its_asset() {
        let record = record(&[("a", "alice", 0), ("b", "bob", 0)]);
        let may = |account: &str, asset: Option<&str>| {
            let detail = FailureDetail::new(asset.map(|did| did.parse().expect("a DID")), "it answered 404");
            record.may_read_detail(&account.parse().expect("an account"), &detail)
        };
        assert!(may("alice", Some("a")) && may("bob", Some("b")) && may("carol", None));
        assert!(
            !may("alice", Some("b")) && !may("carol", Some("a")) && !may("alice", None) && !may("alice", Some("c"))
        );
    }

    #[test]
    fn outputs_are_reviewed_by_their_publisher_and_whom_that_one_names() {
        let account = |name: &str| name.parse::<Account>().expect("an account");
        let reviewed = |datasets: &[(&str, &str, u64)]| {
            let mut record = record(datasets);
            record.datasets.iter_mut().for_each(|dataset| dataset.review = true);
            record
        };
        let reviewers = [account("dora"), account("carol")].into();
        let mut terms = Terms {
            admitted: Vec::new(),
            output_contract: crate::OutputContract::default(),
            release: crate::ReleaseRules { review: true, reviewers, ..crate::ReleaseRules::default() },
            runtime: crate::RuntimeKind::Wasm,
            profile: crate::Profile::Deterministic,
            runtimes: [].into(),
            profiles: [].into(),
        };
        let (own, shared) =
            (reviewed(&[("a", "alice", 0), ("b", "alice", 0)]), reviewed(&[("a", "alice", 0), ("b", "bob", 0)]));
        // Carol's are the results.
        for (who, expected) in [("alice", true), ("dora", true), ("carol", false), ("bob", false)] {
            assert_eq!(own.reviewed_by(&account(who), &terms), expected, "{who}");
            assert!(!shared.reviewed_by(&account(who), &terms), "{who}: datasets of two publishers");
        }
        assert!(!record(&[("a", "alice", 0)]).reviewed_by(&account("alice"), &terms), "it asks for none");
        terms.release.review = false;
        assert!(!own.reviewed_by(&account("alice"), &terms));
    }

    #[test]
    fn a_publisher_reads_of_a_withheld_log_what_the_datasets_of_others_let_out() {
        for (datasets, account, bytes) in [
            (vec![("a", "alice", 0)], "alice", u64::MAX),
            (vec![("a", "alice", 0)], "carol", 0),
            (vec![("a", "alice", 0)], "bob", 0),
            (vec![("a", "alice", 0), ("b", "alice", 9)], "alice", u64::MAX),
            (vec![("a", "alice", 0), ("b", "bob", 9)], "alice", 9),
            (vec![("a", "alice", 0), ("b", "bob", 9)], "bob", 0),
            (vec![("a", "alice", 0), ("b", "bob", 0)], "alice", 0),
        ] {
            assert_eq!(record(&datasets).log_bytes_for(&account.parse().expect("an account")), bytes, "{datasets:?}");
        }
        let shared = record(&[("a", "alice", 0), ("b", "bob", 9)]);
        let [alice, bob] = ["alice", "bob"].map(|name| name.parse::<Account>().expect("an account"));
        for (accounts, bytes) in [(vec![], 0), (vec![&alice], 9), (vec![&bob], 0), (vec![&alice, &bob], u64::MAX)] {
            assert_eq!(shared.log_bytes_released_by(&accounts), bytes, "{accounts:?}");
        }
        let withholding = shared.withholding_log();
        assert_eq!(withholding, ["a".parse().expect("a DID")]);
    }
}
