use crate::config::{LogFormat, LogLevel};
use std::io::{self, IsTerminal as _};
use tracing_subscriber::{EnvFilter, fmt};

/// Log lines go to stderr from now on: text on a terminal, JSON elsewhere, unless told otherwise.
pub(super) fn start(format: LogFormat, LogLevel(level): LogLevel) {
    let is_terminal = io::stderr().is_terminal();
    // Libraries say less: their lines may hold what strangers sent.
    let theirs = level.min(tracing::Level::WARN);
    let filter = EnvFilter::new(format!(
        "{theirs},cloister={level},cloister_api={level},cloister_local_engine={level},cloister_stages={level}"
    ));
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(is_terminal).with_target(false);
    let as_json = match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // Set already, in tests: the first stays.
    let _ =
        if as_json { builder.json().flatten_event(true).with_span_list(false).try_init() } else { builder.try_init() };
}
