//! Disks that cannot be written, or are full.

use crate::bench::{Bench, assert_one_line, run};
use cloister_model::Outcome;
use cloister_tests::{not_run_outside_ci, program, root};
use std::{
    fs,
    process::{Command, Output},
};

/// Runs the program where the directory `small` is a file system of its own, mounted with these options. None if this
/// machine does not allow mounting one; in CI that is a failure.
fn with_small_disk(bench: &Bench, options: &str, words: &[&str]) -> Option<Output> {
    let ordinary = program();
    // In a mount namespace of its own, so that nothing stays mounted, whatever happens.
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["sh", "-c", r#"mount -t tmpfs -o "$1" tmpfs small || exit 99; shift; exec "$0" "$@""#]);
    command.arg(ordinary.get_program()).arg(options).args(words).current_dir(bench.0.path());
    command.env_clear().envs(ordinary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output();
    match output {
        // What unshare itself answers is 1.
        Ok(output) if !matches!(output.status.code(), Some(1 | 99)) => Some(output),
        _ => {
            not_run_outside_ci(&format!("small and read-only disks: this machine lets us mount none: {output:?}"));
            None
        }
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_found_before_the_run() {
    let bench = Bench::new();
    fs::create_dir(bench.at("small")).expect("made");
    for (outputs, said) in [("small", "cannot be written"), ("small/out", "cannot be created")] {
        let Some(output) = with_small_disk(&bench, "ro", &run(&["--outputs", outputs])) else { return };
        assert_eq!(output.status.code(), Some(2));
        assert_one_line(&output, &[&format!("outputs `{outputs}`"), said, "Read-only file system"]);
        assert!(!bench.at("report.json").exists());
    }
}

/// A full disk is the host's fault, however the algorithm reacts to it, and what the algorithm wrote so far does not become a result.
#[test]
fn a_full_disk_is_not_the_algorithms_fault() {
    let bench = Bench::new();
    let guest = wat::parse_file(root().join("tests/fixtures/fill.wat")).expect("a module");
    fs::write(bench.at("fill.wasm"), guest).expect("written");
    fs::create_dir(bench.at("small")).expect("made");
    let words = run(&["fill.wasm", "", "--outputs", "small/out"]);
    let Some(output) = with_small_disk(&bench, "size=1m", &words) else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(70), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let report = fs::read(bench.at("report.json")).expect("a report");
    let report: cloister_model::Report = serde_json::from_slice(&report).expect("a report");
    let Outcome::HostFault { message } = &report.outcome else { panic!("{:?}", report.outcome) };
    assert!(message.contains("storage") && message.contains("Free some space"), "{message}");
    // The same program on a disk with room.
    let ended = bench.sandbox(&run(&["fill.wasm", "", "--outputs", "roomy"]));
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    assert_eq!(fs::metadata(bench.at("roomy/full")).expect("an output").len(), 4 << 20);
}
