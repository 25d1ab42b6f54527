//! Traces of what the service does, for a collector that takes OTLP over HTTP.
//!
//! Off unless `log.otlp_endpoint` names a collector. The service never waits for the collector: spans wait in a bounded
//! queue, a separate thread sends them, and spans that cannot be sent are dropped. Every request is traced. A client's
//! `traceparent` is ignored.

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

/// Maximum number of spans that wait to be sent, about 2 MiB. Further ones are dropped.
const MOST_WAITING: usize = 2048;

/// Maximum number of spans in one request to the collector.
const MOST_AT_ONCE: usize = 512;

/// How long spans are collected before they are sent.
const DELAY: Duration = Duration::from_secs(5);

/// Time-out for one request to the collector, including retries.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the service waits at its end until the remaining spans are sent.
const FAREWELL: Duration = Duration::from_secs(5);

/// Sends spans to the collector. Dropping it sends the remaining ones, which takes at most [`FAREWELL`].
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Prepares sending. None if no collector is configured. Does not contact the collector.
    ///
    /// # Errors
    /// If the collector's address or a header is invalid.
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

    /// A layer that collects the service's own spans, whatever the log level. Log lines are not sent, and neither are spans
    /// of libraries: they may contain untrusted text, and sending them would create further ones.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let ours = filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO);
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
    // These values take precedence over OTEL_... variables. Headers of OTEL_EXPORTER_OTLP_HEADERS are added.
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
        // If the collector does not answer, the spans are lost, and the service ends all the same.
        let _ = self.provider.shutdown_with_timeout(FAREWELL);
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let program = metadata.target().split("::").next().unwrap_or_default();
    let from_us = program == "cloister" || program.starts_with("cloister_");
    from_us && metadata.is_span() && *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests;
