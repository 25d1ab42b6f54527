use super::outgoing::outgoing;
use opentelemetry_otlp::SpanExporter as Sender;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use std::sync::atomic::{AtomicBool, Ordering};

/// Sends the parts of spans that may leave the service. Warns once if it cannot.
#[derive(Debug)]
pub(super) struct Exporter {
    sender: Sender,
    /// The collector's address, for the warning. It contains no credentials.
    address: String,
    has_warned: AtomicBool,
}

impl Exporter {
    pub(super) fn new(sender: Sender, address: String) -> Self {
        Self { sender, address, has_warned: AtomicBool::new(false) }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.sender.export(batch.into_iter().map(outgoing).collect()).await;
        if let Err(error) = &sent
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                collector = %self.address, %error,
                "traces do not reach the collector and are dropped; sending is retried, and this is not logged again"
            );
        }
        sent
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.sender.set_resource(resource);
    }
}
