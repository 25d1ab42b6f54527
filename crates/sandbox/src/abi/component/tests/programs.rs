//! Tests with components that run. Each consists of imports, a core module and the export `wasi:cli/run`.

use super::{super::linker, HANDLES, Host};
use crate::{
    engine::{Effort, EngineSettings, Purpose},
    guest::{AbiViolation, Exit, Guest},
};
use cloister_model::{Limit, Profile};
use std::time::{Duration, Instant};
use wasmtime::{
    Result, Store,
    component::{Component, Linker, Resource},
};
use wasmtime_wasi::p2::{DynPollable, bindings::sync::CommandPre};

/// Builds a component. `imports` are instances; `lowered` pairs the core module's import names with the functions that
/// they are lowered from; `body` is the rest of a core module that imports them and the memory, and exports `run`.
fn component(imports: &str, lowered: &[(&str, &str)], body: &str) -> String {
    let options = "(memory (core memory $libc \"memory\")) (realloc (core func $libc \"realloc\"))";
    let canon: String = lowered
        .iter()
        .map(|(name, from)| {
            if let Some(resource) = from.strip_prefix("drop ") {
                format!("(core func ${name} (canon resource.drop ${resource}))\n")
            } else {
                format!("(core func ${name} (canon lower (func {from}) {options}))\n")
            }
        })
        .collect();
    let exports: String = lowered.iter().map(|(name, _)| format!("(export \"{name}\" (func ${name}))\n")).collect();
    format!(
        r#"(component
            {imports}
            (core module $Libc
                (memory (export "memory") 1)
                (global $top (mut i32) (i32.const 32768))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (global.get $top))
                    (global.set $top (i32.and (i32.add (i32.add (local.get $at) (local.get 3)) (i32.const 7)) (i32.const -8)))
                    (local.get $at)))
            (core instance $libc (instantiate $Libc))
            {canon}
            (core module $Main {body})
            (core instance $main (instantiate $Main
                (with "libc" (instance $libc))
                (with "wasi" (instance {exports}))))
            (func $run (result (result)) (canon lift (core func $main "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $exported)))"#
    )
}

const EXIT: &str = r#"(import "wasi:cli/exit@0.2.0" (instance $exit
    (export "exit" (func (param "status" (result))))))"#;
const EXIT_WITH_CODE: &str = r#"(import "wasi:cli/exit@0.2.12" (instance $exit
    (export "exit-with-code" (func (param "status-code" u8)))))"#;
const RANDOM: &str = r#"(import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-u64" (func (result u64)))
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))"#;
const CLOCK: &str = r#"
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))
        (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))
        (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $p))
        (export "pollable" (type $q (eq $p)))
        (export "now" (func (result u64)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $q))))))"#;
const STDOUT: &str = r#"
    (import "wasi:io/streams@0.2.0" (instance $streams (export "output-stream" (type (sub resource)))))
    (alias export $streams "output-stream" (type $stream))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
        (alias outer 1 $stream (type $s))
        (export "output-stream" (type $t (eq $s)))
        (export "get-stdout" (func (result (own $t))))))"#;

/// The message for an error of the component model itself.
const MODEL_RULE: &str = "a call that breaks the rules of the component model";
/// The most bytes that a call may pass from the guest to the host: 4500 handles, as the engine counts them.
const CARRIED_BYTES: usize = 4500 * size_of::<Resource<DynPollable>>();

const SETTINGS: EngineSettings = EngineSettings { profile: Profile::Deterministic, exceptions: false, fuel: false };

fn run(host: &Host, text: &str) -> Result<std::result::Result<(), ()>> {
    let engine = SETTINGS.engine(Purpose::Compile(Effort::Most))?;
    let component = Component::new(&engine, wat::parse_str(text).expect("well-formed text"))?;
    let mut linker = Linker::new(&engine);
    linker::add_to_linker(&mut linker)?;
    let command = CommandPre::new(linker.instantiate_pre(&component)?)?;
    let mut store: Store<Guest> = Store::new(&engine, host.guest());
    store.set_hostcall_fuel(CARRIED_BYTES);
    linker::run(&mut store, &command)
}

/// The exit code of a program.
fn exit_code(text: &str) -> u32 {
    let error = run(&Host::new(), text).expect_err("an exit");
    error.downcast_ref::<Exit>().unwrap_or_else(|| panic!("an exit, not {error:?}")).0
}

/// The rule that a program violates.
fn violation(host: &Host, text: &str) -> &'static str {
    let error = run(host, text).expect_err("a trap");
    error.downcast_ref::<AbiViolation>().unwrap_or_else(|| panic!("a violation, not {error:?}")).0
}

