//! Where files of a job are: one function for each kind of source that tests use.

use cloister_model::{JobSource, Sha256};
use serde_json::{Value, json};

/// The text itself.
///
/// # Panics
/// Never: it is a source.
#[must_use]
pub fn inline(text: &str) -> JobSource {
    files(json!({"type": "inline", "content": text}))
}

/// A file that was uploaded.
///
/// # Panics
/// Never: it is a source.
#[must_use]
pub fn uploaded(sha256: Sha256) -> JobSource {
    files(json!({"type": "upload", "sha256": sha256}))
}

/// An upload that was never made.
///
/// # Panics
/// Never: it is a source.
#[must_use]
pub fn missing_upload() -> JobSource {
    uploaded(Sha256::from_bytes([0; 32]))
}

/// A file behind a URL.
///
/// # Panics
/// If the text is not a URL that a source can have.
#[must_use]
pub fn url(url: &str) -> JobSource {
    files(json!({"type": "url", "url": url}))
}

fn files(file: Value) -> JobSource {
    JobSource::Files(serde_json::from_value(Value::Array(vec![file])).expect("sources"))
}
