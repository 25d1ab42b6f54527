//! A backend for tests that keeps everything in memory and runs nothing: jobs get on as the test says.

use cloister_model::*;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
};

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) jobs: BTreeMap<JobId, (JobSpec, JobStatus)>,
    pub(super) results: BTreeMap<JobId, Vec<(ResultFile, Vec<u8>)>>,
    pub(super) assets: BTreeMap<Did, Asset>,
    pub(super) keys: BTreeMap<String, ApiKey>,
    pub(super) nonces: BTreeSet<(String, String)>,
    pub(super) events: Vec<AuditEvent>,
}

fn ready<T: Send + 'static, E: Send + 'static>(
    value: Result<T, E>,
) -> std::pin::Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'static>> {
    Box::pin(async move {
        // Somebody else may come in between, as with a real one.
        tokio::task::yield_now().await;
        value
    })
}

fn nothing<T>() -> Result<T, EngineError> {
    Err(EngineError::Unavailable("not in memory".to_owned()))
}

fn not_kept<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("not in memory".to_owned()))
}

impl Memory {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("the state")
    }

    /// Publishes an asset, described as in a manifest.
    pub(super) fn publish(&self, owner: &str, manifest: &Value) -> Did {
        let owner: Account = owner.parse().expect("an account");
        let manifest = Manifest::from_value(manifest).expect("a manifest");
        let ddo = manifest.ddo(&owner).expect("a DDO");
        let did = ddo.id().clone();
        let at = Timestamp::from_unix_ms(1);
        let asset = Asset {
            ddo,
            owner,
            name: manifest.name().as_str().to_owned(),
            created: at,
            updated: at,
            revision: 1,
            withdrawn: None,
            files: None,
        };
        self.state().assets.insert(did.clone(), asset);
        did
    }

    /// Lets something happen to a job.
    pub(super) fn advance(&self, job: &str, events: &[Event]) {
        let job: JobId = job.parse().expect("a job");
        let mut state = self.state();
        let (_, status) = state.jobs.get_mut(&job).expect("the job");
        for event in events {
            let at = Timestamp::from_unix_ms(status.changed.unix_ms() + 1);
            let reason = Some(Reason::new("as the test says", Fault::Algorithm));
            *status = status.after(*event, at, reason).expect("a step");
        }
    }

    fn status_of(&self, job: JobId) -> Result<JobStatus, EngineError> {
        self.state().jobs.get(&job).map(|(_, status)| status.clone()).ok_or(EngineError::NoSuchJob(job))
    }
}

impl Engine for Memory {
    fn environments(&self) -> EngineFuture<'_, Vec<EnvironmentStatus>> {
        ready(Ok(vec![EnvironmentStatus {
            id: "ocean-compute".parse().expect("a name"),
            description: "memory".to_owned(),
            offers: Environment::default(),
            interpreters: ["python".parse().expect("a name")].into(),
            cpus: 1,
            memory_bytes: 1 << 32,
            job_memory_bytes: 1 << 31,
            max_wall_ms: 3_600_000,
            max_jobs: 1,
            max_queued: 10,
            phases: BTreeMap::new(),
        }]))
    }

    fn submit(&self, job: JobSpec) -> EngineFuture<'_, JobStatus> {
        let status = JobStatus::queued(job.id, job.labels.clone(), job.created);
        self.state().jobs.insert(job.id, (job, status.clone()));
        ready(Ok(status))
    }

    fn status(&self, job: JobId) -> EngineFuture<'_, JobStatus> {
        ready(self.status_of(job))
    }

    fn wait(&self, job: JobId, _: u64) -> EngineFuture<'_, JobStatus> {
        ready(self.status_of(job))
    }

    fn explain(&self, _: JobId) -> EngineFuture<'_, Explanation> {
        ready(nothing())
    }

    fn spec(&self, job: JobId) -> EngineFuture<'_, JobSpec> {
        ready(self.state().jobs.get(&job).map(|(spec, _)| spec.clone()).ok_or(EngineError::NoSuchJob(job)))
    }

    fn list(&self, query: JobQuery) -> EngineFuture<'_, Vec<JobStatus>> {
        let JobQuery { labels, phases, after, at_most } = query;
        let state = self.state();
        let wanted = |job: &&JobStatus| {
            job.labels.matches(&labels)
                && phases.as_ref().is_none_or(|phases| phases.contains(&job.phase))
                && after.is_none_or(|after| JobCursor { created: job.created, job: job.id } < after)
        };
        let mut jobs: Vec<JobStatus> = state.jobs.values().map(|(_, job)| job).filter(wanted).cloned().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse((job.created, job.id)));
        jobs.truncate(at_most as usize);
        ready(Ok(jobs))
    }

    fn stop(&self, job: JobId, at: Timestamp) -> EngineFuture<'_, JobStatus> {
        if let Some((_, status)) = self.state().jobs.get_mut(&job)
            && !status.phase.has_ended()
        {
            status.stop_requested.get_or_insert(at);
        }
        ready(self.status_of(job))
    }

    fn remove(&self, job: JobId) -> EngineFuture<'_, ()> {
        let removed = match self.status_of(job) {
            Ok(status) if !status.phase.has_ended() => Err(EngineError::NotEnded(job)),
            Ok(_) => {
                self.state().jobs.remove(&job);
                Ok(())
            }
            Err(error) => Err(error),
        };
        ready(removed)
    }

    fn review(&self, _: JobId, _: ReviewVerdict, _: Timestamp) -> EngineFuture<'_, JobStatus> {
        ready(nothing())
    }

    fn log(&self, job: JobId, _: ByteRange) -> EngineFuture<'_, Vec<u8>> {
        ready(self.status_of(job).map(|_| b"a line\n".to_vec()))
    }

    fn report(&self, _: JobId) -> EngineFuture<'_, Option<Report>> {
        ready(nothing())
    }

    fn results(&self, job: JobId, _: Shelf) -> EngineFuture<'_, Vec<ResultFile>> {
        let files = |files: &Vec<(ResultFile, Vec<u8>)>| files.iter().map(|(file, _)| file.clone()).collect();
        let results = self.state().results.get(&job).map(files).unwrap_or_default();
        ready(self.status_of(job).map(|_| results))
    }

    fn read_result(&self, job: JobId, _: Shelf, index: u32, range: ByteRange) -> EngineFuture<'_, Vec<u8>> {
        let state = self.state();
        let bytes = state.results.get(&job).and_then(|files| files.get(index as usize)).map(|(_, bytes)| {
            let from = usize::try_from(range.offset).expect("an offset");
            bytes.iter().skip(from).take(range.at_most as usize).copied().collect()
        });
        ready(bytes.ok_or(EngineError::NoSuchResult { job, index }))
    }
}

