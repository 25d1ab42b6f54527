//! What is said on standard error: notes for people, requests with --verbose, and errors. Failing to say it is ignored.

use super::{Format, document::json, width};
use serde_json::Value;
use std::{
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
};

/// What errors begin with.
const NAME: &str = "cloister:";

static QUIET: AtomicBool = AtomicBool::new(false);
static VERBOSE: AtomicBool = AtomicBool::new(false);

/// How much is said from now on.
pub(crate) fn speak(quiet: bool, verbose: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
    VERBOSE.store(verbose, Ordering::Relaxed);
}

/// Whether nothing but errors is said.
pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a line for people, unless --quiet was given.
pub(crate) fn note(text: &str) {
    if !is_quiet() {
        let _ = writeln!(std::io::stderr().lock(), "{}", width::wrap_text(text, width::of_stderr()));
    }
}

/// Prints what goes on, if --verbose was given. `text` is made only then.
pub(crate) fn explain(text: impl FnOnce() -> String) {
    if VERBOSE.load(Ordering::Relaxed) {
        let _ = writeln!(std::io::stderr().lock(), "{}", width::wrap_text(&text(), width::of_stderr()));
    }
}

/// Prints why a command line is not understood. The text may have colours, which go to terminals only.
pub(crate) fn refuse(text: &str) {
    let _ = write!(anstream::stderr().lock(), "{}", width::wrap_text(text, width::of_stderr()));
}

/// Prints an error: for people, with the name of the program in red on a terminal (unless $NO_COLOR is set); as JSON, if answers
/// are printed for programs.
pub(crate) fn complain(format: Format, text: &str, document: &Value) {
    if format == Format::Table {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        let wrapped = width::wrap_text(&format!("{NAME} {text}"), width::of_stderr());
        let text = wrapped.strip_prefix(NAME).unwrap_or_default();
        let _ = writeln!(anstream::stderr().lock(), "{style}{NAME}{style:#}{text}");
    } else {
        let _ = std::io::stderr().lock().write_all(json(document).as_bytes());
    }
}
