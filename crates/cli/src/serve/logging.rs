use super::telemetry::Traces;
use crate::config::{LogFormat, LogLevel};
use std::io::{self, IsTerminal as _};
use tracing_subscriber::{
    EnvFilter, Layer as _, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

/// Starts logging: lines go to standard error, spans to the collector if there is one.
pub(crate) fn start(format: LogFormat, LogLevel(level): LogLevel, traces: Option<&Traces>) {
    let is_terminal = io::stderr().is_terminal();
    // Libraries log warnings only, because their lines may contain untrusted text.
    let theirs = level.min(tracing::Level::WARN);
    let filter = EnvFilter::new(format!(
        "{theirs},cloister={level},cloister_api={level},cloister_local_engine={level},cloister_k8s_engine={level},cloister_sources={level},cloister_release={level},cloister_results={level}"
    ));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(is_terminal).with_target(false);
    let as_json = match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = if as_json { lines.json().flatten_event(true).with_span_list(false).boxed() } else { lines.boxed() };
    // Fails if a test has set a subscriber already; that one stays.
    let _ = registry().with(lines.with_filter(filter)).with(traces.map(Traces::layer)).try_init();
}
