//! Receipts: what ran on what and what came out, signed.

use crate::settings::SettingsError;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_model::{JobSpec, JobStatus, Report, ResultFile, Sha256};
use serde_json::{Value, json};
use std::fmt;

/// The version of the statement.
const VERSION: &str = "cloister.dev/receipt/v1";

/// Signs statements.
pub(crate) struct Signer {
    key: Ed25519KeyPair,
}

impl Signer {
    pub(crate) fn new(seed: &[u8; 32]) -> Result<Self, SettingsError> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(|key| Self { key }).map_err(|_| SettingsError::ReceiptKey)
    }

    /// The public key: 32 bytes in base64.
    pub(crate) fn public_key(&self) -> String {
        BASE64_STANDARD.encode(self.key.public_key().as_ref())
    }

    /// The signature over these very letters: 64 bytes in base64.
    pub(crate) fn sign(&self, text: &str) -> String {
        BASE64_STANDARD.encode(self.key.sign(text.as_bytes()).as_ref())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("public_key", &self.public_key()).finish_non_exhaustive()
    }
}

/// What is signed about a job that has ended: nothing that changes afterwards. Objects are written with their names sorted,
/// so that one job has one text.
pub(crate) fn statement(
    spec: &JobSpec,
    status: &JobStatus,
    report: Option<&Report>,
    outputs: &[ResultFile],
    digest: impl Fn(&[u8]) -> Sha256,
) -> Value {
    let files_of = |did: &str| -> Vec<Value> {
        let prefix = format!("inputs/{did}/");
        let inputs = report.map(|report| report.inputs.as_slice()).unwrap_or_default();
        let files = inputs.iter().filter_map(|file| Some((file.path.strip_prefix(&prefix)?, file)));
        files.map(|(path, file)| json!({"path": path, "bytes": file.bytes, "sha256": file.sha256})).collect()
    };
    let datasets: Vec<Value> =
        spec.inputs.iter().map(|input| json!({"did": input.did, "files": files_of(input.did.id())})).collect();
    let algorithm = json!({
        "did": spec.algorithm.did,
        "sha256": report.map(|report| report.algorithm.sha256),
        "runtime": report.and_then(|report| report.algorithm.runtime.clone()),
        "container": spec.algorithm.container,
    });
    let report_sha256 = report.and_then(|report| serde_json::to_vec(report).ok()).map(|text| digest(&text));
    json!({
        "version": VERSION,
        "job": status.id,
        "created": crate::date::write(status.created),
        "ended": status.ended.map(crate::date::write),
        "phase": format!("{:?}", status.phase),
        "code": status.phase.code(),
        "reason": status.reason,
        "datasets": datasets,
        "algorithm": algorithm,
        "parametersSha256": spec.parameters.as_ref().map(|value| digest(value.expose().to_string().as_bytes())),
        "terms": spec.terms.admitted,
        "profile": spec.terms.profile,
        "outputContract": spec.terms.output_contract,
        "releaseRules": spec.terms.release,
        "limits": spec.limits,
        "outcome": report.map(|report| &report.outcome),
        "engine": report.map(|report| &report.engine),
        "isolation": report.and_then(|report| report.isolation.as_ref()),
        "reportSha256": report_sha256,
        "outputs": outputs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn anybody_can_check_a_signature() {
        let signer = Signer::new(&[7; 32]).expect("a key");
        let public = BASE64_STANDARD.decode(signer.public_key()).expect("base64");
        let signature = BASE64_STANDARD.decode(signer.sign("text")).expect("base64");
        let key = UnparsedPublicKey::new(&ED25519, public);
        assert!(key.verify(b"text", &signature).is_ok());
        assert!(key.verify(b"text ", &signature).is_err());
        assert!(!format!("{signer:?}").contains("0707"));
    }
}
