use crate::{
    context::Context,
    exit::{Ended, FAILED},
    input::read_document,
    output::{note, print_document},
};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_model::JobId;
use serde_json::Value;
use std::path::PathBuf;

/// Which receipt.
#[derive(Debug, clap::Args)]
pub(crate) struct Receipt {
    /// The job's id
    #[arg(required_unless_present = "file")]
    job: Option<JobId>,
    /// Read the receipt from a file instead of asking the service
    #[arg(short, long, value_name = "FILE", conflicts_with = "job")]
    file: Option<PathBuf>,
    /// Verify the signature. Exit code 1 if it is invalid
    #[arg(long)]
    verify: bool,
    /// The service's public key in base64, from a source that you trust. Without it, the key in the receipt is used, which
    /// proves only that the receipt was not changed since it was signed, not who signed it
    #[arg(long, requires = "verify", value_name = "KEY")]
    public_key: Option<String>,
}

impl Receipt {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { job, file, verify, public_key } = self;
        let receipt = match (&job, &file) {
            (_, Some(file)) => read_document(file)?,
            (Some(job), None) => context.client()?.get(&["v1", "jobs", &job.to_string(), "receipt"], &[]).await?,
            (None, None) => return Err(crate::exit::Usage::error("give a job id, or --file")),
        };
        if !verify {
            return Ok(print_document(context.format, &receipt)?);
        }
        check(&receipt, job.map(|job| job.to_string()).as_deref(), public_key.as_deref())
            .map_err(|problem| Ended::error(FAILED, format!("the receipt is invalid: {problem}")))?;
        note(if public_key.is_some() {
            "the receipt is valid: signed with that key, and not changed since"
        } else {
            "the receipt was not changed since it was signed with the key in it; check who signed it with --public-key"
        });
        Ok(())
    }
}

/// Checks the signature of a receipt, its job, and the key that signed it.
fn check(document: &Value, job: Option<&str>, key: Option<&str>) -> Result<(), &'static str> {
    let bytes = |name: &str| document[name].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    let receipt = document.get("receipt").filter(|receipt| receipt.is_object()).ok_or("it has no field `receipt`")?;
    let public = bytes("publicKey").ok_or("it has no public key")?;
    if key.is_some_and(|key| BASE64_STANDARD.decode(key.trim()).ok().as_ref() != Some(&public)) {
        return Err("it is signed with another key");
    }
    let signature = bytes("signature").ok_or("it has no signature")?;
    // What is signed is this text, letter for letter.
    let text = document["text"].as_str().ok_or("it has no field `text`")?;
    let verified = UnparsedPublicKey::new(&ED25519, public).verify(text.as_bytes(), &signature);
    verified.map_err(|_| "the signature does not match: it was changed")?;
    if serde_json::from_str::<Value>(text).ok().as_ref() != Some(receipt) {
        return Err("its field `receipt` is not the text that was signed");
    }
    match job {
        Some(job) if receipt["job"].as_str() != Some(job) => Err("it is about another job"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    fn signed(seed: u8, receipt: &Value) -> Value {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key");
        // In an order of its own: the letters count, not the fields.
        let text = format!(" {receipt}");
        let signature = BASE64_STANDARD.encode(pair.sign(text.as_bytes()).as_ref());
        let key = BASE64_STANDARD.encode(pair.public_key().as_ref());
        json!({"receipt": receipt, "text": text, "signature": signature, "publicKey": key})
    }

    #[test]
    fn a_changed_receipt_is_invalid() {
        let receipt = json!({"job": "a", "outputs": [{"b": 1, "a": 2}], "phase": "Finished"});
        let good = signed(1, &receipt);
        let key = good["publicKey"].as_str().expect("a key").to_owned();
        assert_eq!(check(&good, Some("a"), Some(&key)), Ok(()));
        assert_eq!(check(&good, Some("b"), None), Err("it is about another job"));
        let mut changed = good.clone();
        changed["receipt"]["outputs"][0]["b"] = json!(3);
        assert_eq!(check(&changed, None, None), Err("its field `receipt` is not the text that was signed"));
        let mut changed = good.clone();
        changed["text"] = json!(good["text"].as_str().expect("a text").replace("Finished", "Stopped"));
        assert!(check(&changed, None, None).is_err());
        assert_eq!(check(&signed(2, &receipt), None, Some(&key)), Err("it is signed with another key"));
        for wrong in [json!({}), json!([]), json!({"receipt": {}, "publicKey": "x", "signature": "y"})] {
            assert!(check(&wrong, None, None).is_err(), "{wrong}");
        }
    }
}
