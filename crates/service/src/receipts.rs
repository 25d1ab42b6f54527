//! Receipts: what ran on what and what came out, as the engine stored it once, signed.

use crate::{OptionsError, Principal, UseCases, submission::MANY};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_model::{Did, EngineError, JobId, JobRecord, Opening, Role, StoredReceipt};
use serde_json::Value;
use std::fmt;

/// A receipt, as a reader gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReceipt {
    /// The text that is signed. The same for every reader, whenever it is read.
    pub text: String,
    /// An Ed25519 signature over the bytes of the text: 64 bytes in base64.
    pub signature: String,
    /// The key that signed: 32 bytes in base64.
    pub public_key: String,
    /// What opens the sealed values that this reader may see.
    pub openings: Vec<Opening>,
}

/// Why there is no receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The job does not exist, or the reader may not see it.
    #[error("there is no such job that you may see")]
    NotFound,
    /// The job has not ended.
    #[error("a job has a receipt once it has ended; follow its events")]
    NotEnded,
    /// The job ended under a version of Cloister that did not store receipts.
    #[error(
        "this job ended under an earlier version of the service, which stored no receipt; its report says what ran"
    )]
    NotStored,
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Signs receipts.
pub(crate) struct Signer {
    key: Ed25519KeyPair,
}

impl Signer {
    pub(crate) fn new(seed: &[u8; 32]) -> Result<Self, OptionsError> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(|key| Self { key }).map_err(|_| OptionsError::ReceiptKey)
    }

    /// The public key: 32 bytes in base64.
    pub(crate) fn public_key(&self) -> String {
        BASE64_STANDARD.encode(self.key.public_key().as_ref())
    }

    /// The signature over exactly this text: 64 bytes in base64.
    pub(crate) fn sign(&self, text: &str) -> String {
        BASE64_STANDARD.encode(self.key.sign(text.as_bytes()).as_ref())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("public_key", &self.public_key()).finish_non_exhaustive()
    }
}

impl UseCases {
    /// The public key that verifies receipts: 32 bytes in base64.
    #[must_use]
    pub fn receipt_key(&self) -> String {
        self.signer().public_key()
    }

    /// The receipt of a job that has ended, also of one that was removed, for its owner, operators and the publishers of
    /// its datasets. All of them get the same text and signature; they differ in the openings.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn receipt(&self, who: &Principal, job: JobId) -> Result<SignedReceipt, ReceiptError> {
        let _share = self.shares().take(&who.account, MANY).await;
        match self.backend().receipt(job).await {
            Ok(Some(StoredReceipt { text, openings, record })) if may_read(who, &record) => {
                let openings = openings_for(who, &record, &text, openings.expose());
                let (signature, public_key) = (self.signer().sign(&text), self.signer().public_key());
                Ok(SignedReceipt { text, signature, public_key, openings })
            }
            // A job that is hidden takes the same look-ups as one that is missing.
            Ok(_) | Err(EngineError::NoSuchJob(_)) => Err(self.why_no_receipt(who, job).await?),
            Err(error) => Err(error.into()),
        }
    }

    async fn why_no_receipt(&self, who: &Principal, job: JobId) -> Result<ReceiptError, EngineError> {
        let found = self.look_up_job(job).await?.filter(|found| may_read(who, &found.card.record));
        Ok(match found {
            Some(found) if found.status.phase.has_ended() => ReceiptError::NotStored,
            Some(_) => ReceiptError::NotEnded,
            None => ReceiptError::NotFound,
        })
    }
}

fn may_read(who: &Principal, record: &JobRecord) -> bool {
    who.is_or_operates(&record.owner) || record.published_by(&who.account)
}

/// The openings for a reader: all of them for the owner and operators; for a publisher, those of the files of its own
/// datasets.
fn openings_for(who: &Principal, record: &JobRecord, text: &str, openings: &[Opening]) -> Vec<Opening> {
    if who.account == record.owner || who.is(Role::Operator) {
        return openings.to_vec();
    }
    let receipt: Value = serde_json::from_str(text).unwrap_or_default();
    let datasets = receipt["datasets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = |did: &Value| {
        let did = did.as_str().and_then(|did| did.parse::<Did>().ok());
        did.is_some_and(|did| {
            let mut published = record.datasets.iter().filter(|dataset| dataset.asset.publisher == who.account);
            published.any(|dataset| dataset.asset.did == did)
        })
    };
    let places = (0..datasets.len()).filter(|place| own(&datasets[*place]["did"]));
    let pointers: Vec<String> = places.map(|place| format!("/datasets/{place}/files")).collect();
    openings.iter().filter(|opening| pointers.contains(&opening.pointer)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Via;
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use cloister_model::{RecordedAsset, RecordedDataset};
    use serde_json::json;

    #[test]
    fn a_signature_can_be_verified() {
        let signer = Signer::new(&[7; 32]).expect("a key");
        let public = BASE64_STANDARD.decode(signer.public_key()).expect("base64");
        let signature = BASE64_STANDARD.decode(signer.sign("text")).expect("base64");
        let key = UnparsedPublicKey::new(&ED25519, public);
        assert!(key.verify(b"text", &signature).is_ok());
        assert!(key.verify(b"text ", &signature).is_err());
        assert!(!format!("{signer:?}").contains("0707"));
    }

    #[test]
    fn a_publisher_gets_the_openings_of_their_own_datasets() {
        let dataset = |did: &str, publisher: &str| RecordedDataset {
            asset: RecordedAsset {
                did: did.parse().expect("a DID"),
                service: "compute".to_owned(),
                publisher: publisher.parse().expect("an account"),
                revision: 1,
            },
            review: false,
            log_bytes: 0,
        };
        let record = JobRecord {
            owner: "carol".parse().expect("an account"),
            request: None,
            attempt: 1,
            // In another order than the receipt's.
            datasets: vec![dataset("b", "bob"), dataset("a", "alice")],
            algorithm: None,
            provider: None,
        };
        let text = json!({"datasets": [{"did": "did:op:a"}, {"did": "did:op:b"}]}).to_string();
        let pointers = ["/parameters", "/report", "/datasets/0/files", "/datasets/1/files"];
        let openings = pointers.map(|pointer| Opening::new(&[1; 32], pointer, json!(1)));
        let seen = |who: &str, role| {
            let account = who.parse().expect("an account");
            let who = Principal { account, role, via: Via::Signature };
            assert!(may_read(&who, &record) || who.account.key() == "mallory");
            let openings = openings_for(&who, &record, &text, &openings);
            openings.into_iter().map(|opening| opening.pointer).collect::<Vec<_>>()
        };
        assert_eq!(seen("carol", Role::Consumer), pointers);
        assert_eq!(seen("olga", Role::Operator), pointers);
        assert_eq!(seen("alice", Role::Publisher), ["/datasets/0/files"]);
        assert_eq!(seen("bob", Role::Publisher), ["/datasets/1/files"]);
        assert_eq!(seen("mallory", Role::Publisher), Vec::<String>::new());
    }
}
