use cloister_model::JobId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::watch;

/// Those who wait for a job to change.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<HashMap<JobId, watch::Sender<()>>>);

impl Followers {
    /// Hears of every change from now on.
    pub(crate) fn follow(&self, job: JobId) -> watch::Receiver<()> {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.entry(job).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Tells those who follow the job, and forgets it if nobody does any more.
    pub(crate) fn changed(&self, job: JobId) {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.get(&job).is_some_and(|sender| sender.send(()).is_err()) {
            followed.remove(&job);
        }
    }

    /// Forgets a job that nobody follows any more.
    pub(crate) fn leave(&self, job: JobId, receiver: watch::Receiver<()>) {
        drop(receiver);
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.get(&job).is_some_and(|sender| sender.receiver_count() == 0) {
            followed.remove(&job);
        }
    }
}
