//! Ended jobs go into the archive, and from the API server. Every replica does it, and may be killed at any moment: a batch counts
//! once everything of it is in its place.

use super::{ArchiveOptions, Contents, PARAMETERS};
use crate::{
    backend::{Inner, jobs, jobs::KnownJob, outputs::failed, unusable},
    clock::{now, random_below},
    cluster::{CallError, call, version},
    resources::ComputeJob,
    store::{
        ARCHIVED_JOBS, Archived, Batch, Change, Pending, batch_object, change_name, read_archived, that_counts,
        that_ended,
    },
};
use cloister_model::{EngineError, JobId, Sha256, Timestamp};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, PostParams, Preconditions},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Weak,
    time::Duration,
};
use tokio::time::Instant;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// The longest time that a replica leaves it to another one to make a batch that it could make itself, in milliseconds.
const SPREAD_MS: u64 = 3000;

/// Jobs of one batch. Each batch is an object of the API server, and is read as a whole to read one of its jobs.
const MOST_JOBS: usize = 500;

/// Bytes of one batch, unpacked.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// Jobs, or receipts, that are read at the same time.
pub(super) const AT_ONCE: usize = 16;

/// When a job is tried again that could not be archived, such as one whose results are missing in the store; and what is not in the store
/// although it was put there.
pub(super) const AGAIN: Duration = Duration::from_secs(3600);

/// For how long receipts or records may be announced, in times that a job is in the archive before it leaves.
const GIVEN_UP: u32 = 5;

/// Between two looks for claims of jobs that have left the API server, in times that a job is in the archive before it leaves.
const CLAIMS_PAUSE: u32 = 5;

/// For how long a batch may be made, and a change may be about no archived job, in milliseconds.
const ABANDONED_MS: u64 = 600_000;

/// A job as it is archived.
struct Packed {
    job: JobId,
    version: u64,
    record: Vec<u8>,
}

/// Follows the archive until the store is closed.
pub(in crate::backend) async fn follow(store: Weak<Inner>) {
    let Some(settle) = store.upgrade().map(|inner| inner.archive.options.settle) else { return };
    loop {
        tokio::time::sleep(PAUSE.min(settle)).await;
        let Some(inner) = store.upgrade() else { return };
        if let Err(error) = inner.look_at_archive().await {
            tracing::warn!(%error, "ended jobs are not moved to the archive at present; it is tried again");
        }
        if let Err(error) = inner.look_at_records().await {
            tracing::warn!(%error, "records of the audit log are not moved to the archive at present; it is tried again");
        }
    }
}

/// Which of the ended jobs go into the archive now. They wait for each other, so that few large batches are made.
fn due(mut ended: Vec<(Timestamp, JobId)>, present: Timestamp, options: &ArchiveOptions) -> Vec<JobId> {
    ended.sort_unstable();
    let after = u64::try_from(options.after.as_millis()).unwrap_or(u64::MAX);
    let older = |at: Timestamp, ms: u64| present.unix_ms().saturating_sub(at.unix_ms()) >= ms;
    let old = match ended.first() {
        Some((oldest, _)) if older(*oldest, after) => ended.iter().filter(|(at, _)| older(*at, after / 2)).count(),
        _ => 0,
    };
    let beyond = ended.len().saturating_sub(options.most);
    let beyond = if beyond >= MOST_JOBS { beyond } else { 0 };
    ended.truncate(old.max(beyond).min(MOST_JOBS));
    ended.into_iter().map(|(_, job)| job).collect()
}

/// For how long a replica leaves it to another one to do what both see.
pub(super) fn spread(options: &ArchiveOptions) -> Duration {
    let settle = u64::try_from(options.settle.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random_below(SPREAD_MS.min(settle)))
}

/// Whether it is time for what is done every so often, at moments of this process's own.
pub(super) fn is_time(next: &mut Option<Instant>, pause: Duration) -> bool {
    let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let now = Instant::now();
    let is_due = next.is_some_and(|next| next <= now);
    if is_due || next.is_none() {
        *next = Some(now + Duration::from_millis(pause / 2 + random_below(pause)));
    }
    is_due
}

/// Whether receipts or records that were announced are given up by now: their process was killed, or is slow and finds that out.
pub(super) fn is_given_up(announced: Timestamp, options: &ArchiveOptions) -> bool {
    let patience = u64::try_from((options.settle * GIVEN_UP).as_millis()).unwrap_or(u64::MAX);
    now().unix_ms().saturating_sub(announced.unix_ms()) > patience
}

