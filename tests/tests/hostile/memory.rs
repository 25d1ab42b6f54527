//! One limit covers all kinds of memory.

use crate::runs::{Run as _, assert_crashed, assert_limit, assert_refused, fixture, shape};
use cloister_model::{Limit, Rule, TrapKind};
use cloister_tests::{Ended, Trial};

const MIB: u64 = 1 << 20;

/// Asserts that the limit was met, and that neither the count nor the process exceeded it.
#[track_caller]
fn assert_within(ended: &Ended, limit: Limit, memory: u64) {
    assert_limit(ended, limit);
    let usage = &ended.report().usage;
    assert!(usage.peak_memory_bytes <= memory, "{}", shape(ended));
    // A generous allowance for the engine itself.
    assert!(usage.peak_resident_bytes <= memory + 128 * MIB, "{usage:?}");
}

#[test]
pub(crate) fn memory_growth() {
    assert_within(&fixture("memory_growth").with(&["--limits", "memory=64MiB"]).finish(), Limit::Memory, 64 * MIB);
}

#[test]
pub(crate) fn memory_growth_many() {
    assert_within(&fixture("memory_growth_many").with(&["--limits", "memory=64MiB"]).finish(), Limit::Memory, 64 * MIB);
}

#[test]
pub(crate) fn memory_probe() {
    let ended = fixture("memory_probe").with(&["--limits", "memory=64MiB"]).finish();
    ended.assert_succeeded();
    assert_eq!(ended.report().usage.peak_memory_bytes, 65_536);
}

#[test]
pub(crate) fn memory_at_start() {
    assert_refused(&fixture("memory_at_start").with(&["--limits", "memory=1GiB"]).finish(), Rule::Memory);
    // An artifact compiled under another limit makes no difference.
    fixture("memory_at_start").with(&["--limits", "memory=3GiB"]).finish().assert_succeeded();
    assert_refused(&fixture("memory_at_start").with(&["--limits", "memory=1GiB"]).finish(), Rule::Memory);
}

#[test]
pub(crate) fn memory_at_start_many() {
    assert_refused(&fixture("memory_at_start_many").with(&["--limits", "memory=1GiB"]).finish(), Rule::Memory);
}

#[test]
pub(crate) fn table_growth() {
    let ended = fixture("table_growth").with(&["--limits", "tables=100000"]).finish();
    assert_within(&ended, Limit::TableElements, 64 * MIB);
}

#[test]
pub(crate) fn table_growth_many() {
    let ended = fixture("table_growth_many").with(&["--limits", "tables=100000"]).finish();
    assert_within(&ended, Limit::TableElements, 64 * MIB);
}

/// Many small memories count as their sum.
#[test]
fn tables_by_number() {
    let program = format!(
        "(module (memory (export \"memory\") 1) {} (func (export \"_start\")))",
        "(table 1 funcref)".repeat(80)
    );
    assert_limit(&Trial::wat(&program).finish(), Limit::Instances);
    Trial::wat(&program).with(&["--limits", "instances=80"]).finish().assert_succeeded();
}

#[test]
pub(crate) fn table_at_start() {
    assert_refused(&fixture("table_at_start").finish(), Rule::TooLarge);
}

#[test]
pub(crate) fn scratch_flood() {
    assert_within(&fixture("scratch_flood").with(&["--limits", "memory=64MiB"]).finish(), Limit::Memory, 64 * MIB);
}

#[test]
pub(crate) fn scratch_files() {
    assert_within(&fixture("scratch_files").with(&["--limits", "memory=16MiB"]).finish(), Limit::Memory, 16 * MIB);
}

/// The host has enough stack for its calls at any depth of the guest.
#[test]
pub(crate) fn recursion_with_calls() {
    for limit in ["stack=16KiB", "stack=1MiB", "stack=64MiB"] {
        let ended = fixture("recursion_with_calls").with(&["--limits", limit]).finish();
        assert_crashed(&ended, TrapKind::StackOverflow);
    }
}

#[test]
pub(crate) fn recursion() {
    for limit in ["stack=16KiB", "stack=1MiB", "stack=64MiB"] {
        assert_crashed(&fixture("recursion").with(&["--limits", limit]).finish(), TrapKind::StackOverflow);
    }
}
