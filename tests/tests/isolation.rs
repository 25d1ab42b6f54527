//! What the program says and does where the kernel lacks a wall.

use cloister_model::{Wall, WallState};
use cloister_tests::{Ended, Trial, root, sandbox};
use std::process::Command;

/// System call numbers of x86_64.
const LANDLOCK: &str = "444,445,446";
const SECCOMP: &str = "317";
const OPENAT2: &str = "437";

const NOTHING: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// Runs a trial on a kernel that seems to lack these system calls.
fn run_without(syscalls: &str, arguments: &[&str]) -> Ended {
    let mut trial = Trial::wat(NOTHING).with(arguments);
    let script = root().join("tests/fixtures/without_syscall.py");
    let mut command = trial.command_through("python3", &[script.to_str().expect("text"), syscalls]);
    let output = command.output().expect("python3 starts");
    trial.ended(output.status.code(), &output.stdout, &output.stderr)
}

#[test]
fn a_missing_wall_is_shown_and_reported() {
    let ended = run_without(LANDLOCK, &[]);
    ended.assert_succeeded();
    let isolation = ended.report().isolation.as_ref().expect("walls");
    assert!(matches!(isolation.0.get(&Wall::Landlock), Some(WallState::Absent { .. })), "{isolation:?}");
    assert!(ended.stdout.contains("INCOMPLETE") && ended.stdout.contains("Landlock: missing"), "{}", ended.stdout);
}

#[test]
fn a_missing_wall_can_be_refused() {
    for syscalls in [LANDLOCK, SECCOMP, OPENAT2] {
        let ended = run_without(syscalls, &["--require-isolation"]);
        assert_eq!(ended.code, Some(5), "{syscalls}: {}", ended.stderr);
        assert!(ended.report.is_none());
        assert!(ended.stderr.contains("--require-isolation"), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

/// The one wall that nothing replaces: without it, paths would be resolved by the process that must be held.
#[test]
fn without_openat2_nothing_runs() {
    let ended = run_without(OPENAT2, &[]);
    assert_eq!(ended.code, Some(70), "{}", ended.stderr);
    assert!(ended.report().outcome.to_string().contains("openat2"), "{:?}", ended.report().outcome);
}

#[test]
fn every_wall_stands_here() {
    let ended = Trial::wat(NOTHING).with(&["--require-isolation"]).run();
    ended.assert_succeeded();
    assert_eq!(ended.report().isolation.as_ref().expect("walls").missing().count(), 0);
}

#[test]
fn the_probe_says_what_is_missing() {
    let whole = Command::new(sandbox()).args(["probe", "--json"]).output().expect("the program starts");
    assert_eq!(whole.status.code(), Some(0));
    let script = root().join("tests/fixtures/without_syscall.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(LANDLOCK)
        .arg(sandbox())
        .args(["probe", "--json"])
        .output()
        .expect("python3 starts");
    assert_eq!(output.status.code(), Some(5));
    let probe: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(probe["walls"]["landlock"]["state"], "MISSING");
    assert_eq!(probe["complete"], false);
}
