//! Any JSON is a workflow or not: if it is, it is read again as it was.

#![no_main]

use cloister_model::Workflow;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return };
    let workflow = match Workflow::from_value(document.clone()) {
        Ok(workflow) => workflow,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
            return;
        }
    };
    assert!(!workflow.inputs().is_empty());
    let written = serde_json::to_value(&workflow).expect("JSON");
    assert_eq!(written, document, "a field was lost");
    let again = Workflow::from_value(written).expect("what was read once is read again");
    assert_eq!((again.inputs(), again.algorithm()), (workflow.inputs(), workflow.algorithm()));
    assert_eq!(again.metadata_uri(), workflow.metadata_uri());
});
