//! Jobs that have left the API server: records and receipts of ended jobs in the store of results, many in one sealed thing.
//!
//! A job is a custom resource, which costs an API server ten times its size in memory. One that ended long ago is in the archive
//! instead, and the ports answer for it as before. The API server keeps a small object for each batch, with the digest of what is
//! in the store, and one for each archived job that was changed since.
//!
//! Every replica knows every archived job, as it knows every other one. It finds new batches by a watch, and a job leaves the API
//! server some time after its batch can be seen, so that no replica is without both.

mod catalogs;
mod moving;
mod receipts;
mod records;

pub(super) use moving::follow;

use super::{
    Inner, jobs,
    jobs::{KnownJob, Place, SharedCounts},
    outputs::failed,
    registry::Needed,
    unusable,
};
use crate::{
    clock::{now, random_below},
    cluster::{CallError, Cluster, Watched, call},
    resources::ComputeJob,
    store::{
        ARCHIVE_LABEL, ARCHIVED_JOBS, Archived, Batch, Change, Pending, Receipts, change_name, change_object, merge,
        read_archived, sealing_key,
    },
};
use cloister_model::{AuditEvent, EngineError, JobId, JobStatus};
use cloister_results::{SealingKey, Unsealed};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};
use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};

/// How often an archived job that changes meanwhile is changed again.
const ATTEMPTS: u32 = 8;

/// How old records of the audit log are at least that are moved to the archive. All programs of an installation rely on it.
pub(crate) const SEALED_AFTER: Duration = Duration::from_secs(3600);

/// The annotation of an archived job whose parameters are beside its results. It is sealed with the job, so that they are missed.
const PARAMETERS: &str = "cloister.dev/parameters";

/// When ended jobs, and records of the audit log, are moved to the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// How long ago a job has ended.
    pub after: Duration,
    /// Ended jobs that stay, however long ago they ended. Of more, the oldest go.
    pub most: usize,
    /// For how long a job is in the archive before it leaves the API server: longer than the watch of any replica may be behind.
    pub settle: Duration,
    /// How old records of the audit log are that are moved.
    pub records_after: Duration,
    /// Objects with records: as many are moved at a time.
    pub pieces: usize,
    /// How long ago records were moved before the API server forgets which events they are about, unless an object still has them.
    pub ids_after: Duration,
    /// Objects with sealed receipts: as many are replaced by one at a time.
    pub receipts: usize,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        // A watch on which nothing comes is given up after 75 seconds.
        let settle = Duration::from_secs(120);
        Self {
            after: Duration::from_secs(86_400),
            most: 1000,
            settle,
            records_after: SEALED_AFTER,
            pieces: 1000,
            ids_after: SEALED_AFTER * 8,
            receipts: 10,
        }
    }
}

/// What this process knows of the archive.
pub(super) struct Archive {
    objects: Watched<Archived>,
    index: RwLock<Index>,
    /// Is told of each change of [`Index::jobs`], while the index is held.
    counts: SharedCounts,
    /// One task at a time reads what is in the store.
    reading: Mutex<()>,
    key: OnceCell<SealingKey>,
    opened: Mutex<records::Opened>,
    /// Jobs that could not be archived, and until when they are left alone.
    left: std::sync::Mutex<BTreeMap<JobId, Instant>>,
    pub(super) options: ArchiveOptions,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The archived jobs of the batches that were read.
#[derive(Debug, Default)]
struct Index {
    batches: BTreeMap<String, Contents>,
    jobs: BTreeMap<JobId, Entry>,
    /// Jobs that count as absent, and of which nothing is left but their records.
    cleared: BTreeSet<JobId>,
    /// When the Secrets of sealed receipts may go, as far as this process goes.
    receipts: BTreeMap<String, Instant>,
    /// The sealed receipts of each catalog that was looked for; none: its list is lost.
    catalogs: BTreeMap<String, Option<Arc<[Receipts]>>>,
    /// When this process may make catalogs.
    catalogs_at: Option<Instant>,
    /// Jobs that are gone or archived, and of which there is no receipt that could be sealed.
    without_receipt: BTreeSet<JobId>,
    /// When this process looks for old records of the audit log.
    records_at: Option<Instant>,
    /// When it looks for events of moved records that no object has any more.
    ids_at: Option<Instant>,
    /// The events that are forgotten next.
    forgetting: Option<records::Forgetting>,
    /// When it looks for claims that no job needs any more.
    claims_at: Option<Instant>,
}

/// What is in a batch.
#[derive(Debug)]
struct Contents {
    jobs: BTreeSet<JobId>,
    /// When its jobs may leave the API server, as far as this process goes.
    settled: Instant,
    /// Whether the store does not have it any more, or has something else in its place.
    lost: bool,
    /// Whether the receipts of all of its jobs are sealed.
    sealed: bool,
}

/// An archived job.
#[derive(Debug)]
struct Entry {
    batch: String,
    /// Which line of the batch it is.
    line: usize,
    /// What was changed of it since, as `known` has it; none: nothing.
    change: Option<Value>,
    known: KnownJob,
}

/// What differs between the index and what the API server has.
#[derive(Debug, Default)]
struct Difference {
    unread: Vec<Batch>,
    gone: Vec<String>,
}

impl Difference {
    fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.gone.is_empty()
    }
}