#[test]
fn the_return_value_of_run_is_the_result() {
    for (code, expected) in [(0, Ok(())), (1, Err(()))] {
        let text = component("", &[], &format!("(func (export \"run\") (result i32) (i32.const {code}))"));
        assert_eq!(run(&Host::new(), &text).expect("no trap"), expected);
    }
}

#[test]
fn exit_ends_the_guest() {
    for (import, function, code) in [
        (EXIT, "exit", 0),
        (EXIT, "exit", 1),
        (EXIT_WITH_CODE, "exit-with-code", 0),
        (EXIT_WITH_CODE, "exit-with-code", 42),
    ] {
        let body = format!(
            r#"(import "wasi" "exit" (func $exit (param i32)))
               (func (export "run") (result i32) (call $exit (i32.const {code})) (unreachable))"#
        );
        let text = component(import, &[("exit", &format!("$exit \"{function}\""))], &body);
        assert_eq!(exit_code(&text), code);
    }
}

#[test]
fn a_trap_is_a_trap() {
    let error = run(&Host::new(), &component("", &[], "(func (export \"run\") (result i32) (unreachable))"));
    let error = error.expect_err("a trap");
    assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::UnreachableCodeReached));
}

#[test]
fn sleeping_on_the_virtual_clock_takes_no_real_time() {
    let body = r#"
        (import "wasi" "now" (func $now (result i64)))
        (import "wasi" "in" (func $in (param i64) (result i32)))
        (import "wasi" "ready" (func $ready (param i32) (result i32)))
        (import "wasi" "block" (func $block (param i32)))
        (func (export "run") (result i32)
            (local $start i64) (local $hour i32)
            (local.set $start (call $now))
            (local.set $hour (call $in (i64.const 3600000000000)))
            (if (call $ready (local.get $hour)) (then (unreachable)))
            (call $block (local.get $hour))
            (if (i32.eqz (call $ready (local.get $hour))) (then (unreachable)))
            (if (i64.lt_u (i64.sub (call $now) (local.get $start)) (i64.const 3600000000000)) (then (unreachable)))
            (if (i64.gt_u (i64.sub (call $now) (local.get $start)) (i64.const 3600001000000)) (then (unreachable)))
            (i32.const 0))"#;
    let lowered = [
        ("now", "$clock \"now\""),
        ("in", "$clock \"subscribe-duration\""),
        ("ready", "$poll \"[method]pollable.ready\""),
        ("block", "$poll \"[method]pollable.block\""),
    ];
    let started = Instant::now();
    assert_eq!(run(&Host::new(), &component(CLOCK, &lowered, body)).expect("no trap"), Ok(()));
    assert!(started.elapsed() < Duration::from_secs(3600));
}

