//! An engine behind a wrapper that notes every call to it, and that can stop answering.

use cloister_local_engine::LocalEngine;
use cloister_model::{
    Account, ApiKey, Archived, Asset, AssetKind, AssetList, AssetQuery, AuditEvent, AuditLog, AuditRecord, Backend,
    ByteRange, Claim, Claims, Did, EngineFuture, EnvironmentStatus, Explanation, Inspection, Inspections, JobCard,
    JobId, JobParameters, JobQuery, JobSpec, JobStatus, Jobs, KeyId, Keyring, LastCheck, LogPart, LogScope, Outputs,
    Registry, Report, ResultFile, ResultSet, ReviewVerdict, Seen, Sha256, SourceCheck, Sources, StoreFuture,
    StoredReceipt, Timestamp, Upload, UploadLimits, UploadQuery, Uploads,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[derive(Debug)]
pub(crate) struct ObservedEngine {
    engine: Arc<LocalEngine>,
    calls: Mutex<Vec<&'static str>>,
    silent: AtomicBool,
}

impl ObservedEngine {
    pub(crate) fn new(engine: Arc<LocalEngine>) -> Arc<Self> {
        Arc::new(Self { engine, calls: Mutex::default(), silent: AtomicBool::new(false) })
    }

    /// The calls since this was last asked, in their order.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.calls.lock().expect("calls"))
    }

    /// From now on, calls about jobs do not return.
    pub(crate) fn stop_answering(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    fn note(&self, call: &'static str) {
        self.calls.lock().expect("calls").push(call);
    }

    /// Whether calls about jobs do not return.
    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::SeqCst)
    }
}

macro_rules! forward {
    ($port:ident: $($call:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        impl $port for ObservedEngine {
            $(fn $call(&self, $($argument: $type),*) -> $answer {
                self.note(stringify!($call));
                if stringify!($port) == "Jobs" && self.is_silent() {
                    return Box::pin(std::future::pending());
                }
                self.engine.$call($($argument),*)
            })+
        }
    };
}

forward! { Backend:
    ready() -> EngineFuture<'_, ()>;
}

forward! { Jobs:
    environments() -> EngineFuture<'_, Vec<EnvironmentStatus>>;
    submit(job: JobSpec, claims: Vec<Claim>, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
    status(job: JobId) -> EngineFuture<'_, JobStatus>;
    wait(job: JobId, seen: Seen) -> EngineFuture<'_, JobStatus>;
    explain(job: JobId) -> EngineFuture<'_, Explanation>;
    parameters(job: JobId) -> EngineFuture<'_, JobParameters>;
    card(job: JobId) -> EngineFuture<'_, JobCard>;
    list(query: JobQuery) -> EngineFuture<'_, Vec<JobStatus>>;
    stop(job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
    publish_again(job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
    remove(job: JobId, record: AuditEvent) -> EngineFuture<'_, ()>;
    review(job: JobId, verdict: ReviewVerdict, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
    release_log(job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
}

forward! { Outputs:
    log(job: JobId, scope: LogScope, range: ByteRange) -> EngineFuture<'_, LogPart>;
    report(job: JobId) -> EngineFuture<'_, Option<Report>>;
    results(job: JobId, set: ResultSet) -> EngineFuture<'_, Vec<ResultFile>>;
    read_result(job: JobId, set: ResultSet, index: u32, range: ByteRange) -> EngineFuture<'_, Vec<u8>>;
    result_bytes(owner: Account) -> EngineFuture<'_, u64>;
    receipt(job: JobId) -> EngineFuture<'_, Option<StoredReceipt>>;
}

forward! { Registry:
    put_asset(asset: Asset, most: u64, record: AuditEvent) -> StoreFuture<'_, ()>;
    asset(did: Did) -> StoreFuture<'_, Option<Asset>>;
    asset_named(owner: Account, kind: AssetKind, name: String) -> StoreFuture<'_, Option<Asset>>;
    asset_count(owner: Account) -> StoreFuture<'_, u64>;
    assets(query: AssetQuery) -> StoreFuture<'_, AssetList>;
    put_check(dataset: Did, check: LastCheck) -> StoreFuture<'_, ()>;
    last_check(dataset: Did) -> StoreFuture<'_, Option<LastCheck>>;
}

forward! { Keyring:
    put_key(key: ApiKey, record: AuditEvent) -> StoreFuture<'_, ()>;
    key(id: KeyId) -> StoreFuture<'_, Option<ApiKey>>;
    keys(account: Option<Account>) -> StoreFuture<'_, Vec<ApiKey>>;
    revoke_key(id: KeyId, at: Timestamp, record: AuditEvent) -> StoreFuture<'_, ApiKey>;
}

forward! { Claims:
    claim(claim: Claim) -> StoreFuture<'_, bool>;
}

forward! { Uploads:
    begin_upload() -> StoreFuture<'_, u64>;
    append_upload(upload: u64, bytes: Vec<u8>) -> StoreFuture<'_, ()>;
    finish_upload(upload: u64, owner: Account, at: Timestamp, limits: UploadLimits) -> StoreFuture<'_, Upload>;
    drop_upload(upload: u64) -> StoreFuture<'_, ()>;
    upload(sha256: Sha256, owner: Account) -> StoreFuture<'_, Option<Upload>>;
    uploads(query: UploadQuery) -> StoreFuture<'_, Vec<Upload>>;
    upload_bytes(owner: Account) -> StoreFuture<'_, u64>;
    remove_upload(sha256: Sha256, owner: Account, sent_before: Option<Timestamp>) -> StoreFuture<'_, ()>;
}

forward! { Inspections:
    inspect(account: Account, sources: Sources, patience: Duration) -> StoreFuture<'_, Inspection>;
    check_sources(account: Account, sources: Sources, patience: Duration) -> StoreFuture<'_, Option<Vec<SourceCheck>>>;
    read_inspected(sha256: Sha256, range: ByteRange) -> StoreFuture<'_, Vec<u8>>;
}

forward! { AuditLog:
    record(events: Vec<AuditEvent>) -> StoreFuture<'_, ()>;
    records(after: u64, at_most: u32) -> StoreFuture<'_, Vec<AuditRecord>>;
    archive(archived: Archived, event: AuditEvent) -> StoreFuture<'_, ()>;
}
