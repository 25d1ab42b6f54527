//! How a guest ends is told as it was: no code, trap or proposal turns into something else.

use crate::runs::{Run as _, assert_crashed, assert_refused, shape};
use cloister_model::{Outcome, Rule, TrapKind};
use cloister_tests::{Ended, Trial};

fn run(body: &str) -> Ended {
    let text = format!(
        "(module
        (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (memory (export \"memory\") 1) (table 2 funcref) (elem (i32.const 0) $other)
        (type $nothing (func)) (func $other (param i32))
        (func (export \"_start\") (local i32 f64) {body}))"
    );
    Trial::wat(&text).finish()
}

/// Only 0 is success: not 256, of which a process could keep nothing.
#[test]
fn exit_codes() {
    for code in [1, 2, 70, 126, 255, 256, 65_536, i32::MAX.cast_unsigned(), u32::MAX] {
        let ended = run(&format!("(call $exit (i32.const {code}))"));
        assert_eq!(*ended.outcome(), Outcome::AlgorithmFailed { exit_code: code }, "{}", shape(&ended));
        assert_eq!(ended.code, Some(1));
    }
    run("(call $exit (i32.const 0)) (unreachable)").assert_succeeded();
}

#[test]
fn traps() {
    for (body, trap) in [
        ("(unreachable)", TrapKind::Unreachable),
        ("(drop (i32.load (i32.const 65536)))", TrapKind::MemoryOutOfBounds),
        ("(drop (i32.load offset=4294967295 (i32.const -1)))", TrapKind::MemoryOutOfBounds),
        ("(i64.store (i32.const -4) (i64.const 1))", TrapKind::MemoryOutOfBounds),
        ("(memory.fill (i32.const 1) (i32.const 0) (i32.const -1))", TrapKind::MemoryOutOfBounds),
        ("(memory.copy (i32.const 0) (i32.const 65535) (i32.const 2))", TrapKind::MemoryOutOfBounds),
        ("(call_indirect (type $nothing) (i32.const 2))", TrapKind::TableOutOfBounds),
        ("(call_indirect (type $nothing) (i32.const -1))", TrapKind::TableOutOfBounds),
        ("(call_indirect (type $nothing) (i32.const 1))", TrapKind::IndirectCallToNull),
        ("(call_indirect (type $nothing) (i32.const 0))", TrapKind::BadSignature),
        ("(drop (i32.div_u (i32.const 1) (local.get 0)))", TrapKind::IntegerDivisionByZero),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", TrapKind::IntegerOverflow),
        ("(drop (i32.trunc_f64_s (f64.const nan)))", TrapKind::BadConversionToInteger),
    ] {
        assert_crashed(&run(body), trap);
    }
}

/// Proposals that are off, each by the shortest program that needs it.
#[test]
fn proposals_that_are_off() {
    for rest in [
        "(memory 1 1 shared)",
        "(memory i64 1)",
        "(table i64 1 funcref)",
        "(tag)",
        "(type (struct))",
        "(func (drop (ref.null any)))",
        "(func $f (return_call $f))",
        "(func (param v128) (drop (f32x4.relaxed_madd (local.get 0) (local.get 0) (local.get 0))))",
        "(func (drop (i32.atomic.load (i32.const 0))))",
        "(memory 1 (pagesize 1))",
    ] {
        let text = format!("(module (memory (export \"memory\") 1) (func (export \"_start\")) {rest})");
        assert_refused(&Trial::wat(&text).finish(), Rule::Invalid);
    }
}
