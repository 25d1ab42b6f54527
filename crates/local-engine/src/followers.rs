use cloister_model::JobId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::watch;

/// The callers that wait for a job to change.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<HashMap<JobId, watch::Sender<()>>>);

impl Followers {
    /// Subscribes to the changes of a job.
    pub(crate) fn follow(&self, job: JobId) -> watch::Receiver<()> {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.entry(job).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Wakes the followers of a job, and forgets the job if it has none any more.
    pub(crate) fn changed(&self, job: JobId) {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.get(&job).is_some_and(|sender| sender.send(()).is_err()) {
            followed.remove(&job);
        }
    }

    /// Ends a subscription, and forgets the job if it was the last one.
    pub(crate) fn leave(&self, job: JobId, receiver: watch::Receiver<()>) {
        drop(receiver);
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.get(&job).is_some_and(|sender| sender.receiver_count() == 0) {
            followed.remove(&job);
        }
    }
}
