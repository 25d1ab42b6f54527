//! Whole jobs, through the engine and the built sandbox program.

mod changes;
mod claims;
mod inspections;
mod kill;
mod life;
mod receipts;
mod records;
mod recovery;
mod release;
mod store_away;
mod versions;

use crate::{EnvironmentOptions, LocalEngine, OpenError, Options, testing};
use cloister_model::{
    AuditAction, ByteRange, EngineError, JobId, JobSpec, JobStatus, Jobs as _, LogScope, Outputs as _, Phase,
    ResultSet, ReviewVerdict, Seen, Sha256, Uploads as _,
};
use cloister_sources::SourcePolicy;
use cloister_testkit::EndsSandboxes;
use cloister_testkit::guests;
use serde_json::json;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;

/// The pause between two looks at something of which nothing tells.
const LOOK: Duration = Duration::from_millis(25);
/// How often a test looks before it fails: for two minutes, which ends a test that hangs and measures nothing.
const LOOKS: u32 = 4800;

/// The built program.
fn sandbox() -> PathBuf {
    cloister_testkit::program("sandbox").unwrap_or_else(|missing| panic!("{missing}"))
}

/// A folder for one service after the other.
struct Place {
    _sandboxes: EndsSandboxes,
    directory: TempDir,
    jobs: AtomicU64,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { _sandboxes: EndsSandboxes::of(directory.path()), directory, jobs: AtomicU64::new(1) }
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    fn folder(&self, job: JobId) -> PathBuf {
        self.home().join("jobs").join(job.to_string())
    }

    fn options(&self) -> Options {
        Options {
            home: self.home(),
            sandbox: sandbox(),
            sandbox_home: None,
            environment: EnvironmentOptions {
                id: "local".parse().expect("a name"),
                description: String::new(),
                max_jobs: 4,
                cpus: 4,
                memory_bytes: 1024 * MIB,
                job_memory_bytes: 512 * MIB,
                max_queued: 100,
                reserved_jobs: 0,
                max_queued_per_account: 100,
                min_free_bytes: 0,
                max_wall_ms: 600_000,
            },
            sources: SourcePolicy::default(),
            cache_bytes: 64 * MIB,
            results: None,
        }
    }

    async fn open_with(&self, options: Options) -> Arc<LocalEngine> {
        let open = async {
            loop {
                match LocalEngine::open(options.clone()).await {
                    Ok(engine) => return engine,
                    // The one before lets go when its last work is done.
                    Err(OpenError::InUse { .. }) => tokio::time::sleep(LOOK).await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        tokio::time::timeout(LOOK * LOOKS, open).await.expect("the engine before lets go")
    }

    async fn open(&self) -> Arc<LocalEngine> {
        self.open_with(self.options()).await
    }

    /// A job that runs this guest.
    async fn job(&self, engine: &LocalEngine, guest: &str) -> JobSpec {
        let sha256 = upload(engine, &wat::parse_str(guest).expect("a guest")).await;
        let mut job = testing::job(self.jobs.fetch_add(1, Ordering::Relaxed));
        job.algorithm.source = testing::source(json!([{"type": "upload", "sha256": sha256}]));
        job
    }

    /// What is left in the folder of jobs.
    fn leftovers(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.home().join("jobs")).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }
}

async fn close(engine: Arc<LocalEngine>) {
    engine.shutdown().await;
    drop(engine);
}

async fn upload(engine: &LocalEngine, bytes: &[u8]) -> Sha256 {
    let number = engine.begin_upload().await.expect("begun");
    engine.append_upload(number, bytes.to_vec()).await.expect("added");
    let owner = "alice".parse().expect("an account");
    engine.finish_upload(number, owner, testing::at(1), (16 * MIB).into()).await.expect("finished").file.sha256
}

/// Follows a job until it is as wanted.
async fn until(engine: &LocalEngine, job: JobId, wanted: impl Fn(&JobStatus) -> bool) -> JobStatus {
    let mut seen = Seen::default();
    let follow = async {
        loop {
            let status = engine.wait(job, seen.clone()).await.expect("a job");
            if wanted(&status) {
                return status;
            }
            assert!(!status.phase.has_ended(), "ended otherwise: {status:?}");
            seen = status.seen();
        }
    };
    tokio::time::timeout(LOOK * LOOKS, follow).await.expect("in time")
}

async fn ended(engine: &LocalEngine, job: JobId) -> JobStatus {
    until(engine, job, |status| status.phase.has_ended()).await
}

async fn submit(engine: &LocalEngine, job: JobSpec) -> Result<JobStatus, EngineError> {
    engine.submit(job, Vec::new(), testing::event(AuditAction::JobAllowed)).await
}

async fn stop(engine: &LocalEngine, job: JobId) -> Result<JobStatus, EngineError> {
    engine.stop(job, testing::event(AuditAction::JobStopped)).await
}

async fn remove(engine: &LocalEngine, job: JobId) -> Result<(), EngineError> {
    engine.remove(job, testing::event(AuditAction::JobRemoved)).await
}

async fn review(engine: &LocalEngine, job: JobId, verdict: ReviewVerdict) -> Result<JobStatus, EngineError> {
    engine.review(job, verdict, testing::event_at(AuditAction::Reviewed, crate::clock::now())).await
}

async fn run(engine: &LocalEngine, job: &JobSpec) -> JobStatus {
    submit(engine, job.clone()).await.expect("submitted");
    ended(engine, job.id).await
}

fn why(status: &JobStatus) -> &str {
    status.reason.as_ref().map_or("", |reason| reason.text())
}

const ALL: ByteRange = ByteRange { offset: 0, at_most: 1 << 20 };

async fn log(engine: &LocalEngine, job: JobId) -> String {
    String::from_utf8(engine.log(job, LogScope::Readable, ALL).await.expect("a log").bytes).expect("text")
}

/// The files of a set, by name.
async fn files(engine: &LocalEngine, job: JobId, set: ResultSet) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, file) in (0..).zip(engine.results(job, set).await.expect("results")) {
        let bytes = engine.read_result(job, set, index, ALL).await.expect("a result");
        assert_eq!(bytes.len() as u64, file.bytes);
        found.push((file.name, String::from_utf8(bytes).expect("text")));
    }
    found
}

fn phases(status: &JobStatus) -> Vec<Phase> {
    status.history.iter().map(|step| step.phase).collect()
}

/// Waits for something that is done beside what was asked for.
async fn soon(what: &str, done: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if done() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("never: {what}");
}
