use cloister_model::Progress;
use std::{fmt, sync::Arc};
use tokio_util::sync::CancellationToken;

/// How a caller follows and ends work that takes time.
#[derive(Clone)]
pub struct Watch {
    /// Ends the work, at any point and within well under a second.
    pub cancel: CancellationToken,
    /// Told how far the work is, a few times a second at most, and once at its end. Must return at once.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl Watch {
    /// One that is never cancelled and reports to nothing.
    #[must_use]
    pub fn unwatched() -> Self {
        Self { cancel: CancellationToken::new(), progress: Arc::new(|_| ()) }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cancelled", &self.cancel.is_cancelled()).finish_non_exhaustive()
    }
}