impl Registry for Memory {
    fn put_asset(&self, _: Asset, _: AuditEvent) -> StoreFuture<'_, ()> {
        ready(not_kept())
    }

    fn asset(&self, did: Did) -> StoreFuture<'_, Option<Asset>> {
        ready(Ok(self.state().assets.get(&did).cloned()))
    }

    fn asset_named(&self, _: Account, _: AssetKind, _: String) -> StoreFuture<'_, Option<Asset>> {
        ready(not_kept())
    }

    fn assets(&self, _: AssetQuery) -> StoreFuture<'_, Vec<Asset>> {
        ready(not_kept())
    }
}

impl Keyring for Memory {
    fn put_key(&self, key: ApiKey, _: AuditEvent) -> StoreFuture<'_, ()> {
        self.state().keys.insert(key.id.to_string(), key);
        ready(Ok(()))
    }

    fn key(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>> {
        ready(Ok(self.state().keys.get(id.as_str()).cloned()))
    }

    fn keys(&self, _: Option<Account>) -> StoreFuture<'_, Vec<ApiKey>> {
        ready(not_kept())
    }

    fn revoke_key(&self, _: KeyId, _: Timestamp, _: AuditEvent) -> StoreFuture<'_, ApiKey> {
        ready(not_kept())
    }
}

impl Nonces for Memory {
    fn claim_nonce(&self, account: Account, nonce: String, _: Timestamp) -> StoreFuture<'_, bool> {
        ready(Ok(self.state().nonces.insert((account.key().to_owned(), nonce))))
    }
}

impl Files for Memory {
    fn begin_upload(&self) -> StoreFuture<'_, u64> {
        ready(not_kept())
    }

    fn append_upload(&self, _: u64, _: Vec<u8>) -> StoreFuture<'_, ()> {
        ready(not_kept())
    }

    fn finish_upload(&self, _: u64, _: Account, _: Timestamp) -> StoreFuture<'_, Upload> {
        ready(not_kept())
    }

    fn drop_upload(&self, _: u64) -> StoreFuture<'_, ()> {
        ready(not_kept())
    }

    fn upload(&self, _: Sha256, _: Account) -> StoreFuture<'_, Option<Upload>> {
        ready(Ok(None))
    }

    fn fetch_files(&self, _: Sources) -> StoreFuture<'_, Vec<FileDigest>> {
        ready(not_kept())
    }

    fn read_file(&self, _: Sha256, _: ByteRange) -> StoreFuture<'_, Vec<u8>> {
        ready(not_kept())
    }
}

impl AuditLog for Memory {
    fn record(&self, events: Vec<AuditEvent>) -> StoreFuture<'_, ()> {
        self.state().events.extend(events);
        ready(Ok(()))
    }

    fn records(&self, _: u64, _: u32) -> StoreFuture<'_, Vec<AuditRecord>> {
        ready(not_kept())
    }
}

impl Backend for Memory {
    fn ready(&self) -> EngineFuture<'_, ()> {
        ready(Ok(()))
    }
}
