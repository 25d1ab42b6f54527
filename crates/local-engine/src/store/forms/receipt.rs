use super::card::RecordForm;
use cloister_model::{Opening, Secret, Sha256, StoredReceipt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A [`StoredReceipt`]: its text letter for letter, because a signature covers the letters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptForm {
    text: String,
    openings: Secret<Vec<OpeningForm>>,
    record: RecordForm,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpeningForm {
    pointer: String,
    salt: Sha256,
    value: Value,
}

impl From<&StoredReceipt> for ReceiptForm {
    fn from(receipt: &StoredReceipt) -> Self {
        let StoredReceipt { text, openings, record } = receipt;
        let openings = openings.expose().iter().map(|Opening { pointer, salt, value }| OpeningForm {
            pointer: pointer.clone(),
            salt: *salt,
            value: value.clone(),
        });
        Self { text: text.clone(), openings: Secret::new(openings.collect()), record: record.into() }
    }
}

impl From<ReceiptForm> for StoredReceipt {
    fn from(form: ReceiptForm) -> Self {
        let ReceiptForm { text, openings, record } = form;
        let openings = openings.expose().iter().map(|OpeningForm { pointer, salt, value }| Opening {
            pointer: pointer.clone(),
            salt: *salt,
            value: value.clone(),
        });
        let openings = Secret::new(openings.collect());
        Self { text, openings, record: record.into() }
    }
}
