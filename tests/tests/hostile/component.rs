//! Components: the same promises through the other ABI.

use crate::runs::{Run as _, assert_limit, assert_outputs, fixture, outputs, shape};
use cloister_model::{Limit, Outcome};
use cloister_tests::{Trial, guest, root};
use std::fs;

#[test]
pub(crate) fn component_stdout_flood() {
    let ended = fixture("component_stdout_flood").with_file("--contract", r#"{"maxLogBytes": 10000}"#).finish();
    ended.assert_succeeded();
    let log = &ended.report().log;
    assert_eq!((log.kept_bytes, log.dropped_bytes), (10_000, 2000 * 4096 - 10_000));
}

/// The expected results for each path that the Rust guest tries to read, stat, write, create as a directory and list.
const PATHS: &[(&str, [&str; 5])] = &[
    (r#""/etc/passwd""#, ["NotFound", "NotFound", "NotFound", "NotFound", "NotFound"]),
    (
        r#""/data/../../etc/passwd""#,
        ["PermissionDenied", "PermissionDenied", "PermissionDenied", "PermissionDenied", "PermissionDenied"],
    ),
    (
        r#""/data/inputs/d/../../../../etc/passwd""#,
        ["PermissionDenied", "PermissionDenied", "PermissionDenied", "PermissionDenied", "PermissionDenied"],
    ),
    (r#""../x""#, ["PermissionDenied", "PermissionDenied", "PermissionDenied", "PermissionDenied", "PermissionDenied"]),
    (r#""/proc/self/environ""#, ["NotFound", "NotFound", "NotFound", "NotFound", "NotFound"]),
    (r#""/dev/null""#, ["[]", "()", "()", "AlreadyExists", "NotADirectory"]),
    (r#""""#, ["Other", "()", "IsADirectory", "AlreadyExists", "()"]),
    (r#""/data/inputs/\u{1b}[2J""#, ["NotFound", "NotFound", "ReadOnlyFilesystem", "ReadOnlyFilesystem", "NotFound"]),
];

/// The expected results for everything else.
const ANSWERS: &[&str] = &[
    r#"read input: "data""#,
    r#"overwrite input: ReadOnlyFilesystem"#,
    r#"append to input: ReadOnlyFilesystem"#,
    r#"truncate input: ReadOnlyFilesystem"#,
    r#"read and write input: ReadOnlyFilesystem"#,
    r#"set size of input: InvalidInput"#,
    r#"write to input: Uncategorized"#,
    r#"remove input: ReadOnlyFilesystem"#,
    r#"remove dataset: ReadOnlyFilesystem"#,
    r#"rename input: ReadOnlyFilesystem"#,
    r#"link input: Unsupported"#,
    r#"add input: ReadOnlyFilesystem"#,
    r#"list inputs: ["0"]"#,
    r#"read what was written: Uncategorized"#,
    r#"read output: PermissionDenied"#,
    r#"open output for both: ()"#,
    r#"size of output: 6"#,
    r#"list outputs: ["file"]"#,
    r#"copy output: PermissionDenied"#,
    r#"rename output to scratch: CrossesDevices"#,
    r#"link output: Unsupported"#,
    r#"name with an escape: PermissionDenied"#,
    r#"name too long: InvalidFilename"#,
    r#"append output: ()"#,
    r#"make directory: ()"#,
    r#"write below: ()"#,
    r#"list below: ["file"]"#,
    r#"remove full directory: Other"#,
    r#"beyond the budget: Other"#,
    r#"scratch: "mine""#,
    r#"outputs: ()"#,
    r#"arguments: ["algorithm"]"#,
    r#"variables: ["DIDS", "INPUTS", "LOGS", "OUTPUTS", "TRANSFORMATION_DID", "VOLUME"]"#,
    r#"standard input: """#,
    r#"process: Unsupported"#,
    r#"thread: Unsupported"#,
    r#"handles: true true"#,
    r#"after handles: ()"#,
];

const KINDS: [&str; 2] = ["hostile.p1.wasm", "hostile.p2.wasm"];

/// The same program gets the same results as a preview 1 module and as a 0.2 component.
#[test]
fn a_rust_program_tries_everything() {
    let mut expected = Vec::new();
    for (path, answers) in PATHS {
        for (operation, answer) in ["read", "stat", "write", "mkdir", "list"].iter().zip(answers) {
            expected.push(format!("{operation} {path}: {answer}"));
        }
    }
    expected.extend(ANSWERS.iter().map(|line| (*line).to_owned()));
    for kind in KINDS {
        let ended = Trial::file(&guest(kind)).finish();
        // The sandbox adds no line to a log that was not cut.
        let text = String::from_utf8(ended.log.clone()).expect("text");
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{kind}");
        // It exceeded the budget, however it handled the error.
        assert_limit(&ended, Limit::OutputBytes);
        assert_outputs(&ended, &[("file", b"secret+"), ("hole", b""), ("sub/file", b"below")]);
        assert_eq!(ended.report().output_directories, 1);
    }
}

/// A call that is lent the network gets an error, too, and the program goes on to its next attempt.
#[test]
fn every_attempt_to_send_a_dataset_away_is_answered_with_an_error() {
    for kind in ["exfiltrate.p1.wasm", "exfiltrate.p2.wasm"] {
        let ended = Trial::file(&guest(kind)).finish();
        ended.assert_succeeded();
        let text = String::from_utf8(ended.log.clone()).expect("text");
        assert!(text.ends_with("13 attempts, and none succeeded\n"), "{kind}: {text}");
        assert_outputs(&ended, &[("loot", b"a result that the algorithm cannot read back")]);
    }
}

#[test]
fn a_rust_program_floods() {
    for kind in KINDS {
        let flood = |what: &str, contract: &str| {
            let parameters = format!("{{\"flood\": \"{what}\"}}");
            Trial::file(&guest(kind)).with_file("--params", &parameters).with_file("--contract", contract).finish()
        };
        let ended = flood("log", r#"{"maxLogBytes": 5000}"#);
        ended.assert_succeeded();
        let log = &ended.report().log;
        assert_eq!((log.kept_bytes, log.dropped_bytes), (5000, 10_000 * 1024 - 5000), "{kind}");
        let ended = flood("bytes", r#"{"maxBytes": 99999}"#);
        assert_limit(&ended, Limit::OutputBytes);
        // How close it comes to the budget depends on the chunks in which its C library writes.
        let left = outputs(&ended);
        assert!((95_000..=99_999).contains(&left["flood"].len()), "{kind}: {} bytes", left["flood"].len());
        let ended = flood("files", r#"{"maxFiles": 7}"#);
        assert_limit(&ended, Limit::OutputFiles);
        assert_eq!(outputs(&ended).len(), 7, "{kind}");
    }
}

/// A component whose core module contains this code and imports these host functions: `get` (standard output), `write`
/// (blocking), `random` (a list of bytes) and `drop` (of an output stream).
fn component(module: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
        (import "wasi:random/random@0.2.0" (instance $random
            (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
        (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
        (alias export $error "error" (type $error))
        (import "wasi:io/streams@0.2.0" (instance $streams
            (alias outer 1 $error (type $e))
            (export "error" (type $e2 (eq $e)))
            (type $variant (variant (case "last-operation-failed" (own $e2)) (case "closed")))
            (export "stream-error" (type $stream-error (eq $variant)))
            (export "output-stream" (type $stream (sub resource)))
            (export "[method]output-stream.blocking-write-and-flush" (func
                (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
        (alias export $streams "output-stream" (type $stream))
        (import "wasi:cli/stdout@0.2.0" (instance $stdout
            (alias outer 1 $stream (type $s))
            (export "output-stream" (type $t (eq $s)))
            (export "get-stdout" (func (result (own $t))))))
        (core module $libc
            (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.load (i32.const 32))))
        (core instance $libc (instantiate $libc))
        (core func $get (canon lower (func $stdout "get-stdout")))
        (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
            (memory (core memory $libc "memory"))))
        (core func $random (canon lower (func $random "get-random-bytes")
            (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
        (core func $drop (canon resource.drop $stream))
        (core module $m
            (import "libc" "memory" (memory 1))
            (import "host" "get" (func $get (result i32)))
            (import "host" "write" (func $write (param i32 i32 i32 i32)))
            (import "host" "random" (func $random (param i64 i32)))
            (import "host" "drop" (func $drop (param i32)))
            (func (export "run") (result i32) {module}))
        (core instance $i (instantiate $m
            (with "libc" (instance $libc))
            (with "host" (instance
                (export "get" (func $get)) (export "write" (func $write))
                (export "random" (func $random)) (export "drop" (func $drop))))))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    wat::parse_str(text).expect("valid")
}

/// Invalid pointers, lengths and handles end the guest. They are never used, and never reported as a fault of the host.
#[test]
fn lies_across_the_border() {
    let page = 65_536_u32;
    for code in [
        // Content outside memory, a result outside memory, a misaligned result.
        format!("(call $write (call $get) (i32.const {page}) (i32.const 1) (i32.const 64))"),
        format!("(call $write (call $get) (i32.const 0) (i32.const {}) (i32.const 64))", page + 1),
        "(call $write (call $get) (i32.const -1) (i32.const -1) (i32.const 64))".to_owned(),
        format!("(call $write (call $get) (i32.const 0) (i32.const 1) (i32.const {page}))"),
        "(call $write (call $get) (i32.const 0) (i32.const 1) (i32.const 65))".to_owned(),
        "(call $write (call $get) (i32.const 0) (i32.const 1) (i32.const -4))".to_owned(),
        // More than the interface allows for one write.
        "(call $write (call $get) (i32.const 0) (i32.const 65536) (i32.const 64))".to_owned(),
        // Handles that never existed, or were dropped.
        "(call $write (i32.const 77) (i32.const 0) (i32.const 1) (i32.const 64))".to_owned(),
        "(call $drop (i32.const 0))".to_owned(),
        "(call $drop (call $get)) (call $drop (i32.const 1))".to_owned(),
        // More random bytes than any memory holds; an allocator that returns an invalid address.
        "(call $random (i64.const -1) (i32.const 64))".to_owned(),
        "(call $random (i64.const 0x7fffffff) (i32.const 64))".to_owned(),
        "(i32.store (i32.const 32) (i32.const -16)) (call $random (i64.const 100) (i32.const 64))".to_owned(),
        format!("(i32.store (i32.const 32) (i32.const {})) (call $random (i64.const 100) (i32.const 64))", page - 99),
    ] {
        let ended = Trial::bytes(&component(&format!("{code} (i32.const 0)"))).finish();
        assert!(matches!(ended.outcome(), Outcome::Crashed { .. }), "{code}: {}", shape(&ended));
        assert_eq!(ended.code, Some(1));
        assert!(ended.report().usage.peak_resident_bytes < 128 << 20);
    }
    Trial::bytes(&component("(call $drop (call $get)) (i32.const 0)")).finish().assert_succeeded();
}

/// The number of handles is limited, and the report names the limit.
#[test]
fn handles_without_end() {
    let ended = Trial::bytes(&component("(loop $again (drop (call $get)) (br $again)) (i32.const 0)")).finish();
    assert_limit(&ended, Limit::Handles);
    // As many as the documentation says, also where the limit is at its most.
    for handles in [8, 128, 4096] {
        let (loops, limit) =
            ("(loop $again (drop (call $get)) (br $again)) (i32.const 0)", format!("handles={handles}"));
        let ended = Trial::bytes(&component(loops)).with(&["--limits", &limit]).finish();
        let expected = Outcome::LimitExceeded { limit: Limit::Handles, allowed: 4 * handles, used: 4 * handles + 1 };
        assert_eq!(*ended.outcome(), expected);
    }
}

/// A component with many instances of a module that contains this code.
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

/// Initial memories and tables are summed over all instances.
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

/// The one thing that sockets give: a network. A component may take any number of them, and pays for each.
#[test]
fn networks_without_end() {
    let text = fs::read_to_string(root().join("tests/hostile/import_sockets.wat")).expect("a fixture");
    let taking =
        text.replace("(call $drop (call $instance))", "(drop (call $instance)) (local.set $left (i32.const 9))");
    assert_ne!(taking, text);
    let ended = Trial::bytes(&wat::parse_str(taking).expect("valid")).finish();
    assert!(matches!(ended.outcome(), Outcome::Crashed { .. }), "{}", shape(&ended));
    assert!(ended.report().usage.peak_resident_bytes < 128 << 20);
}

/// A component says itself what the functions of sockets return. A network is no stream, no file and nothing else of the host, whatever
/// it says.
#[test]
fn a_network_under_another_name() {
    for (interface, resource) in [
        ("wasi:io/poll@0.2.0", "pollable"),
        ("wasi:io/streams@0.2.0", "input-stream"),
        ("wasi:io/streams@0.2.0", "output-stream"),
        ("wasi:io/error@0.2.0", "error"),
        ("wasi:filesystem/types@0.2.0", "descriptor"),
    ] {
        let text = format!(
            "(component
            (import \"{interface}\" (instance $of (export \"{resource}\" (type (sub resource)))))
            (alias export $of \"{resource}\" (type $other))
            (import \"wasi:sockets/instance-network@0.2.0\" (instance $network
                (export \"{resource}\" (type $own (eq $other)))
                (export \"instance-network\" (func (result (own $own))))))
            (core func $get (canon lower (func $network \"instance-network\")))
            (core module $m
                (import \"\" \"get\" (func $get (result i32)))
                (func (export \"run\") (result i32) (drop (call $get)) (i32.const 0)))
            (core instance $i (instantiate $m (with \"\" (instance (export \"get\" (func $get))))))
            (func $run (result (result)) (canon lift (core func $i \"run\")))
            (instance (export \"wasi:cli/run@0.2.0\") (export \"run\" (func $run))))"
        );
        let ended = Trial::bytes(&wat::parse_str(text).expect("valid")).finish();
        let is_its_own = matches!(ended.outcome(), Outcome::Crashed { .. } | Outcome::Refused { .. });
        assert!(is_its_own, "{resource}: {}", shape(&ended));
    }
}
