//! Tests with programs that attack the parser.

use crate::{Request, Role, admit, caps, fixtures::*};
use cloister_model::{Admission, Limits, ModuleKind, Rule, Verdict};
use proptest::prelude::*;

const RUNTIME: Role<'static> = Role::Runtime { trapped_imports: &[], start: &[] };

/// Checks the properties that hold for every program.
fn check(bytes: &[u8]) -> Admission {
    for role in [RUNTIME, Role::Algorithm] {
        let request = Request { bytes, limits: &Limits::default(), role };
        let admission = admit(&request);
        assert_eq!(admission, admit(&request), "the same bytes must give the same verdict");
        match &admission.verdict {
            Verdict::Admitted => assert!(admission.kind.is_some()),
            Verdict::Refused { refusals } => {
                assert!((1..=caps::REFUSALS).contains(&refusals.len()));
                assert!(refusals.iter().all(|refusal| !refusal.subject.is_empty() && !refusal.advice.is_empty()));
            }
        }
        if matches!(role, Role::Algorithm) {
            assert!(
                admission.verdict != Verdict::Admitted || admission.kind != Some(ModuleKind::Preview1Reactor),
                "a reactor cannot be started"
            );
        }
    }
    admit_bytes(bytes)
}

/// A command with a section of every kind, and a component that contains it.
fn rich() -> [Vec<u8>; 2] {
    let module = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (type $t (func (param i32) (result i32)))
        (memory (export "memory") 1) (memory 2 3)
        (table 2 funcref) (global (mut i64) (i64.const 5))
        (func $f (type $t) (block (loop (br_table 0 1 0 (local.get 0)))) (i32.const 7))
        (func (export "_start") (local v128 f64) (drop (call_indirect (type $t) (i32.const 1) (i32.const 0))))
        (func $s) (start $s)
        (elem (i32.const 0) $f $f) (data (i32.const 0) "text") (data "passive")
        (@producers (language "Rust" "2024") (processed-by "rustc" "1.95.0")))"#;
    let component = r#"(component
        (import "wasi:io/streams@0.2.0" (instance $streams
            (export "output-stream" (type $o (sub resource)))
            (export "write" (func (param "to" (borrow $o)) (param "bytes" (list u8)) (result (result))))))
        (type $record (record (field "a" u32) (field "b" (tuple string (option f64)))))
        (component $inner (core module) (type (component (import "x" (instance)))))
        (instance (instantiate $inner))
        (alias export $streams "write" (func $write))
        (core module $m (memory (export "m") 1) (func (export "run") (result i32) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m))
        (core func (canon lower (func $write) (memory (core memory $i "m")) (realloc (core func $i "realloc"))))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $r (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $r)))"#;
    [binary(module), binary(component)]
}

#[test]
fn the_unbroken_programs_are_admitted() {
    for bytes in rich() {
        assert_eq!(check(&bytes).verdict, Verdict::Admitted);
    }
}

#[test]
fn every_truncation_is_refused() {
    for bytes in rich() {
        // Only the custom sections at the end, names and producers, may be missing.
        let needed = admitted_prefix(&bytes);
        for length in 0..needed {
            assert_ne!(check(&bytes[..length]).verdict, Verdict::Admitted, "{length} of {} bytes", bytes.len());
        }
    }
}

/// The shortest prefix that is a complete program: no rule requires the custom sections at the end.
fn admitted_prefix(bytes: &[u8]) -> usize {
    (0..=bytes.len()).find(|length| admit_bytes(&bytes[..*length]).verdict == Verdict::Admitted).expect("the whole")
}

