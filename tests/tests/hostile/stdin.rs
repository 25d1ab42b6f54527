//! Standard input is a file that the guest could read anyway, or a text. It opens nothing else, and a stranger names it.

use crate::{
    runs::{Run as _, assert_outputs, shape},
    script::{Arg, Script, errno::*},
};
use cloister_model::{Outcome, Rule};
use cloister_tests::Trial;
use std::fs;

/// Copies standard input to an output, in small pieces.
const COPIES: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\00\02\00\00\07\00\00\00")
    (data (i32.const 64) "data/outputs/copy")
    (func (export "_start")
        (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 17) (i32.const 1) (i64.const 64) (i64.const 0)
            (i32.const 0) (i32.const 16)) (then unreachable))
        (loop $again
            (i32.store (i32.const 4) (i32.const 7))
            (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)) (then unreachable))
            (if (i32.load (i32.const 4)) (then
                (if (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 20)) (then unreachable))
                (br $again))))))"#;

#[test]
fn standard_input_is_what_was_named() {
    let copied = |options: &[&str]| Trial::wat(COPIES).with(options).finish();
    assert_outputs(&copied(&[]), &[("copy", b"")]);
    assert_outputs(&copied(&["--stdin-data", "/data/inputs/d/0"]), &[("copy", b"data")]);
    assert_outputs(&copied(&["--stdin-data", "/data/inputs/algoCustomData.json"]), &[("copy", b"{}")]);
    assert_outputs(&copied(&["--stdin-text", "--outputs\n${x} $$"]), &[("copy", b"--outputs\n${x} $$")]);
    let given = Trial::wat(COPIES).with_file("--stdin", "of this machine").finish();
    assert_outputs(&given, &[("copy", b"of this machine")]);
    // It is told what was read, by its digest.
    let read: Vec<_> = given.report().inputs.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert!(read.contains(&("stdin", 15)), "{read:?}");
    let filled = Trial::wat(COPIES).with_file("--params", r#"{"p": "-n\n<x>"}"#);
    let filled = filled.with(&["--fill-arguments", "--stdin-text", "${p} $$\n"]).finish();
    assert_outputs(&filled, &[("copy", b"-n\n<x> $\n")]);
}

#[test]
fn standard_input_opens_nothing_that_the_guest_does_not_see() {
    for path in [
        "/data/../../etc/passwd",
        "/data/inputs/../../../../etc/passwd",
        "/data/inputs/d/../../../dev/zero",
        "/data/outputs/copy",
        "/data/outputs",
        "/data/inputs",
        "/data/inputs/d",
        "/data/inputs/d/1",
        "/data/inputs/d/0/",
        "/data/inputs/d/0/x",
        "/data/inputs/\u{1b}[2J",
        "/data/logs/x",
    ] {
        let ended = Trial::wat(COPIES).with(&["--stdin-data", path]).finish();
        match ended.outcome() {
            Outcome::Refused { refusals } => assert_eq!(refusals[0].rule, Rule::StandardInput, "{path}"),
            _ => unreachable!("{path}: {}", shape(&ended)),
        }
        assert_eq!(ended.code, Some(4), "{path}");
        assert!(ended.log.is_empty() && ended.outputs().is_empty(), "{path}");
        assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'), "{path}");
    }
    // What is not even below the data is a mistake in the command, as is more than one.
    let long = "a".repeat((1 << 20) + 1);
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), &long).expect("written");
    let params = format!("{{\"p\": \"{}\"}}", &long[..(1 << 20) - 10]);
    let refused: [(Trial, &str); 5] = [
        (Trial::wat(COPIES).with(&["--stdin-data", "/etc/passwd"]), "standard input"),
        (Trial::wat(COPIES).with(&["--stdin-data", "data/inputs/d/0"]), "standard input"),
        (Trial::wat(COPIES).with(&["--stdin", "/dev/zero"]), "not a regular file"),
        (Trial::wat(COPIES).with(&["--stdin-text", "x", "--stdin-data", "/data/inputs/d/0"]), "cannot be used with"),
        (
            Trial::wat(COPIES).with_file("--params", &params).with(&["--fill-arguments", "--stdin-text", "${p}${p}"]),
            "bytes at most",
        ),
    ];
    for (trial, said) in refused {
        let ended = trial.run();
        assert_eq!(ended.code, Some(2), "{said}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
}

/// The descriptor reads. It is no way to write, and no directory.
#[test]
fn standard_input_is_read_and_nothing_else() {
    let mut script = Script::default();
    let stdin = Arg::Small(0);
    script.pread(OK, stdin, 4, 0);
    script.content(b"data");
    script.read(OK, stdin, 4);
    script.answer(4, "the first read");
    script.read(OK, stdin, 4);
    script.answer(0, "the end");
    script.call(OK, "", "fd_seek", &[stdin, Arg::Large(2), Arg::Small(0), Arg::Small(64)]);
    script.read(OK, stdin, 4);
    // The first two bytes of the buffer are new.
    script.content(b"tata");
    script.stat_open(OK, stdin);
    script.size(4);
    script.write(BADF, stdin, b"evil");
    script.pwrite(BADF, stdin, b"evil", 0);
    script.refused("", "fd_filestat_set_size", &[stdin, Arg::Large(0)]);
    script.refused("", "fd_allocate", &[stdin, Arg::Large(0), Arg::Large(100)]);
    script.call(ROFS, "", "fd_filestat_set_times", &[stdin, Arg::Large(0), Arg::Large(0), Arg::Small(5)]);
    script.readdir(NOTDIR, stdin, 100, 0);
    script.open_with(NOTDIR, stdin, "0", 0, 1 << 1, 0);
    // Where an output goes, what stands in its place is standard input no more.
    let output = script.create(OK, "file");
    script.call(OK, "", "fd_renumber", &[output, stdin]);
    script.write(OK, stdin, b"x");
    script.read(BADF, stdin, 4);
    script.on(OK, "fd_close", stdin, &[]);
    script.read(BADF, stdin, 4);
    let ended = script.run(|trial| trial.with(&["--stdin-data", "/data/inputs/d/0"]));
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"x")]);
}