impl Archive {
    pub(super) fn start(cluster: &Cluster, options: ArchiveOptions, counts: SharedCounts) -> Self {
        Self {
            objects: Watched::start_labelled(cluster.system(), Some(ARCHIVE_LABEL), read_archived),
            index: RwLock::default(),
            counts,
            reading: Mutex::default(),
            key: OnceCell::new(),
            opened: Mutex::default(),
            left: std::sync::Mutex::default(),
            options,
        }
    }

    pub(super) async fn synced(&self, patience: Duration) -> bool {
        self.objects.synced(patience).await
    }

    pub(super) fn failing(&self) -> Option<Duration> {
        self.objects.failing()
    }

    /// What is known of an archived job, if its batch was read.
    pub(super) fn get(&self, job: JobId) -> Option<KnownJob> {
        self.index().jobs.get(&job).map(|entry| entry.known.clone())
    }

    /// Calls for every archived job of the batches that were read.
    pub(super) fn each(&self, mut visit: impl FnMut(&KnownJob)) {
        self.index().jobs.values().for_each(|entry| visit(&entry.known));
    }

    /// Archived jobs that count as absent, and of which more than their records may be left.
    pub(super) fn to_clear(&self) -> Vec<JobId> {
        let (index, present) = (self.index(), now());
        let absent = index.jobs.iter().filter(|(_, entry)| entry.known.is_absent(present));
        absent.map(|(job, _)| *job).filter(|job| !index.cleared.contains(job)).collect()
    }

