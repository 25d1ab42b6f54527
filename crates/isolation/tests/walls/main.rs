//! Every wall, tried by a real process behind it.
//!
//! A case starts this very program again with [`cloister_isolation::Program::spawn`]. The new process puts up its walls,
//! tries one thing by name (`behind.rs`), and reports how that went. Nothing is simulated: the kernel decides.
//!
//! A kernel that lacks a wall makes these tests fail. Where that is known and accepted, set
//! `CLOISTERDEV_ALLOW_MISSING_WALLS=1`: cases that need the wall are then reported as missing, loudly.
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
mod processes;
mod spawning;
mod syscalls;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// One thing that must hold.
pub(crate) type Case = (&'static str, fn());

/// What a case panics with when the kernel has no such wall and that was declared acceptable.
pub(crate) struct WallMissing;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == attempt::BEHIND) {
        return behind::run(&args[1..]);
    }
    let cases = [files::CASES, syscalls::CASES, processes::CASES, spawning::CASES].concat();
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
