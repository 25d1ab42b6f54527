//! What a decision stores, all of it or nothing.

use super::Drive;
use crate::{
    clock::now,
    engine::core::Core,
    store::{DbError, Durability, Fail, Write, assets, audit, jobs, receipts},
    work_folder,
};
use cloister_lifecycle::{
    Action, AssetRevision, EndedJob, Facts, LogFate, NotApplied, Release, Retention, TimeLimit, Transition, decide,
    store_pause,
};
use cloister_model::{AuditAction, JobId, JobSpec, JobStatus, StoreError, StoreWait, Timestamp};
use std::sync::Arc;

/// Why a transition was not stored. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unrecorded {
    /// The job was removed.
    #[error("there is no such job")]
    Gone,
    /// The status has changed since the facts were observed.
    #[error(transparent)]
    NotApplied(#[from] NotApplied),
    /// The name of the dataset to be registered belongs to another one.
    #[error("the owner has another dataset of that name")]
    NameTaken,
    /// The database or the disk failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A step of this program panicked.
    #[error("a step of this program broke")]
    Broken,
}

impl Drive<'_> {
    /// Stores a transition, with what has to be done to files before and after it.
    pub(super) async fn record(&mut self, transition: Transition) -> Result<(), Unrecorded> {
        let (core, job) = (self.core, self.job());
        let Transition { ref log, discard_results, durability, .. } = transition;
        let store_is_away = transition.store_away.is_some();
        let discards_log = *log == LogFate::Discarded;
        // Before: once the job has ended, its folder may go at any moment.
        if !discards_log {
            work_folder::keep_log(&core.home, job).await?;
        }
        let spec = Arc::clone(&self.spec);
        self.memory.status = None;
        let stored = core.store.write(durability, move |write| record(write, &spec, &transition, now())).await;
        let status = match stored {
            Ok(status) => status,
            // The next decision ends the job.
            Err(Unrecorded::NameTaken) => {
                self.memory.name_taken = true;
                return Ok(());
            }
            // The next decision stops it.
            Err(Unrecorded::NotApplied(NotApplied::Stopping)) => return Ok(()),
            // The next decision asks again.
            Err(Unrecorded::NotApplied(NotApplied::AssetsChanged)) => {
                self.memory.permission = None;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if discards_log && status.phase.has_ended() {
            // A release that was not stored may have moved it there.
            work_folder::discard_log(&core.home, job).await?;
        }
        if store_is_away {
            self.note_wait(&status);
        }
        self.memory.status = Some(status);
        if discard_results && let Err(error) = core.results.remove(job).await {
            tracing::warn!(%job, %error, "a part of its results stays until the next start");
        }
        Ok(())
    }
}

impl Drive<'_> {
    /// Takes note that the result store does not take the results now: what publishing answered is stored.
    fn note_wait(&mut self, status: &JobStatus) {
        (self.memory.published, self.memory.awaits_store) = (None, true);
        self.core.active_jobs().free_place(status.id);
        self.core.shared.wake.notify_one();
        if let Some(StoreWait { failures, why, .. }) = &status.store_wait {
            let (job, pause_s) = (status.id, store_pause(*failures).as_secs());
            tracing::warn!(%job, failures, why, pause_s, "the result store does not take the results now; the results are kept and stored later");
        }
    }
}

/// Ends a job that waited too long for its turn or for a reviewer. Nothing happens if it does not wait any more.
pub(crate) async fn record_waiting(core: &Core, job: JobId, limit: TimeLimit) -> Result<(), Unrecorded> {
    let expire = move |write: &mut Write<'_>| {
        let Some((spec, status)) = read(write, job)? else { return Ok(()) };
        let facts = Facts { overdue: Some(limit), ..Facts::of(&spec, &status) };
        match decide(&facts) {
            Action::Record(transition) => record(write, &spec, &transition, now()).map(drop),
            // It started meanwhile: its driver ends it.
            _ => Ok(()),
        }
    };
    core.store.write(Durability::Disk, expire).await
}

