//! Any bytes are a DDO or not: without a word of theirs in the error, and if they are, nothing of them is lost or shown.

#![no_main]

use cloister_model::{Ddo, OutputPolicy, ServiceKind};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let ddo = match Ddo::from_json(bytes) {
        Ok(ddo) => ddo,
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 1000 && !text.chars().any(char::is_control), "{text:?}");
            return;
        }
    };
    let document: Value = serde_json::from_slice(bytes).expect("a DDO is JSON");
    let written = serde_json::to_value(&ddo).expect("JSON");
    assert_eq!(written, document, "a field was lost");
    assert_eq!(Ddo::from_value(written).expect("what was read once is read again"), ddo);

    // Sources in the clear are for the publisher only.
    let shown = ddo.without_open_sources();
    for service in shown["services"].as_array().into_iter().flatten() {
        assert!(service.get("files").is_none_or(|files| files.is_string() || service.as_object().is_none()));
    }
    for service in ddo.services() {
        assert_eq!(ddo.service(&service.id).map(|found| &found.id), Some(&service.id));
        if let ServiceKind::Compute(permissions) = &service.kind {
            let policy = &permissions.output_contract;
            if let Some(strictest) = OutputPolicy::strictest(&[policy, policy]) {
                assert_eq!(OutputPolicy::strictest(&[&strictest]).as_ref(), Some(&strictest));
            }
        }
    }
    assert!(!ddo.is_private() || !ddo.services().is_empty());
});
