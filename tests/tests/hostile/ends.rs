//! The report states exactly how a guest ended: every exit code, trap and disabled proposal.

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

/// Only 0 is success; 256, which a process would truncate to 0, is not.
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

/// Failures before `_start` are reported in the same way.
#[test]
fn ends_before_the_start() {
    for (rest, trap) in [
        ("(data (i32.const 65536) \"x\")", TrapKind::MemoryOutOfBounds),
        ("(data (i32.const -1) \"x\")", TrapKind::MemoryOutOfBounds),
        ("(table 1 funcref) (func $f) (elem (i32.const 1) $f)", TrapKind::TableOutOfBounds),
        ("(func $f unreachable) (start $f)", TrapKind::Unreachable),
        ("(func $f (call $f)) (start $f)", TrapKind::StackOverflow),
    ] {
        let text = format!("(module (memory (export \"memory\") 1) (func (export \"_start\")) {rest})");
        assert_crashed(&Trial::wat(&text).finish(), trap);
    }
    let text = "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (memory (export \"memory\") 1) (func (export \"_start\")) (func $f (call $exit (i32.const 3))) (start $f))";
    let ended = Trial::wat(text).finish();
    assert_eq!(*ended.outcome(), Outcome::AlgorithmFailed { exit_code: 3 }, "{}", shape(&ended));
    // An import cannot be the start function, and `_start` must not return a number.
    for text in [
        "(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32))) (memory (export \"memory\") 1)
            (export \"_start\" (func 0)))",
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (result i32) (i32.const 0)))",
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (result i64) (i64.const 0)))",
    ] {
        assert_refused(&Trial::wat(text).finish(), Rule::EntryPoint);
    }
}

/// The maximum of every limit is accepted.
#[test]
fn limits_at_their_most() {
    let text = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";
    for limit in [
        "fuel=18446744073709551615",
        "wall=8760h",
        "cpu=8760h",
        "handles=4096",
        "call=128MiB",
        "tables=100000000,instances=10000",
        "module=1GiB,artifact=8GiB,compile-wall=24h",
        "compile-memory=18446744073709551615",
        "stack=64MiB",
    ] {
        Trial::wat(text).with(&["--limits", limit]).finish().assert_succeeded();
    }
    // One more is refused.
    for limit in
        ["fuel=0", "wall=8761h", "handles=4097", "memory=16EiB", "stack=65MiB", "compile-memory=1MiB", "handles=-1"]
    {
        let ended = Trial::wat(text).with(&["--limits", limit]).finish();
        assert_eq!((ended.code, ended.report.is_none()), (Some(2), true), "{limit}: {}", ended.stderr);
    }
}

/// Disabled proposals, each with a minimal program that needs it.
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
