use super::Drive;
use cloister_files::Watch;
use cloister_lifecycle::store_pause;
use cloister_model::{PublishOrder, StepReport};
use cloister_runner::OUTPUTS;
use std::{sync::Arc, time::Duration};

impl Drive<'_> {
    /// Stores the checked files where the consumer can fetch them. They cannot be read there before the release is stored.
    pub(super) async fn publish(&self, order: &PublishOrder) -> StepReport {
        // A job that has waited for the store has no place among the others any more.
        let has_waited = self.memory.status.as_ref().is_some_and(|status| status.store_wait.is_some());
        let _turn = if has_waited { self.core.storing_again.acquire().await.ok() } else { None };
        let outputs = self.core.home.job(order.job).join(OUTPUTS);
        // If this future is dropped, the thread that reads and writes must end, too.
        let cancel = self.lease.cancel.child_token();
        let _ended = cancel.clone().drop_guard();
        let watch = Watch { cancel, progress: Arc::new(|_| ()) };
        self.core.results.carry_out(order, &outputs, &self.core.log_file(order.job), &watch).await
    }

    /// Waits until the result store is tried again: after a pause, or as soon as an account asks.
    pub(super) async fn pause(&self) {
        let wait = self.memory.status.as_ref().and_then(|status| status.store_wait.as_ref());
        let pause = wait.map_or(Duration::ZERO, |wait| store_pause(wait.failures));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.lease.publish.notified() => {}
        }
    }
}
