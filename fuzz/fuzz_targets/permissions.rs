//! Any JSON is a publisher's permissions or not: if it is, it is written and read again, and no rule is lost on the way.

#![no_main]

use cloister_model::Permissions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let permissions: Permissions = match serde_json::from_slice(bytes) {
        Ok(permissions) => permissions,
        Err(_) => return,
    };
    let written = serde_json::to_vec(&permissions).expect("JSON");
    let again: Permissions = serde_json::from_slice(&written).expect("what was read once is read again");
    assert_eq!(again, permissions);
});
