//! The engine: how it starts, what it does by itself, how it ends.

pub(crate) mod core;
mod open;
mod recover;
mod tasks;

pub(crate) use recover::clear;

use self::core::Core;
use cloister_sources::Fetcher;
use std::{sync::Arc, time::Duration};

/// How long work that must not be cut off may take when the program ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// Jobs on this machine.
///
/// Dropped, it works no more, and leaves jobs where they are for the next.
#[derive(Debug)]
pub struct LocalEngine {
    pub(crate) core: Arc<Core>,
}

impl LocalEngine {
    /// Stops taking up work. Sandboxes that run go on, and the next engine of this folder takes them up.
    pub async fn shutdown(&self) {
        self.core.shared.ending.cancel();
        self.core.tasks.close();
        let _ = tokio::time::timeout(PATIENCE, self.core.tasks.wait()).await;
    }

    /// What fetches files for jobs, for others who have to fetch by the same rules.
    #[must_use]
    pub fn fetcher(&self) -> Arc<Fetcher> {
        Arc::clone(&self.core.fetcher)
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        self.core.shared.ending.cancel();
    }
}
