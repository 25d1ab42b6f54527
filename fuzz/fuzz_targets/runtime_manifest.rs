//! An accepted manifest places its files outside of the datasets, and has a name that is safe as a directory.

#![no_main]

// The module by itself: the whole sandbox would bring a compiler along, to be compiled with coverage.
#[allow(dead_code, reason = "the rest of the sandbox uses the rest")]
#[path = "../../crates/sandbox/src/runtime/manifest.rs"]
mod manifest;

use libfuzzer_sys::fuzz_target;
use manifest::Manifest;
use std::path::{Component, Path};

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    assert!(Path::new(&manifest.name).components().eq([Component::Normal(manifest.name.as_ref())]));
    assert!(!manifest.name.starts_with(['.', '-']), "temporary directories begin with a dot, options with a dash");
    for path in manifest.files.iter().map(|file| &file.guest).chain(&manifest.directories) {
        let mut components = Path::new(path).components();
        assert_eq!(components.next(), Some(Component::RootDir), "{path:?}");
        let first = components.next();
        for forbidden in ["data", "tmp"] {
            assert_ne!(first, Some(Component::Normal(forbidden.as_ref())), "{path:?}");
        }
        assert!(components.all(|component| matches!(component, Component::Normal(_))), "{path:?}");
    }
    assert!(!manifest.start.is_empty() && !manifest.arguments.is_empty());
    for (name, value) in &manifest.environment {
        assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
    }
    let written = serde_json::to_vec(&manifest).expect("JSON");
    assert_eq!(Manifest::parse(&written).expect("the same manifest"), manifest);
});
