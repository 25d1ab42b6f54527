//! What is done after the end of jobs: their receipts are made, what may not be read any more leaves the store of results, and jobs
//! that were removed or whose time is over go. Every replica does it, and each part of it can be done twice.

use super::{Inner, jobs::KnownJob, outputs::failed};
use crate::{
    clock::now,
    cluster::{CallError, call, exactly},
    resources::ComputeJob,
};
use cloister_model::{EngineError, JobId, Phase, Timestamp};
use kube::ResourceExt as _;
use std::{
    collections::BTreeSet,
    sync::Weak,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::error::RecvError;

/// Between two looks at all jobs.
const PAUSE: Duration = Duration::from_secs(5);

/// How long ago a job may have ended, in milliseconds, that is looked at when a process starts. Of older ones, an earlier process
/// has made the receipt; if none did, the first reader makes it.
const RECENT_MS: u64 = 3_600_000;

impl KnownJob {
    /// Whether it counts as absent: it was removed, or its time is over.
    pub(super) fn is_absent(&self, now: Timestamp) -> bool {
        self.removed || self.status.expires.is_some_and(|expires| expires <= now)
    }
}

/// Between two looks for uploads that nobody can name any more.
const UPLOADS_PAUSE: Duration = Duration::from_secs(3600);

/// Follows the ends of jobs until the store is closed.
pub(super) async fn follow(store: Weak<Inner>) {
    let Some(mut changes) = store.upgrade().map(|inner| inner.jobs.changes()) else { return };
    // What was seen to, as long as this process lives.
    let mut settled = BTreeSet::new();
    let mut uploads_seen_to: Option<Instant> = None;
    loop {
        let mut pause = std::pin::pin!(tokio::time::sleep(PAUSE));
        loop {
            let changed = tokio::select! {
                () = &mut pause => break,
                changed = changes.recv() => changed,
            };
            let job = match changed {
                Ok(name) => name.parse::<JobId>().ok(),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            };
            let (Some(job), Some(inner)) = (job, store.upgrade()) else { continue };
            inner.settle_once(job, &mut settled).await;
        }
        let Some(inner) = store.upgrade() else { return };
        inner.look_at_all(&mut settled).await;
        if uploads_seen_to.is_none_or(|at| at.elapsed() >= UPLOADS_PAUSE) {
            uploads_seen_to = Some(Instant::now());
            if let Err(error) = inner.results.remove_unnamed_uploads(now()).await {
                tracing::warn!(%error, "uploads that nobody can name any more stay for now");
            }
        }
    }
}

impl Inner {
    async fn look_at_all(&self, settled: &mut BTreeSet<JobId>) {
        let present = now();
        let (mut ended, mut leaving, mut there) = (Vec::new(), Vec::new(), BTreeSet::new());
        self.jobs.each(|known| {
            let KnownJob { status, .. } = known;
            there.insert(status.id);
            if known.is_absent(present) {
                leaving.push(status.id);
            } else {
                let is_recent = |ended: Timestamp| present.unix_ms().saturating_sub(ended.unix_ms()) < RECENT_MS;
                if known.awaits_registration || status.ended.is_some_and(is_recent) {
                    ended.push(status.id);
                }
            }
        });
        settled.retain(|job| there.contains(job));
        for job in ended {
            self.settle_once(job, settled).await;
        }
        for job in leaving {
            if let Err(error) = self.finish_removal(job).await {
                tracing::warn!(%job, %error, "a job that was removed, or whose time is over, stays for now");
            }
        }
    }

    async fn settle_once(&self, job: JobId, settled: &mut BTreeSet<JobId>) {
        let Some(known) = self.jobs.get(&job.to_string()) else { return };
        if known.awaits_registration {
            self.register_or_warn(job).await;
        }
        if known.removed || !known.status.phase.has_ended() || settled.contains(&job) {
            return;
        }
        match self.settle(&known).await {
            Ok(()) => drop(settled.insert(job)),
            Err(error) => tracing::warn!(%job, %error, "what follows the end of a job is tried again"),
        }
    }

    /// Sees to a job that has ended.
    async fn settle(&self, known: &KnownJob) -> Result<(), EngineError> {
        let job = known.status.id;
        // First: it is made of what is in the store.
        self.receipt(job).await?;
        let finished = known.status.phase == Phase::Finished;
        let removed =
            if finished { self.results.remove_held(job).await } else { self.results.remove_outputs(job).await };
        removed.map_err(failed)?;
        if known.log_discarded {
            self.results.remove_log(job).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Removes a job that counts as absent: its receipt stays, its object goes last, so that a process that is killed in between
    /// leaves something for the next look.
    pub(super) async fn finish_removal(&self, job: JobId) -> Result<(), EngineError> {
        let Some(found) = self.stored(job).await? else { return Ok(()) };
        match self.receipt(job).await {
            Ok(_) | Err(EngineError::NoSuchJob(_)) => {}
            Err(error) => return Err(error),
        }
        if self.is_registered(&found).await? {
            // Its results are a dataset, which needs them.
            self.results.remove_log(job).await.map_err(failed)?;
        } else {
            self.results.remove(job).await.map_err(failed)?;
        }
        let api = self.cluster.jobs::<ComputeJob>();
        let (name, this) = (job.to_string(), exactly(found.uid()));
        match call("delete a job", || async { api.delete(&name, &this).await }).await {
            Ok(_) | Err(CallError::Missing | CallError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