#[test]
fn sections_out_of_order_or_twice_are_refused() {
    let memory = section(5, 1, b"\0\x01");
    let types = section(1, 1, b"\x60\0\0");
    for sections in [vec![memory.clone(), types], vec![memory.clone(), memory], vec![b"\x7f\0".to_vec()]] {
        assert!(rules(&check(&core(&sections))).contains(&Rule::Invalid));
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    for bytes in rich() {
        for tail in [&b"\0"[..], b"\xff", b"\0asm\x01\0\0\0", b"\x01\xff\xff\xff\xff\x0f"] {
            assert_ne!(check(&[&bytes, tail].concat()).verdict, Verdict::Admitted);
        }
    }
}

#[test]
fn nested_components_are_bounded_in_depth_and_number() {
    let nested =
        |levels: usize| (0..levels).fold(component(&[]), |inner, _| component(&[[vec![4], sized(&inner)].concat()]));
    let within = usize::try_from(caps::NESTING_DEPTH).expect("it fits");
    assert!(!rules(&check(&nested(within))).contains(&Rule::TooLarge));
    for levels in [within + 1, 2000] {
        assert!(rules(&check(&nested(levels))).contains(&Rule::TooLarge), "{levels}");
    }
    let inner = [vec![1], sized(&core(&[]))].concat();
    let many = |count: usize| check(&component(&[inner.repeat(count)]));
    assert!(!rules(&many(256)).contains(&Rule::TooLarge));
    assert!(rules(&many(257)).contains(&Rule::TooLarge));
}

#[test]
fn nested_types_do_not_overflow_the_stack() {
    for levels in [31, 32, 100, 10_000_000] {
        let types = [b"\x42\x01\x01".repeat(levels), b"\x42\0".to_vec()].concat();
        let refused = rules(&check(&component(&[section(7, 1, &types)])));
        assert_eq!(refused.contains(&Rule::TooLarge), levels >= caps::TYPE_DEPTH, "{levels}");
    }
}

#[test]
fn types_that_double_at_every_step_are_refused() {
    // (type (tuple u8 u8)), then tuples of two of the previous type: 2^40 values in 160 bytes.
    let mut types = b"\x6f\x02\x7d\x7d".to_vec();
    for index in 0..40 {
        types.extend([0x6f, 2, index, index]);
    }
    let admission = check(&component(&[section(7, 41, &types)]));
    assert!(rules(&admission).contains(&Rule::Invalid));
    assert!(refusals(&admission)[0].subject.contains("type size"), "{:?}", admission.verdict);
}

/// An instance type with one resource and many functions that take it, imported many times.
fn copying(functions: usize, imports: usize) -> Vec<u8> {
    let mut declarations = b"\x04\0\x01r\x03\x01\x01\x68\0\x01\x40\x01\x01x\x01\x01\0".to_vec();
    for index in 0..functions {
        declarations.extend([&b"\x04\0"[..], &sized(format!("f{index}").as_bytes()), b"\x01\x02"].concat());
    }
    let ty = [vec![0x42], leb(functions + 3), declarations].concat();
    let names = (0..imports).map(|index| [&b"\0"[..], &sized(format!("i{index}").as_bytes()), b"\x05\0"].concat());
    component(&[section(7, 1, &ty), section(10, imports, &names.collect::<Vec<_>>().concat())])
}

#[test]
fn types_that_are_copied_many_times_are_refused() {
    assert!(!rules(&check(&copying(800, 30))).iter().any(|rule| matches!(rule, Rule::TooLarge | Rule::Invalid)));
    let admission = check(&copying(50_000, 900));
    assert!(rules(&admission).contains(&Rule::TooLarge), "{:?}", admission.verdict);
}

#[test]
fn calls_do_not_multiply_time_or_memory() {
    // One function returns 32 values; another calls it a million times in 2 MB.
    let results = [&b"\x60\0\x20"[..], &[0x7f; 32]].concat();
    let module = |body: &[u8]| {
        let code = [sized(b"\0\0\x0b"), sized(&[&[0], body, &[0x0b]].concat())].concat();
        core(&[section(1, 2, &[&b"\x60\0\0"[..], &results].concat()), section(3, 2, b"\x01\0"), section(10, 2, &code)])
    };
    let admission = check(&module(&b"\x10\0".repeat(1_000_000)));
    assert!(refusals(&admission).iter().any(|refusal| refusal.subject.contains("operands")), "{:?}", admission.verdict);
}

#[test]
fn overlong_numbers_are_refused() {
    for module in [
        core(&[b"\x01\x80\x80\x80\x80\x80\x01".to_vec()]),
        core(&[b"\x03\x06\xff\xff\xff\xff\xff\x01".to_vec()]),
        core(&[b"\x05\xff\xff\xff\xff\x0f".to_vec()]),
        core(&[b"\0\xff\xff\xff\xff\x0f\xff\xff\xff\xff\x0f".to_vec()]),
    ] {
        assert!(rules(&check(&module)).contains(&Rule::Invalid));
    }
}

#[test]
fn refusals_are_few_even_when_everything_is_wrong() {
    let imports: String = (0..900).map(|i| format!(r#"(import "m{i}" "f" (func))"#)).collect();
    let admission = admit_with(&imports);
    assert_eq!(refusals(&admission).len(), caps::REFUSALS);
    assert_eq!(admission.imports.len(), 900);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_have_a_verdict(bytes: Vec<u8>, header in 0..3_usize) {
        let header = [&b""[..], b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"][header];
        check(&[header, &bytes].concat());
    }

    #[test]
    fn changed_programs_have_a_verdict(
        which in 0..2_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = rich()[which].clone();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Some(cut) = cut {
            bytes.remove(cut.index(bytes.len()));
        }
        check(&bytes);
    }

    #[test]
    fn sections_of_any_bytes_have_a_verdict(
        is_component: bool,
        sections in prop::collection::vec((0..14_u8, 0..6_usize, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
    ) {
        let sections: Vec<_> = sections.into_iter().map(|(id, count, items)| section(id, count, &items)).collect();
        check(&if is_component { component(&sections) } else { core(&sections) });
    }
}