/// A job and its status, as this transaction finds them.
pub(crate) fn read(write: &Write<'_>, job: JobId) -> Result<Option<(JobSpec, JobStatus)>, DbError> {
    let Some(status) = jobs::status(write.db, job)? else { return Ok(None) };
    let spec = jobs::spec_without_documents(write.db, job)?;
    let spec = spec.ok_or_else(|| DbError::Damaged(format!("job {job} is not there as it was submitted")))?;
    Ok(Some((spec, status)))
}

/// Stores a transition: status, documents, audit records, and at the end of the job its receipt.
pub(crate) fn record(
    write: &mut Write<'_>,
    spec: &JobSpec,
    transition: &Transition,
    at: Timestamp,
) -> Result<JobStatus, Fail<Unrecorded>> {
    let job = spec.id;
    let Some(before) = jobs::status(write.db, job)? else { return Err(Fail::Rejected(Unrecorded::Gone)) };
    let retention = Retention { keep_ms: spec.times.keep_ms, needed: jobs::is_kept(write.db, job)? };
    let revisions = present_revisions(write, transition)?;
    let applied = transition
        .apply(&before, at, retention, &revisions)
        .map_err(|error| Fail::Rejected(Unrecorded::NotApplied(error)))?;
    let Transition { report, checked, release, .. } = transition;
    if let Some(report) = report {
        jobs::put_report(write, job, report)?;
    }
    if let Some(list) = checked {
        jobs::put_outgoing(write, job, list.files())?;
    }
    if let Some(release) = release {
        put_release(write, job, release)?;
    }
    jobs::put_status(write, &before, &applied.status)?;
    for event in applied.records {
        audit::record(write, event)?;
    }
    if applied.status.phase.has_ended() {
        put_receipt(write, spec, &applied.status, transition)?;
    }
    Ok(applied.status)
}

/// The revisions that the assets have in this transaction on which the step depends.
fn present_revisions(write: &Write<'_>, transition: &Transition) -> Result<Vec<AssetRevision>, DbError> {
    let present = |asset: &AssetRevision| {
        let did = asset.did.clone();
        Ok(AssetRevision { revision: assets::revision(write.db, &did)?, did })
    };
    transition.revisions.iter().map(present).collect()
}

fn put_release(write: &mut Write<'_>, job: JobId, release: &Release) -> Result<(), Fail<Unrecorded>> {
    let Release { files, asset } = release;
    if let Some(asset) = asset {
        assets::put(write, asset, Some(job)).map_err(|error| match error {
            Fail::Rejected(StoreError::Conflict) => Fail::Rejected(Unrecorded::NameTaken),
            Fail::Rejected(other) => Fail::Db(DbError::Other(other.to_string())),
            Fail::Db(error) => Fail::Db(error),
        })?;
    }
    Ok(jobs::put_results(write, job, files.files(), asset.as_ref().map(|asset| asset.ddo.id()))?)
}

/// Makes the receipt of a job that has just ended.
fn put_receipt(
    write: &mut Write<'_>,
    spec: &JobSpec,
    status: &JobStatus,
    transition: &Transition,
) -> Result<(), Fail<Unrecorded>> {
    let stored = match &transition.report {
        Some(_) => None,
        None => jobs::report(write.db, spec.id)?.flatten(),
    };
    let report = transition.report.as_deref().or(stored.as_ref());
    let released = transition.release.as_ref().map(|release| release.files.files()).unwrap_or_default();
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| DbError::Other(format!("no random bytes: {error}")))?;
    let refusal = transition.records.iter().find(|record| record.action == AuditAction::ReleaseRefused);
    let rule = refusal.and_then(|record| record.detail["rule"].as_str());
    let receipt = cloister_lifecycle::receipt(&EndedJob { spec, status, report, released, rule }, &secret)
        .map_err(|error| DbError::Other(error.to_string()))?;
    Ok(receipts::put(write, spec.id, &receipt)?)
}
