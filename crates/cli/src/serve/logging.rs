use super::telemetry::Traces;
use crate::config::{LogFormat, LogLevel};
use std::io::{self, IsTerminal as _};
use tracing_subscriber::{
    EnvFilter, Layer as _, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

/// Log lines go to stderr from now on: text on a terminal, JSON elsewhere, unless told otherwise. Spans go to a collector,
/// if there is one.
pub(super) fn start(format: LogFormat, LogLevel(level): LogLevel, traces: Option<&Traces>) {
    let is_terminal = io::stderr().is_terminal();
    // Libraries say less: their lines may hold what strangers sent.
    let theirs = level.min(tracing::Level::WARN);
    let filter = EnvFilter::new(format!(
        "{theirs},cloister={level},cloister_api={level},cloister_local_engine={level},cloister_sources={level},cloister_release={level},cloister_results={level}"
    ));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(is_terminal).with_target(false);
    let as_json = match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = if as_json { lines.json().flatten_event(true).with_span_list(false).boxed() } else { lines.boxed() };
    // Set already, in tests: the first stays.
    let _ = registry().with(lines.with_filter(filter)).with(traces.map(Traces::layer)).try_init();
}
