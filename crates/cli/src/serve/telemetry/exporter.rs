use super::outgoing::outgoing;
use opentelemetry_otlp::SpanExporter as Sender;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use std::sync::atomic::{AtomicBool, Ordering};

/// Sends spans, less what stays here. Says once that it cannot.
#[derive(Debug)]
pub(super) struct Exporter {
    sender: Sender,
    /// The collector's, for the log line. It has no credentials in it.
    address: String,
    is_told: AtomicBool,
}

impl Exporter {
    pub(super) fn new(sender: Sender, address: String) -> Self {
        Self { sender, address, is_told: AtomicBool::new(false) }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.sender.export(batch.into_iter().map(outgoing).collect()).await;
        if let Err(error) = &sent
            && !self.is_told.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                collector = %self.address, %error,
                "traces do not reach the collector and are dropped; it is tried again, and not said again"
            );
        }
        sent
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.sender.set_resource(resource);
    }
}
