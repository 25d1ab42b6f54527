//! Whether a job that starts now could run. If not, the queue waits: jobs that could only fail stay where they are.

use crate::engine::core::Core;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an observation counts.
const FRESH: Duration = Duration::from_secs(1);

/// Why the queue waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Hold {
    /// The sandbox program is gone.
    #[error(
        "no job starts, because the sandbox program is not there or cannot be run; the operator has to install it again"
    )]
    Sandbox,
    /// Jobs would fail for want of room.
    #[error(
        "no job starts, because the disk has {free} free bytes and {least} are needed; the operator has to make room"
    )]
    Disk {
        /// Free bytes.
        free: u64,
        /// How many there must be.
        least: u64,
    },
}

/// The last observation.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<Option<(Instant, Option<Hold>)>>);

impl Core {
    /// Why no job may start now. Blocking: asks the file system, at most once a second.
    pub(crate) fn hold(&self) -> Option<Hold> {
        let mut last = self.holds.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, hold)) = *last
            && at.elapsed() < FRESH
        {
            return hold;
        }
        let hold = self.observe_hold();
        let before = last.replace((Instant::now(), hold)).and_then(|(_, hold)| hold);
        match (before, hold) {
            (None, Some(why)) => tracing::error!(%why, "the queue waits"),
            (Some(_), None) => tracing::info!("the queue goes on"),
            _ => {}
        }
        hold
    }

    fn observe_hold(&self) -> Option<Hold> {
        if self.sandbox.check().is_err() {
            return Some(Hold::Sandbox);
        }
        let least = self.environment.min_free_bytes;
        // What cannot be asked is no reason to wait.
        let free = crate::home::free_bytes(&self.home.jobs()).unwrap_or(u64::MAX);
        (free < least).then_some(Hold::Disk { free, least })
    }
}
