//! Traces of what the service does, for a collector that takes OTLP over HTTP.
//!
//! Off unless `log.otlp_endpoint` names a collector. The service neither needs it nor waits for it: spans wait in a
//! bounded queue, a thread of their own sends them, and what cannot be sent is dropped. Every request is traced: what a
//! client says of its own trace (`traceparent`) is not looked at.

mod collector;
mod destination;
mod exporter;
mod outgoing;

use crate::config::Settings;
use anyhow::Context as _;
use collector::Collector;
use destination::Destination;
use exporter::Exporter;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use std::time::Duration;
use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// The most spans that wait to be sent, about 2 MiB; more are dropped.
const MOST_WAITING: usize = 2048;

/// The most spans of one request to the collector.
const MOST_AT_ONCE: usize = 512;

/// How long spans wait for others to be sent with.
const DELAY: Duration = Duration::from_secs(5);

/// How long the collector has to take one request, attempts after a failure included.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the end of the service waits for what is left to be sent.
const FAREWELL: Duration = Duration::from_secs(2);

/// The way of spans to the collector. What is left is sent when this is dropped, which takes [`FAREWELL`] at most.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Gets ready to send; nothing, if no collector is named. The collector is not asked for.
    ///
    /// # Errors
    /// What is named cannot be a collector, or a header of its requests cannot be one.
    pub(super) fn start(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let destination = Destination::read(settings)?;
        destination.map(Self::to).transpose().context("sending traces")
    }

    fn to(destination: Destination) -> anyhow::Result<Self> {
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(MOST_WAITING)
            .with_max_export_batch_size(MOST_AT_ONCE)
            .with_scheduled_delay(DELAY)
            .build();
        let processor = BatchSpanProcessor::builder(exporter(destination)?).with_batch_config(queue).build();
        let resource = Resource::builder_empty()
            .with_service_name("cloister")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// Takes the service's own spans, whatever is logged of them. Log lines stay here, and so do the spans of libraries:
    /// they may hold what strangers sent, and those of the HTTP client would never end.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let ours = filter_fn(is_taken).with_max_level_hint(LevelFilter::INFO);
        OpenTelemetryLayer::new(self.provider.tracer("cloister"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(ours)
    }
}

fn exporter(Destination { url, headers }: Destination) -> anyhow::Result<Exporter> {
    let address = url.to_string();
    // No OTEL_... variable overrules what is said here. Headers of OTEL_EXPORTER_OTLP_HEADERS are added.
    let sender = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(&url, headers, PATIENCE)?)
        .with_endpoint(&address)
        .with_protocol(Protocol::HttpJson)
        .with_timeout(PATIENCE)
        .build()?;
    Ok(Exporter::new(sender, address))
}

impl Drop for Traces {
    fn drop(&mut self) {
        // The collector may be gone: that is no reason to stay.
        let _ = self.provider.shutdown_with_timeout(FAREWELL);
    }
}

fn is_taken(metadata: &Metadata<'_>) -> bool {
    let program = metadata.target().split("::").next().unwrap_or_default();
    let is_ours = program == "cloister" || program.starts_with("cloister_");
    is_ours && metadata.is_span() && *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests;
