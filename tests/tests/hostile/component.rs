//! Components: the same promises by the other way in.

use crate::runs::{Run as _, assert_limit, assert_outputs, fixture, shape};
use cloister_model::{Limit, Outcome};
use cloister_tests::Trial;

#[test]
pub(crate) fn component_stdout_flood() {
    let ended = fixture("component_stdout_flood").with_file("--contract", r#"{"maxLogBytes": 10000}"#).finish();
    ended.assert_succeeded();
    let log = &ended.report().log;
    assert_eq!((log.kept_bytes, log.dropped_bytes), (10_000, 2000 * 4096 - 10_000));
}

/// A component of so many instances of a module with this in it.
fn instances(count: usize, module: &str) -> Vec<u8> {
    let instances = "(core instance (instantiate $m))\n".repeat(count);
    let text = format!(
        "(component
        (core module $m {module})
        {instances}
        (core module $main (func (export \"run\") (result i32) (i32.const 0)))
        (core instance $i (instantiate $main))
        (func $run (result (result)) (canon lift (core func $i \"run\")))
        (instance (export \"wasi:cli/run@0.2.0\") (export \"run\" (func $run))))"
    );
    wat::parse_str(text).expect("valid")
}

#[test]
fn many_instances() {
    for module in ["", "(memory 1)", "(table 1 funcref)"] {
        Trial::bytes(&instances(20, module)).finish().assert_succeeded();
        let ended = Trial::bytes(&instances(200, module)).finish();
        assert_limit(&ended, Limit::Instances);
        assert_outputs(&ended, &[]);
    }
    let ended = Trial::bytes(&instances(20_000, "")).finish();
    assert!(matches!(ended.outcome(), Outcome::LimitExceeded { .. } | Outcome::Refused { .. }), "{}", shape(&ended));
}

/// Memory and tables are counted over all instances, by what they are at the start.
#[test]
fn many_instances_with_memory() {
    let ended = Trial::bytes(&instances(40, "(memory 1024)")).with(&["--limits", "memory=1GiB"]).finish();
    assert!(
        matches!(ended.outcome(), Outcome::LimitExceeded { limit: Limit::Memory, .. } | Outcome::Refused { .. }),
        "{}",
        shape(&ended)
    );
    let ended = Trial::bytes(&instances(40, "(table 10000 funcref)")).with(&["--limits", "tables=100000"]).finish();
    assert!(
        matches!(ended.outcome(), Outcome::LimitExceeded { limit: Limit::TableElements, .. } | Outcome::Refused { .. }),
        "{}",
        shape(&ended)
    );
}
