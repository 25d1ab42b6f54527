//! Descriptions of files, as publishers send them. They are read or refused; what was read is written so that it is read again
//! as the same.

#![no_main]

use cloister_model::Sources;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return };
    match Sources::from_value("files", &document) {
        Ok(sources) => {
            assert!(!sources.files().is_empty());
            let written = serde_json::to_value(&sources).expect("sources are JSON");
            assert_eq!(Sources::from_value("files", &written).as_ref(), Ok(&sources));
        }
        Err(error) => assert!(error.to_string().len() < 1000, "an error is one line"),
    }
});