    fn leave_for(&self, job: JobId, pause: Duration) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(job, Instant::now() + pause);
    }

    /// Whether a job is left alone for now.
    fn is_left(&self, job: JobId) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = left.get(&job).is_some_and(|until| *until > Instant::now());
        if !waits {
            left.remove(&job);
        }
        waits
    }

    fn cleared(&self, job: JobId) {
        self.index_mut().cleared.insert(job);
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The change of an archived job, if there is one.
    fn change(&self, job: JobId) -> Option<Change> {
        match self.objects.get(&change_name(job)) {
            Some(Archived::Change(change)) => Some(change),
            Some(_) | None => None,
        }
    }

    /// What is wanted of the objects of the archive.
    fn those<T>(&self, wanted: impl Fn(&Archived) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        self.objects.each(|object| found.extend(wanted(object)));
        found
    }

    fn batches(&self) -> Vec<Batch> {
        self.those(|object| match object {
            Archived::Batch(batch) => Some(batch.clone()),
            _ => None,
        })
    }

    fn difference(&self) -> Difference {
        let index = self.index();
        let (mut difference, mut there) = (Difference::default(), BTreeSet::new());
        let mut changed = BTreeSet::new();
        self.objects.each(|object| match object {
            Archived::Batch(batch) if batch.sha256.is_some() => {
                there.insert(batch.name.clone());
                if !index.batches.contains_key(&batch.name) {
                    difference.unread.push(batch.clone());
                }
            }
            Archived::Batch(_) | Archived::Receipts(_) | Archived::Waiting(_) | Archived::Catalog(_) => {}
            Archived::Change(change) => {
                let behind = index.jobs.get(&change.job).filter(|entry| entry.change.as_ref() != Some(&change.spec));
                changed.extend(behind.map(|entry| entry.batch.clone()));
            }
        });
        difference.gone = index.batches.keys().filter(|name| !there.contains(*name)).cloned().collect();
        drop(index);
        for name in changed {
            if let Some(Archived::Batch(batch)) = self.objects.get(&name)
                && batch.sha256.is_some()
            {
                difference.unread.push(batch);
            }
        }
        difference
    }

    /// A job of a batch with what was changed of it since, and that change.
    fn changed(&self, mut job: ComputeJob) -> (ComputeJob, Option<Value>) {
        let change = job.id().ok().and_then(|id| self.change(id));
        let Some(change) = change else { return (job, None) };
        if let Ok(mut spec) = serde_json::to_value(&job.spec) {
            merge(&mut spec, &change.spec);
            match serde_json::from_value(spec) {
                Ok(spec) => job.spec = spec,
                Err(error) => {
                    tracing::error!(%error, job = job.name_any(), "the change of an archived job cannot be read");
                }
            }
        }
        (job, Some(change.spec))
    }

    /// Takes in what a batch holds; none: it is lost.
    fn take_in(&self, batch: &Batch, jobs: Option<Vec<ComputeJob>>) {
        let mut contents =
            Contents { jobs: BTreeSet::new(), settled: self.settled(), lost: jobs.is_none(), sealed: false };
        let read: Vec<_> = jobs.into_iter().flatten().map(|job| self.changed(job)).collect();
        let mut index = self.index_mut();
        let mut counts = self.counts.lock();
        if let Some(before) = index.batches.get(&batch.name) {
            contents.settled = before.settled;
        }
        if contents.lost {
            index.jobs.retain(|job, entry| {
                let stays = entry.batch != batch.name;
                if !stays {
                    counts.set(Place::Archive, *job, None);
                }
                stays
            });
        }
        for (line, (job, change)) in read.into_iter().enumerate() {
            let Some(known) = jobs::read(&job) else {
                // It stays as it was, and is not read again because of this change.
                let entry = job.id().ok().and_then(|id| index.jobs.get_mut(&id));
                if let Some(entry) = entry.filter(|entry| entry.batch == batch.name) {
                    entry.change = change;
                }
                continue;
            };
            let id = known.status.id;
            if batch.except.contains(&id) {
                continue;
            }
            contents.jobs.insert(id);
            let newer = index.jobs.get(&id).is_some_and(|entry| {
                entry.batch != batch.name && (entry.known.version, &entry.batch) > (known.version, &batch.name)
            });
            if !newer {
                counts.set(Place::Archive, id, Some(&known));
                index.jobs.insert(id, Entry { batch: batch.name.clone(), line, change, known });
            }
        }
        index.batches.insert(batch.name.clone(), contents);
    }

    /// Takes in what this process has just changed of a job of a batch, so that the batch is not read again for that. The job as it is
    /// now.
    async fn take_in_change(&self, archived: ComputeJob) -> ComputeJob {
        // What a batch is read for at the same time may be older.
        let _reading = self.reading.lock().await;
        let (job, change) = self.changed(archived);
        if let Some(known) = jobs::read(&job) {
            let id = known.status.id;
            let mut index = self.index_mut();
            let entry = index.jobs.get_mut(&id).filter(|entry| entry.known.version == known.version);
            if let Some(entry) = entry {
                self.counts.lock().set(Place::Archive, id, Some(&known));
                (entry.change, entry.known) = (change, known);
            }
        }
        job
    }

    /// When the jobs of a batch that is read now may leave: at a moment of this process's own, so that of several one asks.
    fn settled(&self) -> Instant {
        let spread = u64::try_from(self.options.settle.as_millis() / 4).unwrap_or(u64::MAX);
        Instant::now() + self.options.settle + Duration::from_millis(random_below(spread))
    }

    /// Forgets a batch. One that holds another record of one of its jobs is read again.
    fn forget(&self, name: &str) {
        let mut index = self.index_mut();
        let Some(Contents { jobs, .. }) = index.batches.remove(name) else { return };
        let mut counts = self.counts.lock();
        for job in &jobs {
            if index.jobs.get(job).is_some_and(|entry| entry.batch == name) {
                index.jobs.remove(job);
                counts.set(Place::Archive, *job, None);
                index.cleared.remove(job);
            }
        }
        index.batches.retain(|_, contents| contents.jobs.is_disjoint(&jobs));
    }
}

