use super::Drive;
use cloister_files::Watch;
use cloister_model::{PublishOrder, StepReport};
use cloister_runner::OUTPUTS;
use std::sync::Arc;

impl Drive<'_> {
    /// Stores the checked files where the consumer can fetch them. They cannot be read there before the release is stored.
    pub(super) async fn publish(&self, order: &PublishOrder) -> StepReport {
        let outputs = self.core.home.job(order.job).join(OUTPUTS);
        // If this future is dropped, the thread that reads and writes must end, too.
        let cancel = self.lease.cancel.child_token();
        let _ended = cancel.clone().drop_guard();
        let watch = Watch { cancel, progress: Arc::new(|_| ()) };
        self.core.results.carry_out(order, &outputs, &self.core.log_file(order.job), &watch).await
    }
}
