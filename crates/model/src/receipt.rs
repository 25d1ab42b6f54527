//! Receipts: the statement of what ran on what and what came out. Made once, when a job ends, and never again:
//! every reader, at any time, gets the same text with the same signature.

use crate::{
    AdmittedDataset, Container, Did, EngineReport, Isolation, JobId, JobRecord, Limits, Outcome, OutputContract, Phase,
    Profile, Reason, ReleaseRules, ResultFile, Review, RuntimeReport, Secret, Sha256,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Digest as _;

/// The version of [`Receipt`] that this code writes.
pub const RECEIPT_VERSION: &str = "cloister.dev/receipt/v2";

/// The facts about an ended job. Nothing in it changes afterwards.
///
/// A receipt is the same for every reader. What some readers must not see is *committed to* by a salted digest
/// ([`Sealed`]): the digest of a low-entropy value alone could be reversed by guessing. The [`Opening`]s are handed out
/// separately, to those who may see the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// [`RECEIPT_VERSION`].
    pub version: String,
    /// Which job.
    pub job: JobId,
    /// When it was allowed (RFC 3339, UTC).
    pub created: String,
    /// When it ended (RFC 3339, UTC).
    pub ended: String,
    /// The phase in which it ended.
    pub phase: Phase,
    /// The number of that phase.
    pub code: u16,
    /// Why it ended, and whose doing that was.
    pub reason: Reason,
    /// The datasets it ran on, in the order of `DIDS`.
    pub datasets: Vec<ReceiptDataset>,
    /// The DID of the algorithm; none: the job brought it.
    pub algorithm: Option<Did>,
    /// Digest of the algorithm's own file; none: nothing ran.
    pub algorithm_sha256: Option<Sha256>,
    /// The interpreter that ran it; none: the file is a WebAssembly program itself, or nothing ran.
    pub runtime: Option<RuntimeReport>,
    /// What it was declared to run in.
    pub container: Container,
    /// The consumer's parameters.
    pub parameters: Sealed,
    /// Why each dataset could be used.
    pub terms: Vec<AdmittedDataset>,
    /// What it could learn of time and chance.
    pub profile: Profile,
    /// What could leave.
    pub output_contract: OutputContract,
    /// What outputs had to be to leave.
    pub release_rules: ReleaseRules,
    /// What one run could use.
    pub limits: Limits,
    /// How the run ended; none: nothing ran.
    pub outcome: Option<Outcome>,
    /// The engine of the run; none: nothing ran.
    pub engine: Option<EngineReport>,
    /// The walls around the run; none: nothing ran.
    pub isolation: Option<Isolation>,
    /// The host's report of the run.
    pub report: Sealed,
    /// The reviewer's decision; none: no dataset asked for a review, or none was made.
    pub review: Option<Review>,
    /// What left.
    pub outputs: ReceiptOutputs,
}

/// A dataset that a job ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptDataset {
    /// Which.
    pub did: Did,
    /// Paths, sizes and digests of its files.
    pub files: Sealed,
}

/// A value that not every reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "state", deny_unknown_fields)]
pub enum Sealed {
    /// There is no such value: no parameters were given, nothing ran.
    Absent,
    /// There is one, and this commits to it: see [`Opening::commitment`].
    Committed {
        /// The salted digest.
        commitment: Sha256,
    },
}

/// What left a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum ReceiptOutputs {
    /// These files were released.
    Released {
        /// In order, as the consumer can fetch them.
        files: Vec<ResultFile>,
    },
    /// Nothing was released.
    NothingReleased,
}

/// What opens a [`Sealed`] value: with it, a reader can check that the value is the one that the receipt commits to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Opening {
    /// Where the sealed value stands in the receipt, as a JSON pointer (RFC 6901), such as `/datasets/0/files`.
    pub pointer: String,
    /// 32 random-looking bytes, different for every pointer of every receipt.
    pub salt: Sha256,
    /// The value. For parameters and report it is their digest, `{"sha256": ...}`, not their text.
    pub value: Value,
}

impl Opening {
    /// An opening of this value. The salt is derived from the receipt's secret and the pointer, so one opening tells
    /// nothing about another.
    #[must_use]
    pub fn new(secret: &[u8; 32], pointer: &str, value: Value) -> Self {
        let salt = digest(&[b"cloister.dev/salt/v1", secret, pointer.as_bytes()]);
        Self { pointer: pointer.to_owned(), salt, value }
    }

    /// SHA-256 over `cloister.dev/commitment/v1`, the pointer, the salt's 32 bytes and the value as compact JSON with
    /// sorted names, each with its length in bytes before it (8 bytes, big-endian).
    #[must_use]
    pub fn commitment(&self) -> Sha256 {
        let Self { pointer, salt, value } = self;
        let value = value.to_string();
        digest(&[b"cloister.dev/commitment/v1", pointer.as_bytes(), salt.as_bytes(), value.as_bytes()])
    }

    /// What stands in the receipt for it.
    #[must_use]
    pub fn sealed(&self) -> Sealed {
        Sealed::Committed { commitment: self.commitment() }
    }

    /// Whether it opens what stands at its pointer in a receipt.
    #[must_use]
    pub fn opens(&self, receipt: &Value) -> bool {
        let sealed = receipt.pointer(&self.pointer).map(Sealed::deserialize);
        matches!(sealed, Some(Ok(Sealed::Committed { commitment })) if commitment == self.commitment())
    }
}

/// A receipt as an engine keeps it: for as long as the engine's store exists, also when the job is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredReceipt {
    /// The [`Receipt`] as JSON, letter for letter as it is signed.
    pub text: String,
    /// What opens its sealed values.
    pub openings: Secret<Vec<Opening>>,
    /// Whose job it was and whose data it used: who may read the receipt.
    pub record: JobRecord,
}

fn digest(parts: &[&[u8]]) -> Sha256 {
    let mut hash = sha2::Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Sha256::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_opening_opens_its_own_value_and_no_other() {
        let opening = Opening::new(&[7; 32], "/parameters", json!({"bins": 20}));
        let receipt = json!({"parameters": opening.sealed(), "report": opening.sealed()});
        assert!(opening.opens(&receipt));
        let guessed = Opening { value: json!({"bins": 21}), ..opening.clone() };
        let moved = Opening { pointer: "/report".to_owned(), ..opening.clone() };
        let salted = Opening::new(&[8; 32], "/parameters", json!({"bins": 20}));
        for other in [guessed, moved, salted] {
            assert!(!other.opens(&receipt), "{other:?}");
        }
        assert_ne!(opening.salt, Opening::new(&[7; 32], "/report", json!(1)).salt);
        assert!(!opening.opens(&json!({"parameters": Sealed::Absent})));
    }

    #[test]
    fn what_is_withheld_says_so() {
        assert_eq!(serde_json::to_value(Sealed::Absent).expect("json"), json!({"state": "absent"}));
        let outputs = serde_json::to_value(ReceiptOutputs::NothingReleased).expect("json");
        assert_eq!(outputs, json!({"state": "nothing-released"}));
    }
}
