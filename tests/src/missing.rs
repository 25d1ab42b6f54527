//! What tests say of what this machine cannot run.

use std::io::Write as _;

/// Says that something was not tested, and why: this machine cannot, and the project does not install what it would need. Not through
/// `eprintln!`, which a test that passes keeps to itself.
pub fn not_run(what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "NOT RUN: {what}");
}

/// The same of what has to run in CI.
///
/// # Panics
/// If `CI` is set.
#[track_caller]
pub fn not_run_outside_ci(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "this has to run in CI: {what}");
    not_run(what);
}
