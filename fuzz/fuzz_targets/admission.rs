//! Any bytes get a verdict: quickly, the same each time, and with what the report promises.

#![no_main]

use cloister_admission::{Request, Role, admit, caps};
use cloister_model::{Admission, Limits, ModuleKind, Verdict};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);
static TRAPPED: LazyLock<Vec<(String, String)>> = LazyLock::new(|| vec![("host".to_owned(), "call".to_owned())]);
static START: LazyLock<Vec<String>> = LazyLock::new(|| vec!["run".to_owned()]);

fuzz_target!(|bytes: &[u8]| {
    let runtime = Role::Runtime { trapped_imports: &TRAPPED, start: &START };
    for role in [Role::Algorithm, runtime] {
        let request = Request { bytes, limits: &LIMITS, role };
        let admission = admit(&request);
        check(&admission, &role);
        assert_eq!(admission, admit(&request), "the verdict depends on more than the bytes");
    }
});

fn check(admission: &Admission, role: &Role<'_>) {
    match &admission.verdict {
        Verdict::Admitted => match (role, admission.kind) {
            (_, None) => panic!("admitted without knowing what it is"),
            (Role::Algorithm, Some(ModuleKind::Preview1Reactor)) => panic!("admitted what cannot be started"),
            (Role::Runtime { .. }, Some(ModuleKind::Component)) => panic!("admitted a component as a runtime"),
            _ => {}
        },
        Verdict::Refused { refusals } => {
            assert!((1..=caps::REFUSALS).contains(&refusals.len()));
            for refusal in refusals {
                assert!(!refusal.subject.is_empty() && !refusal.advice.is_empty());
                // 200 characters of the program's text, each escaped to at most 10.
                assert!(refusal.to_string().len() < 4000);
            }
        }
    }
    let at_most = |length: usize, cap: u64| assert!(u64::try_from(length).is_ok_and(|length| length <= cap));
    at_most(admission.imports.len(), caps::IMPORTS);
    at_most(admission.exports.len(), caps::EXPORTS);
    at_most(admission.memories.len(), caps::MEMORIES);
    assert!(admission.toolchain.len() <= caps::TOOLCHAIN_ENTRIES);
    assert!(admission.imports.iter().all(|i| i.module.len().max(i.name.len()) <= caps::NAME_BYTES));
    assert!(admission.imports.is_sorted() && admission.exports.is_sorted());
}
