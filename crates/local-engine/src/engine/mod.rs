//! The engine: how it starts, what it does on its own, how it ends.

pub(crate) mod core;
mod open;
mod recover;
mod tasks;

use self::core::Core;
use std::{path::Path, sync::Arc, time::Duration};

/// How long a shutdown waits for work that should not be interrupted.
const PATIENCE: Duration = Duration::from_secs(5);

/// Jobs on this machine.
///
/// When it is dropped, it stops working and leaves jobs where they are for the next engine of its folder.
#[derive(Debug)]
pub struct LocalEngine {
    pub(crate) core: Arc<Core>,
}

impl LocalEngine {
    /// Whether a service has used this folder: it has audit records.
    #[must_use]
    pub fn is_used(home: &Path) -> bool {
        let mut used = false;
        // A folder that cannot be read is not opened either.
        let _ = crate::read_audit(home, &mut |_| {
            used = true;
            false
        });
        used
    }

    /// Stops working. Sandboxes that run go on, and the next engine of this folder continues with them. Afterwards the
    /// database is whole without its log, so that a copy of the file is a backup.
    pub async fn shutdown(&self) {
        self.core.shared.ending.cancel();
        self.core.tasks.close();
        let _ = tokio::time::timeout(PATIENCE, self.core.tasks.wait()).await;
        if let Err(error) = self.core.store.checkpoint().await {
            tracing::warn!(%error, "the database keeps a log beside it; copy both for a backup");
        }
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        self.core.shared.ending.cancel();
    }
}
