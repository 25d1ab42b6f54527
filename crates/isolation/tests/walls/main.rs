//! Tests each wall with a real process behind it.
//!
//! A case starts this program again with [`cloister_isolation::Program::spawn`]. The new process sets up its walls, makes
//! one named attempt (`behind.rs`) and reports the result. Nothing is simulated: the kernel decides.
//!
//! If the kernel lacks a wall, these tests fail. To accept that on a machine, set `CLOISTERDEV_ALLOW_MISSING_WALLS=1`: the
//! cases that need the wall are then reported as missing.
//!
//! `cargo test --test walls -- <part of a name>` runs some of them, `--list` names them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test, which clippy cannot tell when it has a main of its own"
)]

mod attempt;
mod behind;
mod files;
mod handover;
mod processes;
mod spawning;
mod syscalls;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// One thing that must hold.
pub(crate) type Case = (&'static str, fn());

/// The panic message of a case if the kernel lacks the wall and that was declared acceptable.
pub(crate) struct WallMissing;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == attempt::BEHIND) {
        return behind::run(&args[1..]);
    }
    if args.first().is_some_and(|arg| arg == handover::WAITS) {
        return handover::run();
    }
    let cases = [files::CASES, syscalls::CASES, processes::CASES, spawning::CASES, handover::CASES].concat();
    if args.iter().any(|arg| arg == "--list") {
        cases.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    run(cases.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(*part))))
}

fn run(cases: impl Iterator<Item = Case>) -> ExitCode {
    let (mut passed, mut failed, mut missing) = (0, 0, 0);
    for (name, case) in cases {
        let (count, word) = match catch_unwind(case) {
            Ok(()) => (&mut passed, "ok"),
            Err(reason) if reason.is::<WallMissing>() => (&mut missing, "WALL MISSING"),
            Err(_) => (&mut failed, "FAILED"),
        };
        *count += 1;
        println!("test {name} ... {word}");
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; {missing} not tried for want of a wall");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
