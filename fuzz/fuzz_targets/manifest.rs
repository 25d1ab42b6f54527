//! Any JSON is a manifest or not: if it is, it becomes a DDO for any owner.

#![no_main]

use cloister_model::{Account, Ddo, Manifest, ServiceFiles};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return };
    let manifest = match Manifest::from_value(&document) {
        Ok(manifest) => manifest,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
            return;
        }
    };
    assert!(Manifest::is_meant(&document), "what is read as a manifest must be meant as one");
    let (alice, bob): (Account, Account) = ("alice".parse().expect("an account"), "bob".parse().expect("an account"));
    let dids = [&alice, &bob].map(|owner| Manifest::did(owner, manifest.kind(), manifest.name()));
    assert_ne!(dids[0], dids[1], "two owners share an asset");
    // Only its size can still be wrong: the identifier is longer than the one that it was tried with.
    let Ok(ddo) = manifest.ddo(&alice) else { return };
    assert_eq!((ddo.id(), ddo.kind()), (&dids[0], manifest.kind()));
    // What publication accepts, a fetch can read.
    for service in ddo.services() {
        assert!(matches!(service.files, Some(ServiceFiles::Open(_))));
    }
    let written = serde_json::to_value(&ddo).expect("JSON");
    assert_eq!(Ddo::from_value(written).expect("a DDO"), ddo);
});
