//! Builds programs for the tests of this crate, from text or from bytes.

use crate::{Request, Role, admit};
use cloister_model::{Admission, Limits, Refusal, Rule, Verdict};

/// The smallest command.
pub(crate) const COMMAND: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// The smallest component that is a command.
pub(crate) const COMPONENT: &str = r#"(component
    (core module $m (func (export "run") (result i32) i32.const 0))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run-instance (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run-instance)))"#;

pub(crate) fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a fixture is well-formed")
}

pub(crate) fn admit_bytes(bytes: &[u8]) -> Admission {
    admit(&Request { bytes, limits: &Limits::default(), role: Role::Algorithm })
}

pub(crate) fn admit_text(text: &str) -> Admission {
    admit_bytes(&binary(text))
}

/// A command with additional fields.
pub(crate) fn admit_with(fields: &str) -> Admission {
    admit_text(&format!(r#"(module {fields} (memory (export "memory") 1) (func (export "_start")))"#))
}

pub(crate) fn refusals(admission: &Admission) -> &[Refusal] {
    match &admission.verdict {
        Verdict::Admitted => &[],
        Verdict::Refused { refusals } => refusals,
    }
}

pub(crate) fn rules(admission: &Admission) -> Vec<Rule> {
    refusals(admission).iter().map(|refusal| refusal.rule).collect()
}

/// Asserts that a program is refused under this rule only, with a subject or advice that contains these words.
#[track_caller]
pub(crate) fn assert_refused(admission: &Admission, rule: Rule, words: &str) {
    assert_eq!(rules(admission), [rule], "{:?}", admission.verdict);
    let shown = refusals(admission)[0].to_string();
    assert!(shown.contains(words), "{shown}");
}

/// A LEB128 number.
pub(crate) fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        bytes.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

/// Bytes with their length in front.
pub(crate) fn sized(content: &[u8]) -> Vec<u8> {
    [leb(content.len()), content.to_vec()].concat()
}

/// A section with encoded items.
pub(crate) fn section(id: u8, count: usize, items: &[u8]) -> Vec<u8> {
    [vec![id], sized(&[leb(count), items.to_vec()].concat())].concat()
}

/// A core module with these sections.
pub(crate) fn core(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat()
}

/// A component with these sections.
pub(crate) fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".to_vec(), sections.concat()].concat()
}

/// A command whose functions have type `() -> ()` and these bodies. The first function is `_start`.
pub(crate) fn functions(count: usize, body: &[u8]) -> Vec<u8> {
    let code = sized(&[&[0], body, &[0x0b]].concat());
    core(&[
        section(1, 1, b"\x60\0\0"),
        section(3, count, &vec![0; count]),
        section(5, 1, b"\0\x01"),
        section(7, 2, b"\x06_start\0\0\x06memory\x02\0"),
        section(10, count, &code.repeat(count)),
    ])
}
