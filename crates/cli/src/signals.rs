//! The signals that end a program.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Completes at the first SIGTERM or SIGINT. Both are taken from now on: none of them ends the program by itself.
pub(crate) fn end_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