/// Whether the parameters of an archived job are in the store of results.
pub(super) fn keeps_parameters(archived: &ComputeJob) -> bool {
    archived.annotations().contains_key(PARAMETERS)
}

/// The lines of a batch: each is a job.
fn lines(batch: &[u8]) -> impl Iterator<Item = &[u8]> {
    batch.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// What a change makes of the specification of a job; none if there is nothing to change.
type Wanted<'a> = dyn Fn(&ComputeJob, &AuditEvent) -> Result<Option<Value>, EngineError> + Sync + 'a;

impl Inner {
    /// Reads what is not known of the archive yet. Without it, what is said about archived jobs may be incomplete.
    ///
    /// # Errors
    /// If the store of results or the API server fails.
    pub(super) async fn complete_archive(&self) -> Result<(), EngineError> {
        if self.archive.difference().is_empty() {
            return Ok(());
        }
        let _reading = self.archive.reading.lock().await;
        // Where a batch goes, another one may have to be read again.
        for _ in 0..2 {
            let Difference { unread, gone } = self.archive.difference();
            for name in gone {
                self.archive.forget(&name);
            }
            for batch in unread {
                let jobs = self.read_batch(&batch).await?;
                if jobs.is_none() {
                    tracing::error!(
                        batch = batch.name,
                        "archived jobs are not known, because the store of results does not have what was archived; restore \
                         its folder archive, and start the replicas again"
                    );
                }
                self.archive.take_in(&batch, jobs);
            }
        }
        Ok(())
    }

    /// What is in a batch; none: it is lost.
    async fn read_batch(&self, batch: &Batch) -> Result<Option<Vec<ComputeJob>>, EngineError> {
        if batch.sha256.is_none() {
            return Ok(Some(Vec::new()));
        }
        let Some(text) = self.unseal(batch).await? else { return Ok(None) };
        let jobs = lines(&text).map(|line| serde_json::from_slice(line).map_err(unusable));
        jobs.collect::<Result<_, _>>().map(Some)
    }

    /// The lines of a batch; none: it is lost, or does not count.
    async fn unseal(&self, batch: &Batch) -> Result<Option<Unsealed>, EngineError> {
        let Some(sha256) = batch.sha256 else { return Ok(None) };
        let key = self.archive_key().await?;
        self.results.archived(&batch.name, sha256, key).await.map_err(failed)
    }

    pub(super) async fn archive_key(&self) -> Result<&SealingKey, CallError> {
        self.archive.key.get_or_try_init(|| sealing_key(&self.cluster)).await
    }

    /// Asks the API server what there is of the archive with this label, for what must not be missed.
    async fn refresh_archive(&self, label: &str) -> Result<(), EngineError> {
        let api: Api<ConfigMap> = self.cluster.system();
        let wanted = ListParams::default().labels(label);
        let listed = call("list what is archived", || async { api.list(&wanted).await }).await?;
        for object in &listed.items {
            self.archive.objects.take_in(object, read_archived);
        }
        self.complete_archive().await
    }

    /// An archived job, as it would be in the API server; none if it is not archived.
    pub(super) async fn archived(&self, job: JobId) -> Result<Option<ComputeJob>, EngineError> {
        Ok(self.as_archived(job).await?.map(|found| self.archive.changed(found).0))
    }

    /// An archived job as it was when it was archived; none if it is not archived. A batch is sealed and compressed as a whole, and is
    /// read as a whole; but of its jobs, only this one is parsed.
    async fn as_archived(&self, job: JobId) -> Result<Option<ComputeJob>, EngineError> {
        self.complete_archive().await?;
        let place = self.archive.index().jobs.get(&job).map(|entry| (entry.batch.clone(), entry.line));
        let Some((batch, line)) = place else { return Ok(None) };
        let Some(Archived::Batch(batch)) = self.archive.objects.get(&batch) else { return Ok(None) };
        let Some(text) = self.unseal(&batch).await? else { return Ok(None) };
        let Some(line) = lines(&text).nth(line) else { return Ok(None) };
        let found: ComputeJob = serde_json::from_slice(line).map_err(unusable)?;
        Ok(Some(found).filter(|found| found.id().is_ok_and(|id| id == job)))
    }

    /// Changes an archived job, as [`Inner::change`] does with others.
    pub(super) async fn change_archived(
        &self,
        job: JobId,
        record: &AuditEvent,
        wanted: &Wanted<'_>,
    ) -> Result<JobStatus, EngineError> {
        let (api, name): (Api<ConfigMap>, _) = (self.cluster.system(), change_name(job));
        for _ in 0..ATTEMPTS {
            let before = call("read an archived job", || async { api.get_opt(&name).await }).await?;
            if let Some(before) = &before {
                self.archive.objects.take_in(before, read_archived);
            }
            let archived = self.as_archived(job).await?.ok_or(EngineError::NoSuchJob(job))?;
            let (found, _) = self.archive.changed(archived.clone());
            if jobs::counts_as_absent(&found) {
                return Err(EngineError::NoSuchJob(job));
            }
            let Some(spec) = wanted(&found, record)? else {
                if let Some(before) = &before {
                    self.flush(&api, before).await?;
                }
                return jobs::status(job, &found);
            };
            match self.put_change(job, before, &spec, Some(record)).await {
                Ok(changed) => {
                    let found = self.archive.take_in_change(archived).await;
                    self.flush(&api, &changed).await?;
                    return jobs::status(job, &found);
                }
                Err(CallError::Conflict | CallError::Exists | CallError::Missing) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(unusable(format!("job {job} changes faster than it can be changed")))
    }

    /// Stores a change of an archived job, with its record in one write.
    async fn put_change(
        &self,
        job: JobId,
        before: Option<ConfigMap>,
        spec: &Value,
        record: Option<&AuditEvent>,
    ) -> Result<ConfigMap, CallError> {
        let api: Api<ConfigMap> = self.cluster.system();
        let present = before.as_ref().and_then(read_archived);
        let mut merged = match present {
            Some(Archived::Change(Change { spec, .. })) => spec,
            Some(_) | None => Value::Object(serde_json::Map::new()),
        };
        merge(&mut merged, spec);
        let mut object = change_object(job, &merged);
        if let Some(before) = &before {
            let data = object.data.take();
            object = ConfigMap { data, ..before.clone() };
        }
        if let Some(record) = record {
            let mut annotations = object.metadata.annotations.take().unwrap_or_default();
            let mut labels = object.metadata.labels.take().unwrap_or_default();
            Pending::of(Some(&annotations))?
                .with(&format!("job/{job}"), record.clone())
                .put(&mut annotations, &mut labels);
            object.metadata.annotations = Some(annotations);
            object.metadata.labels = Some(labels);
        }
        let params = PostParams::default();
        let name = change_name(job);
        let written = match before {
            None => call("change an archived job", || async { api.create(&params, &object).await }).await?,
            Some(_) => call("change an archived job", || async { api.replace(&name, &params, &object).await }).await?,
        };
        self.archive.objects.take_in(&written, read_archived);
        Ok(written)
    }

    /// Sees to it that a job that was removed, and is about to leave the API server, is not in the archive as if it had not been.
    ///
    /// The replica that archives a job looks at it again after it has announced the batch, and before the batch counts. So either that
    /// look sees the removal, or this one sees the batch.
    pub(super) async fn remove_from_archive(&self, found: &ComputeJob, job: JobId) -> Result<(), EngineError> {
        let Some(removal) = &found.spec.removal else { return Ok(()) };
        self.refresh_archive(ARCHIVED_JOBS).await?;
        // One whose jobs are not known may hold it, too.
        let being_made = self.archive.batches().iter().any(|batch| batch.sha256.is_none() && !batch.ended);
        let lost = self.archive.index().batches.values().any(|contents| contents.lost);
        if !being_made && !lost && self.archive.get(job).is_none_or(|known| known.removed) {
            return Ok(());
        }
        let (api, name): (Api<ConfigMap>, _) = (self.cluster.system(), change_name(job));
        let before = call("read an archived job", || async { api.get_opt(&name).await }).await?;
        self.put_change(job, before, &serde_json::json!({"removal": removal}), None).await?;
        self.complete_archive().await
    }

    /// Removes what is left of an archived job that counts as absent. Its record goes with its batch.
    pub(super) async fn clear_archived(&self, job: JobId, needed: Option<&Needed>) -> Result<(), EngineError> {
        let Some(found) = self.archived(job).await? else { return Ok(()) };
        self.clear_results(job, &found, needed).await?;
        self.archive.cleared(job);
        Ok(())
    }
}
