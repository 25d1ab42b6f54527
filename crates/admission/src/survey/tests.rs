use super::*;
use crate::{Request, Role, admit, fixtures::*};
use cloister_model::{Limits, Verdict};

fn usize(value: u64) -> usize {
    usize::try_from(value).expect("it fits")
}

#[test]
fn bounds_functions_by_role() {
    let most = usize(caps::FUNCTIONS);
    assert_eq!(admit_bytes(&functions(most, &[])).verdict, Verdict::Admitted);
    let many = functions(300_000, &[]);
    assert_refused(&admit_bytes(&many), Rule::TooLarge, "300000 functions");
    let role = Role::Runtime { trapped_imports: &[], start: &[] };
    let runtime = admit(&Request { bytes: &many, limits: &Limits::default(), role });
    assert_eq!((runtime.verdict, runtime.functions), (Verdict::Admitted, 300_000));
}

#[test]
fn bounds_one_function_by_role() {
    let giant = functions(1, &vec![1; usize(caps::FUNCTION_BYTES)]);
    assert_refused(&admit_bytes(&giant), Rule::TooLarge, "bytes in one function");
    let role = Role::Runtime { trapped_imports: &[], start: &[] };
    let runtime = admit(&Request { bytes: &giant, limits: &Limits::default(), role });
    assert_eq!(runtime.verdict, Verdict::Admitted);
    let beyond_the_parser = functions(1, &vec![1; 8_000_000]);
    let runtime = admit(&Request { bytes: &beyond_the_parser, limits: &Limits::default(), role });
    assert_refused(&runtime, Rule::TooLarge, "bytes in one function");
}

#[test]
fn bounds_what_is_declared() {
    for (module, words) in [
        (core(&[section(1, 100_001, &b"\x60\0\0".repeat(100_001))]), "100001 types"),
        (core(&[section(1, 1, &[&b"\x60\x81\x01"[..], &[0x7f; 129], &[0]].concat())]), "129 parameters"),
        (core(&[section(1, 1, &[&b"\x60\0\x21"[..], &[0x7f; 33]].concat())]), "33 results"),
        (core(&[section(4, 101, &b"\x70\0\0".repeat(101))]), "101 tables"),
        (core(&[section(5, 17, &b"\0\0".repeat(17))]), "17 memories"),
        (core(&[section(12, 0, &[])].map(|_| b"\x0c\x04\xa1\x8d\x86\0".to_vec())), "100001 data segments"),
        (core(&[section(9, 100_001, &b"\x01\0\0".repeat(100_001))]), "100001 element segments"),
        (core(&[section(2, 1001, &b"\x01a\x01b\0\0".repeat(1001))]), "1001 imports"),
        (core(&[section(7, 10_001, &b"\x01a\0\0".repeat(10_001))]), "10001 exports"),
    ] {
        let admission = admit_bytes(&module);
        assert!(rules(&admission).contains(&Rule::TooLarge), "{words}: {:?}", admission.verdict);
        assert!(refusals(&admission).iter().any(|refusal| refusal.subject.contains(words)), "{words}");
        assert!(admission.imports.len() <= 1000 && admission.exports.len() <= 10_000);
    }
}

#[test]
fn false_section_counts_cost_nothing() {
    for id in [1, 2, 3, 4, 5, 6, 7, 9, 10, 11] {
        let module = core(&[vec![id, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]]);
        assert!(!rules(&admit_bytes(&module)).is_empty(), "section {id}");
    }
    for id in 2..=11 {
        let component = component(&[vec![id, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]]);
        assert!(!rules(&admit_bytes(&component)).is_empty(), "component section {id}");
    }
}

#[test]
fn sums_memories_and_tables_against_the_limits_of_the_run() {
    let limits = Limits { memory_bytes: 64 * 1024 * 10, table_elements: 100, ..Limits::default() };
    let under = |text: &str| admit(&Request { bytes: &binary(text), limits: &limits, role: Role::Algorithm });
    let with =
        |fields: &str| under(&format!(r#"(module (memory (export "memory") 5) (func (export "_start")) {fields})"#));
    assert_eq!(with("(memory 5) (table 50 funcref) (table 50 funcref)").verdict, Verdict::Admitted);
    assert_refused(&with("(memory 6)"), Rule::Memory, "720896 bytes");
    assert_refused(&with("(table 50 funcref) (table 51 funcref)"), Rule::TooLarge, "101 table elements");
    let inside = r#"(core module (memory 6)) (core module (memory 5))"#;
    assert_refused(&under(&COMPONENT.replacen("(component", &format!("(component {inside}"), 1)), Rule::Memory, "");
}

#[test]
fn bounds_the_file() {
    let bytes = binary(COMMAND);
    let limits = Limits { module_bytes: 8, ..Limits::default() };
    let admission = admit(&Request { bytes: &bytes, limits: &limits, role: Role::Algorithm });
    assert_refused(&admission, Rule::TooLarge, "bytes, where 8 are allowed");
    assert_eq!(admission.kind, None);
    // The report that is made without reading the file is the same.
    assert_eq!(admission, crate::too_many_bytes(bytes.len() as u64, &limits));
}

#[test]
fn names_are_cut() {
    let long = "x".repeat(90_000);
    let admission = admit_with(&format!(r#"(import "{long}" "{long}" (func)) (func (export "{long}"))"#));
    assert_eq!(rules(&admission), [Rule::Import]);
    assert_eq!(admission.imports[0].module.len(), caps::NAME_BYTES);
    assert!(admission.exports.iter().all(|name| name.len() <= caps::NAME_BYTES));
    assert!(refusals(&admission)[0].subject.len() < 400);
}

#[test]
fn counts_over_everything_inside_a_component() {
    let inside = r#"(component (core module (func) (func))) (core module (memory 2) (func))"#;
    let admission = admit_text(&COMPONENT.replacen("(component", &format!("(component {inside}"), 1));
    assert_eq!(admission.verdict, Verdict::Admitted);
    assert_eq!((admission.functions, admission.memories.len()), (4, 1));
    assert_eq!(admission.exports, ["wasi:cli/run@0.2.3"]);
}

#[test]
fn an_object_file_is_recognised() {
    let object = core(&[b"\0\x09\x07linking\x02".to_vec()]);
    assert!(refusals(&admit_bytes(&object)).iter().any(|refusal| refusal.advice.contains("object file")));
}
