//! How the service starts its sandboxes: without a copy of itself. The time for a copy grows with the memory of the service, and all
//! of its threads wait for it.

use crate::scenario::Scenario;
use cloister_model::Phase;
use cloister_tests::service::{NOTHING, phase, text};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use serde_json::json;
use std::env::consts::ARCH;

/// Lets this thread, and every process that it starts, make new processes only as `vfork` does: with the memory of the process that
/// makes them.
fn refuse_copies_of_processes() {
    let copies = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(libc::CLONE_VM as u64), 0);
    let copies = SeccompRule::new(vec![copies.expect("a condition")]).expect("a rule");
    // What `clone3` is asked for stands in memory. The C library does not use it for `fork`.
    let rules = [(libc::SYS_clone, vec![copies])].into();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCH.try_into().expect("a known processor"));
    let filter: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
    apply_filter(&filter).expect("applied");
}

#[test]
fn a_sandbox_starts_without_a_copy_of_the_service() {
    refuse_copies_of_processes();
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "open");
    let program = service.upload(carol, &wat::parse_str(NOTHING).expect("a program"));
    let job = json!({"datasets": [dataset], "algorithm": {"upload": program}});
    let ended = service.ended(carol, &text(&service.submit(carol, &job), "id"));
    assert_eq!(phase(&ended), Phase::Finished, "{ended:#}");
}