/// A program that polls `count` clocks, due in 3, 2, ... hours, and returns the result of `check` on the length (`$n`)
/// and first index (`$first`) of the answer.
fn polling(count: u32, check: &str) -> String {
    let body = format!(
        r#"(import "libc" "memory" (memory 1))
        (import "wasi" "in" (func $in (param i64) (result i32)))
        (import "wasi" "poll" (func $poll (param i32 i32 i32)))
        (func (export "run") (result i32)
            (local $i i32) (local $n i32) (local $first i32)
            (block $done (loop $more
                (br_if $done (i32.ge_u (local.get $i) (i32.const 3)))
                (i32.store (i32.mul (local.get $i) (i32.const 4))
                    (call $in (i64.mul
                        (i64.extend_i32_u (i32.sub (i32.const 3) (local.get $i)))
                        (i64.const 3600000000000))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $more)))
            (call $poll (i32.const 0) (i32.const {count}) (i32.const 16))
            (local.set $first (i32.load (i32.load (i32.const 16))))
            (local.set $n (i32.load (i32.const 20)))
            {check})"#
    );
    component(CLOCK, &[("in", "$clock \"subscribe-duration\""), ("poll", "$poll \"poll\"")], &body)
}

#[test]
fn a_poll_returns_the_first_clock_that_is_due() {
    let check = "(i32.or (i32.ne (local.get $n) (i32.const 1)) (i32.ne (local.get $first) (i32.const 2)))";
    assert_eq!(run(&Host::new(), &polling(3, check)).expect("no trap"), Ok(()));
}

#[test]
fn a_poll_has_bounds() {
    assert_eq!(violation(&Host::new(), &polling(0, "(i32.const 0)")), "a poll of nothing");
    // One pollable, many times.
    let body = r#"(import "libc" "memory" (memory 1))
        (import "wasi" "in" (func $in (param i64) (result i32)))
        (import "wasi" "poll" (func $poll (param i32 i32 i32)))
        (func (export "run") (result i32)
            (local $at i32) (local $one i32)
            (local.set $one (call $in (i64.const 0)))
            (loop $more
                (i32.store (local.get $at) (local.get $one))
                (local.set $at (i32.add (local.get $at) (i32.const 4)))
                (br_if $more (i32.lt_u (local.get $at) (i32.const 20000))))
            (call $poll (i32.const 0) (i32.const COUNT) (i32.const 20004))
            (i32.const 0))"#;
    let lowered = [("in", "$clock \"subscribe-duration\""), ("poll", "$poll \"poll\"")];
    let text = component(CLOCK, &lowered, body);
    assert_eq!(run(&Host::new(), &text.replace("COUNT", "4096")).expect("no trap"), Ok(()));
    assert_eq!(violation(&Host::new(), &text.replace("COUNT", "4097")), "a poll of more than 4096 pollables");
    assert_eq!(violation(&Host::new(), &text.replace("COUNT", "5000")), MODEL_RULE, "beyond what a call may carry");
}

#[test]
fn randomness_is_the_same_in_every_run_and_bounded() {
    let body = r#"(import "wasi" "exit" (func $exit (param i32)))
        (import "wasi" "u64" (func $u64 (result i64)))
        (func (export "run") (result i32)
            (if (i64.eq (call $u64) (call $u64)) (then (unreachable)))
            (call $exit (i32.and (i32.wrap_i64 (call $u64)) (i32.const 255)))
            (unreachable))"#;
    let lowered = [("exit", "$exit \"exit-with-code\""), ("u64", "$random \"get-random-u64\"")];
    let text = component(&format!("{EXIT_WITH_CODE}{RANDOM}"), &lowered, body);
    assert_eq!(exit_code(&text), exit_code(&text));

    let body = r#"(import "wasi" "bytes" (func $bytes (param i64 i32)))
        (func (export "run") (result i32) (call $bytes (i64.const LENGTH) (i32.const 0)) (i32.const 0))"#;
    let text = component(RANDOM, &[("bytes", "$random \"get-random-bytes\"")], body);
    assert_eq!(run(&Host::new(), &text.replace("LENGTH", "8192")).expect("no trap"), Ok(()));
    let rule = "more random bytes in one call than `callBytes` allows";
    assert_eq!(violation(&Host::new(), &text.replace("LENGTH", "8193")), rule);
    assert_eq!(violation(&Host::new(), &text.replace("LENGTH", "-1")), rule);
}

#[test]
fn resources_are_bounded_and_released_when_dropped() {
    let body = r#"(import "wasi" "stdout" (func $stdout (result i32)))
        (import "wasi" "drop" (func $drop (param i32)))
        (func (export "run") (result i32)
            (local $i i32)
            (loop $more
                (call KEEP (call $stdout))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $i) (i32.const 1000))))
            (i32.const 0))
        (func $keep (param i32))"#;
    let lowered = [("stdout", "$stdout \"get-stdout\""), ("drop", "drop stream")];
    let text = component(STDOUT, &lowered, body);
    let host = Host::new();
    assert_eq!(run(&host, &text.replace("KEEP", "$drop")).expect("no trap"), Ok(()));
    assert_eq!(host.account.denial(), None);
    let rule = "more resources than the limit on handles allows";
    assert_eq!(violation(&host, &text.replace("KEEP", "$keep")), rule);
    let denial = host.account.denial().expect("a denial");
    assert_eq!((denial.limit, denial.allowed), (Limit::Handles, u64::from(HANDLES) * 4));
}

#[test]
fn errors_of_the_component_model_are_the_guests_fault() {
    let body = r#"(import "wasi" "drop" (func $drop (param i32)))
        (func (export "run") (result i32) (call $drop (i32.const 99)) (i32.const 0))"#;
    assert_eq!(violation(&Host::new(), &component(STDOUT, &[("drop", "drop stream")], body)), MODEL_RULE);
}

#[test]
fn unlinked_imports_are_refused_before_the_guest_starts() {
    for interface in ["wasi:sockets/tcp@0.2.0", "wasi:http/types@0.2.0", "wasi:cli/exit@0.3.0", "host:any/thing"] {
        let import = format!("(import \"{interface}\" (instance (export \"f\" (func))))");
        let text = component(&import, &[], "(func (export \"run\") (result i32) (unreachable))");
        let error = format!("{:?}", run(&Host::new(), &text).expect_err("a refusal"));
        assert!(error.contains(interface), "{error}");
    }
}
