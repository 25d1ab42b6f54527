//! What is done after the end of jobs: their receipts are made, what may not be read any more leaves the store of results, and jobs
//! that were removed or whose time is over go. Every replica does it, and each part of it can be done twice. Each does it at moments
//! of its own, so that usually one writes and the others find that it is done.

use super::{Inner, jobs::KnownJob, outputs::failed, registry::Needed};
use crate::{
    clock::{now, random_below},
    cluster::{CallError, call, exactly},
    due::Due,
    resources::ComputeJob,
};
use cloister_model::{EngineError, JobId, Phase, Timestamp};
use kube::ResourceExt as _;
use std::{collections::BTreeSet, sync::Weak, time::Duration};
use tokio::{sync::broadcast::error::RecvError, time::Instant};

/// Between two looks at all jobs.
const PAUSE: Duration = Duration::from_secs(5);

/// The longest time between the end of a job and what a replica does after it, in milliseconds.
const SPREAD_MS: u64 = 3000;

/// How long ago a job may have ended, in milliseconds, that is checked when a process starts. Of older ones, an earlier process
/// has made the receipt; if none did, the first reader makes it.
const RECENT_MS: u64 = 3_600_000;

impl KnownJob {
    /// Whether it counts as absent: it was removed, or its time is over.
    pub(super) fn is_absent(&self, now: Timestamp) -> bool {
        self.removed || self.status.expires.is_some_and(|expires| expires <= now)
    }
}

/// Between two searches for uploads that no account can name any more.
const UPLOADS_PAUSE: Duration = Duration::from_secs(3600);

/// Ended jobs, as long as this process lives.
#[derive(Debug, Default)]
struct Ends {
    /// What was seen to.
    settled: BTreeSet<JobId>,
    /// What is seen to, and when.
    due: Due<Instant, JobId>,
}

impl Ends {
    /// A job has ended: it is seen to at a moment of this process's own, unless it was.
    fn ended(&mut self, job: JobId, now: Instant) {
        if !self.settled.contains(&job) && !self.due.has(job) {
            self.due.set(job, now + Duration::from_millis(random_below(SPREAD_MS)));
        }
    }
}

/// Follows the ends of jobs until the store is closed.
pub(super) async fn follow(store: Weak<Inner>) {
    let Some(mut changes) = store.upgrade().map(|inner| inner.jobs.changes()) else { return };
    let mut ends = Ends::default();
    let mut uploads_seen_to: Option<Instant> = None;
    loop {
        let mut pause = std::pin::pin!(tokio::time::sleep(PAUSE));
        loop {
            let next_at = ends.due.next_at();
            let changed = tokio::select! {
                () = &mut pause => break,
                () = tokio::time::sleep_until(next_at.unwrap_or_else(Instant::now)), if next_at.is_some() => {
                    let (Some(inner), Some(job)) = (store.upgrade(), ends.due.next(Instant::now())) else { continue };
                    inner.settle_once(job, &mut ends).await;
                    continue;
                }
                changed = changes.recv() => changed,
            };
            let job = match changed {
                Ok(name) => name.parse::<JobId>().ok(),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            };
            let (Some(job), Some(inner)) = (job, store.upgrade()) else { continue };
            inner.note_end(job, &mut ends).await;
        }
        let Some(inner) = store.upgrade() else { return };
        inner.look_at_all(&mut ends).await;
        if uploads_seen_to.is_none_or(|at| at.elapsed() >= UPLOADS_PAUSE) {
            uploads_seen_to = Some(Instant::now());
            if let Err(error) = inner.results.remove_unnamed_uploads(now()).await {
                tracing::warn!(%error, "uploads that no account can name any more are kept for now");
            }
        }
    }
}

impl Inner {
    async fn look_at_all(&self, ends: &mut Ends) {
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
        ends.settled.retain(|job| there.contains(job));
        for job in ended {
            self.note_end(job, ends).await;
        }
        self.remove_absent(leaving).await;
    }

    /// Removes these jobs, and what is left of archived ones, which count as absent. What assets need of them is asked once: nobody can
    /// make an asset of a job that counts as absent.
    async fn remove_absent(&self, jobs: Vec<JobId>) {
        let archived = self.archive.to_clear();
        if jobs.is_empty() && archived.is_empty() {
            return;
        }
        let needed = match self.needed_results().await {
            Ok(needed) => needed,
            Err(error) => {
                tracing::warn!(%error, "jobs that were removed, or whose time is over, stay for now");
                return;
            }
        };
        for job in archived {
            if let Err(error) = self.clear_archived(job, Some(&needed)).await {
                tracing::warn!(%job, %error, "what is left of an archived job that was removed, or whose time is over, stays for now");
            }
        }
        for job in jobs {
            if let Err(error) = self.finish_removal(job, Some(&needed)).await {
                tracing::warn!(%job, %error, "a job that was removed, or whose time is over, stays for now");
            }
        }
    }

    /// Registers the results of a job that waits for it, and takes down that a job has ended.
    async fn note_end(&self, job: JobId, ends: &mut Ends) {
        let Some(known) = self.jobs.get(&job.to_string()) else { return };
        if known.awaits_registration {
            self.register_or_warn(job).await;
        }
        if !known.removed && known.status.phase.has_ended() {
            ends.ended(job, Instant::now());
        }
    }

    async fn settle_once(&self, job: JobId, ends: &mut Ends) {
        let Some(known) = self.jobs.get(&job.to_string()).filter(|known| !known.removed) else { return };
        match self.settle(&known).await {
            Ok(()) => drop(ends.settled.insert(job)),
            Err(error) => tracing::warn!(%job, %error, "what follows the end of a job is tried again"),
        }
    }

    /// Sees to a job that has ended.
    pub(super) async fn settle(&self, known: &KnownJob) -> Result<(), EngineError> {
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
    /// leaves something for the next look. What assets need, if the caller has asked; none: it is asked here.
    pub(super) async fn finish_removal(&self, job: JobId, needed: Option<&Needed>) -> Result<(), EngineError> {
        let Some(found) = self.stored(job).await? else { return self.clear_archived(job, needed).await };
        // One that is sealed need not be read again.
        if !self.archive.has_sealed(job) {
            match self.receipt(job).await {
                Ok(_) | Err(EngineError::NoSuchJob(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.remove_from_archive(&found, job).await?;
        self.clear_results(job, &found, needed).await?;
        self.note_receipt(job).await?;
        let api = self.cluster.jobs::<ComputeJob>();
        let (name, this) = (job.to_string(), exactly(found.uid()));
        match call("delete a job", || async { api.delete(&name, &this).await }).await {
            Ok(_) | Err(CallError::Missing | CallError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes from the store of results what a job that counts as absent has there, but for results that assets need.
    pub(super) async fn clear_results(
        &self,
        job: JobId,
        found: &ComputeJob,
        needed: Option<&Needed>,
    ) -> Result<(), EngineError> {
        let is_needed = self.is_registered(found).await?
            || (found.phase() == Phase::Finished
                && match needed {
                    Some(needed) => needed.contains_key(&job),
                    None => self.is_needed(job).await?,
                });
        if !is_needed {
            return self.results.remove(job).await.map_err(failed);
        }
        self.results.remove_log(job).await.map_err(failed)?;
        self.results.remove_parameters(job).await.map_err(failed)
    }
}
