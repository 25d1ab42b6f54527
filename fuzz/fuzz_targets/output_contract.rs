//! Any JSON is an output contract or not, and any path keeps it or not: the strictest of several contracts allows nothing
//! that one of them forbids. The input has three lines: a contract, another contract, a path.

#![no_main]

use cloister_model::{NamePattern, OutputContract};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let mut contract = || -> Option<OutputContract> {
        let contract: OutputContract = serde_json::from_slice(parts.next()?).ok()?;
        contract.check().is_ok().then_some(contract)
    };
    let Some(one) = contract() else { return };
    let other = contract();
    let path = parts.next().and_then(|path| std::str::from_utf8(path).ok()).unwrap_or("a/b.csv");

    let written = serde_json::to_vec(&one).expect("JSON");
    assert_eq!(serde_json::from_slice::<OutputContract>(&written).expect("a contract"), one);
    if one.allows_file(path) {
        assert!(path.len() <= usize::try_from(one.max_path_bytes).expect("a small number"));
    }
    let all: Vec<OutputContract> = [Some(one), other].into_iter().flatten().collect();
    let strictest = OutputContract::strictest(&all);
    for contract in &all {
        if let Some(strictest) = &strictest {
            assert!(!strictest.allows_file(path) || contract.allows_file(path), "{path:?}");
            assert!(strictest.max_bytes <= contract.max_bytes && strictest.max_log_bytes <= contract.max_log_bytes);
        }
        patterns(&contract.names, path);
    }
});

/// A pattern that covers another matches all that the other matches.
fn patterns(patterns: &[NamePattern], path: &str) {
    for one in patterns.iter().take(8) {
        for other in patterns.iter().take(8) {
            assert!(!one.covers(other) || !other.matches(path) || one.matches(path), "{one} {other} {path:?}");
        }
        let again: NamePattern = one.to_string().parse().expect("a pattern");
        assert_eq!(&again, one);
    }
}
