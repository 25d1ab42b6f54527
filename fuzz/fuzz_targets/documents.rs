//! Documents that strangers send: descriptions of files, manifests, workflows. Whatever the bytes are, they are read or
//! refused; and what was read is written so that it is read again as the same.

#![no_main]

use cloister_model::{Account, Manifest, Sources, Workflow};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::sync::LazyLock;

static OWNER: LazyLock<Account> = LazyLock::new(|| "alice".parse().expect("an account"));

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return };
    match Sources::from_value("files", &document) {
        Ok(sources) => {
            assert!(!sources.files().is_empty());
            let written = serde_json::to_value(&sources).expect("sources are JSON");
            assert_eq!(Sources::from_value("files", &written).as_ref(), Ok(&sources));
        }
        Err(error) => assert!(error.to_string().len() < 1000, "an error is a line"),
    }
    if let Ok(manifest) = Manifest::from_value(&document) {
        let ddo = manifest.ddo(&OWNER).expect("what a manifest becomes is checked when it is read");
        // What publication accepts, a fetch can read.
        for service in ddo.services() {
            assert!(matches!(service.files, Some(cloister_model::ServiceFiles::Open(_))));
        }
    }
    if let Ok(workflow) = Workflow::from_value(document.clone()) {
        assert_eq!(serde_json::to_value(&workflow).expect("a workflow is JSON"), document);
        assert!(!workflow.inputs().is_empty());
    }
});