impl Inner {
    async fn look_at_archive(&self) -> Result<(), EngineError> {
        self.complete_archive().await?;
        for known in self.settled_jobs() {
            self.leave(&known).await?;
        }
        // Otherwise receipts that are listed would seem to be missing.
        self.complete_catalogs().await?;
        self.look_at_receipts().await?;
        self.look_at_catalogs().await?;
        let claims_are_due = {
            let mut index = self.archive.index_mut();
            is_time(&mut index.claims_at, self.archive.options.settle * CLAIMS_PAUSE)
        };
        if claims_are_due {
            self.free_agreements().await?;
        }
        self.drop_batches().await?;
        if !due(self.ended_jobs(), now(), &self.archive.options).is_empty() {
            // Another replica sees the same. Of those that it archives meanwhile, nothing is left to do here.
            tokio::time::sleep(spread(&self.archive.options)).await;
            self.refresh_archive(ARCHIVED_JOBS).await?;
            let jobs = due(self.ended_jobs(), now(), &self.archive.options);
            self.archive_jobs(&jobs).await?;
        }
        Ok(())
    }

    /// Whether the archive has this version of a job.
    fn is_archived(&self, known: &KnownJob) -> bool {
        let index = self.archive.index();
        index.jobs.get(&known.status.id).is_some_and(|entry| entry.known.version == known.version)
    }

    /// Jobs in the API server that have ended and are not archived as they are.
    fn ended_jobs(&self) -> Vec<(Timestamp, JobId)> {
        let (mut ended, present) = (Vec::new(), now());
        self.jobs.each(|known| {
            let job = known.status.id;
            let stays = known.is_absent(present) || known.awaits_registration || self.is_archived(known);
            let stays = stays || self.archive.is_left(job);
            if let Some(at) = known.status.ended.filter(|_| !stays && known.status.phase.has_ended()) {
                ended.push((at, job));
            }
        });
        ended
    }

    /// Jobs in the API server that are archived as they are, for long enough.
    fn settled_jobs(&self) -> Vec<KnownJob> {
        let (mut settled, present) = (Vec::new(), Instant::now());
        self.jobs.each(|known| {
            let index = self.archive.index();
            let entry = index.jobs.get(&known.status.id).filter(|entry| entry.known.version == known.version);
            let batch = entry.and_then(|entry| index.batches.get(&entry.batch));
            if batch.is_some_and(|batch| batch.settled <= present) {
                settled.push(known.clone());
            }
        });
        settled
    }

    /// Deletes the object of a job, if it is still the one that was archived.
    async fn leave(&self, known: &KnownJob) -> Result<(), CallError> {
        let (api, name) = (self.cluster.jobs::<ComputeJob>(), known.status.id.to_string());
        let this = Preconditions { uid: Some(known.uid.clone()), resource_version: Some(known.version.to_string()) };
        let params = DeleteParams { preconditions: Some(this), ..DeleteParams::default() };
        match call("delete a job that is archived", || async { api.delete(&name, &params).await }).await {
            Ok(_) | Err(CallError::Missing | CallError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Archives jobs as one batch.
    async fn archive_jobs(&self, jobs: &[JobId]) -> Result<(), EngineError> {
        let packing = stream::iter(jobs.to_vec()).map(|job| self.pack(job)).buffered(AT_ONCE);
        let packed: Vec<Result<Option<Packed>, EngineError>> = packing.collect().await;
        let (mut versions, mut records) = (BTreeMap::new(), Vec::new());
        for (job, packed) in jobs.iter().zip(packed) {
            match packed {
                Ok(Some(Packed { job, version, record })) if records.len() + record.len() < MOST_BYTES => {
                    versions.insert(job, version);
                    records.extend(record);
                    records.push(b'\n');
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, %job, "an ended job cannot be archived; it is tried again in an hour");
                    self.archive.leave_for(*job, AGAIN);
                }
            }
        }
        if versions.is_empty() {
            return Ok(());
        }
        let api: Api<ConfigMap> = self.cluster.system();
        let name = new_name("archive")?;
        let announced = batch_object(&name);
        let announced =
            call("announce a batch", || async { api.create(&PostParams::default(), &announced).await }).await?;
        let sha256 = self.results.archive(&name, records, self.archive_key().await?).await.map_err(failed)?;
        let mut except = BTreeSet::new();
        for (job, archived) in &versions {
            let found = self.stored(*job).await?;
            if found.is_none_or(|found| version(&found) != *archived) {
                except.insert(*job);
            }
        }
        let counting = that_counts(announced, sha256, &except);
        let params = PostParams::default();
        let written = call("store a batch", || async { api.replace(&name, &params, &counting).await }).await?;
        self.archive.objects.take_in(&written, read_archived);
        tracing::info!(jobs = versions.len() - except.len(), batch = name, "ended jobs are archived");
        self.complete_archive().await?;
        let is_lost = self.archive.index().batches.get(&name).is_some_and(|contents| contents.lost);
        if is_lost {
            // Another batch at once would be lost as well, and one object more in the API server.
            for job in versions.keys() {
                self.archive.leave_for(*job, AGAIN);
            }
        }
        Ok(())
    }

    /// A job as it is archived; none: it does not go yet.
    async fn pack(&self, job: JobId) -> Result<Option<Packed>, EngineError> {
        let Some(mut found) = self.stored(job).await? else { return Ok(None) };
        let Some(known) = jobs::read(&found) else { return Ok(None) };
        if known.is_absent(now()) || known.awaits_registration || !known.status.phase.has_ended() {
            return Ok(None);
        }
        if !Pending::of(found.metadata.annotations.as_ref())?.is_empty() {
            // Its version changes with that: the next look archives it.
            self.flush(&self.cluster.jobs::<ComputeJob>(), &found).await?;
            return Ok(None);
        }
        // The controller may have been killed before the last events were on record.
        let records = found.status.as_ref().and_then(|status| status.records.as_deref());
        if let Some(records) = records {
            let pending: Pending = serde_json::from_str(records).map_err(unusable)?;
            self.audit.append(pending.entries()).await?;
        }
        self.settle(&known).await?;
        let spec = self.with_parameters(found.job().map_err(unusable)?, &found).await?;
        if let Some(parameters) = spec.parameters {
            let text = serde_json::to_vec(parameters.expose()).map_err(unusable)?;
            self.results.keep_parameters(job, text, self.archive_key().await?).await.map_err(failed)?;
            found.metadata.annotations.get_or_insert_default().insert(PARAMETERS.to_owned(), "kept".to_owned());
        }
        found.metadata.managed_fields = None;
        let record = serde_json::to_vec(&found).map_err(unusable)?;
        Ok(Some(Packed { job, version: known.version, record }))
    }

    /// Takes away batches of which nothing is left, and what a process that was killed has left.
    async fn drop_batches(&self) -> Result<(), EngineError> {
        let api: Api<ConfigMap> = self.cluster.system();
        let present = now().unix_ms();
        let is_old = |created: Timestamp| present.saturating_sub(created.unix_ms()) > ABANDONED_MS;
        for batch in self.archive.batches() {
            match batch.sha256 {
                None if batch.ended => {
                    // First: without the object, no process knows of it.
                    self.results.remove_archived(&batch.name).await.map_err(failed)?;
                    delete(&api, &batch.name, batch.uid, batch.version).await?;
                }
                None if is_old(batch.created) => {
                    // First: a process that is slow and not dead may still make it count.
                    if delete(&api, &batch.name, batch.uid, batch.version).await? {
                        self.results.remove_archived(&batch.name).await.map_err(failed)?;
                    }
                }
                Some(_) if self.is_empty(&batch) => {
                    let object = that_ended(&batch);
                    let params = PostParams::default();
                    match call("end a batch", || async { api.replace(&batch.name, &params, &object).await }).await {
                        Ok(ended) => self.archive.objects.take_in(&ended, read_archived),
                        Err(CallError::Conflict | CallError::Missing) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                None | Some(_) => {}
            }
        }
        let mut changes: Vec<Change> = Vec::new();
        {
            let index = self.archive.index();
            self.archive.objects.each(|object| match object {
                Archived::Change(change) if !index.jobs.contains_key(&change.job) => changes.push(change.clone()),
                _ => {}
            });
        }
        for change in changes.into_iter().filter(|change| is_old(change.created)) {
            delete(&api, &change_name(change.job), None, change.version).await?;
        }
        Ok(())
    }

    /// Whether nothing is left of a batch: each of its jobs has gone, or is in a later one, and their receipts are sealed.
    fn is_empty(&self, batch: &Batch) -> bool {
        let (mut gone, present) = (Vec::new(), now());
        {
            let index = self.archive.index();
            let contents = index.batches.get(&batch.name).filter(|contents| contents.sealed && !contents.lost);
            let Some(Contents { jobs, .. }) = contents else { return false };
            for job in jobs {
                let Some(entry) = index.jobs.get(job).filter(|entry| entry.batch == batch.name) else { continue };
                if !entry.known.is_absent(present) || !index.cleared.contains(job) {
                    return false;
                }
                gone.push(*job);
            }
        }
        gone.iter().all(|job| !self.jobs.has(&job.to_string()))
    }
}

impl Inner {
    /// Makes sealed receipts, or a catalog of some, count: replaces the object that was announced by the one with the digest of what is in the
    /// store. Returns whether it counts. If not, another replica took it for that of a process that was killed, and what is in the store is removed.
    /// `what` says what is done, and how what is there is read.
    pub(super) async fn make_count(
        &self,
        [what, reading]: [&'static str; 2],
        name: &str,
        counting: &ConfigMap,
        sha256: Sha256,
    ) -> Result<bool, EngineError> {
        let (api, params): (Api<ConfigMap>, _) = (self.cluster.system(), PostParams::default());
        let written = match call(what, || async { api.replace(name, &params, counting).await }).await {
            Ok(written) => written,
            Err(CallError::Missing | CallError::Conflict) => {
                // Asked twice, the API server did it the first time.
                let found = call(reading, || async { api.get_opt(name).await }).await?;
                let counts = |found: &ConfigMap| match read_archived(found) {
                    Some(Archived::Receipts(found)) => found.sha256 == Some(sha256),
                    Some(Archived::Catalog(found)) => found.sha256 == Some(sha256),
                    _ => false,
                };
                let Some(found) = found.filter(counts) else {
                    self.results.remove_archived(name).await.map_err(failed)?;
                    return Ok(false);
                };
                found
            }
            Err(error) => return Err(error.into()),
        };
        self.archive.objects.take_in(&written, read_archived);
        Ok(true)
    }

    /// Removes what was announced at this moment and does not count, if it was left by a process that was killed. The object first: a process
    /// that is slow and not dead may still make it count.
    pub(super) async fn give_up(
        &self,
        announced: Timestamp,
        name: &str,
        uid: Option<String>,
        version: u64,
    ) -> Result<(), EngineError> {
        let api: Api<ConfigMap> = self.cluster.system();
        if is_given_up(announced, &self.archive.options) && delete(&api, name, uid, version).await? {
            self.results.remove_archived(name).await.map_err(failed)?;
        }
        Ok(())
    }
}

/// Deletes an object if it is still of this version; whether it did.
pub(super) async fn delete(
    api: &Api<ConfigMap>,
    name: &str,
    uid: Option<String>,
    version: u64,
) -> Result<bool, CallError> {
    let this = Preconditions { uid, resource_version: Some(version.to_string()) };
    let params = DeleteParams { preconditions: Some(this), ..DeleteParams::default() };
    match call("delete what is archived", || async { api.delete(name, &params).await }).await {
        Ok(_) => Ok(true),
        Err(CallError::Missing | CallError::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A name that no other batch of this kind has.
pub(super) fn new_name(kind: &str) -> Result<String, EngineError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(unusable)?;
    Ok(format!("{kind}-{}", JobId::from_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_testkit::job_id;

    #[test]
    fn jobs_wait_until_many_can_go_together() {
        let options = ArchiveOptions { after: Duration::from_secs(100), most: 1000, ..ArchiveOptions::default() };
        let present = Timestamp::from_unix_ms(1_000_000);
        let ended = |ages: &mut dyn Iterator<Item = u64>| {
            let numbered = ages.enumerate().map(|(number, age)| {
                (Timestamp::from_unix_ms(1_000_000 - age * 1000), job_id(u64::try_from(number).expect("few")))
            });
            numbered.collect::<Vec<_>>()
        };
        for (what, ages, expected) in [
            ("none", vec![], 0),
            ("young", vec![1, 99], 0),
            ("one is old, and takes those along that soon will be", vec![100, 60, 50, 49, 1], 3),
            ("as many as stay", vec![1; 1000], 0),
            ("a few more", vec![1; 1499], 0),
            ("a batch more", vec![1; 1500], 500),
            ("many more", vec![1; 5000], 500),
        ] {
            let due = due(ended(&mut ages.into_iter()), present, &options);
            assert_eq!(due.len(), expected, "{what}");
        }
        // The oldest go.
        let all = ended(&mut (0..1500).map(|number| number % 90));
        let due = due(all.clone(), present, &options);
        let age = |job: &JobId| all.iter().find(|(_, other)| other == job).map(|(at, _)| *at);
        let youngest = due.iter().filter_map(age).max().expect("a job");
        assert!(all.iter().all(|(at, job)| due.contains(job) || *at >= youngest));
    }
}
