//! A folder with many jobs in it, made by the engine itself: each asks for more memory than there is, and ends at once.

use crate::places::Places;
use anyhow::{Result, ensure};
use cloister_local_engine::{EnvironmentOptions, LocalEngine, Options};
use cloister_model::{
    AdmittedBy, AdmittedDataset, AuditAction, AuditEvent, Did, JobAlgorithm, JobId, JobInput, JobRecord, JobSpec,
    Jobs as _, Limits, Terms,
};
use serde_json::json;
use std::{path::Path, sync::Arc};

/// Jobs that are submitted at once; the engine stores them together.
const AT_ONCE: u64 = 512;

/// Who the jobs belong to.
pub(crate) const OWNER: &str = "bench";

/// Fills a folder with so many jobs, and gives their ids.
pub(crate) fn fill(places: &Places, home: &Path, jobs: u64) -> Result<Vec<JobId>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let engine = LocalEngine::open(options(places, home)?).await?;
        let ids: Vec<JobId> = (0..jobs).map(id).collect();
        for group in ids.chunks(usize::try_from(AT_ONCE)?) {
            let tasks: Vec<_> = group.iter().map(|id| tokio::spawn(ended(Arc::clone(&engine), *id))).collect();
            for task in tasks {
                task.await??;
            }
        }
        engine.shutdown().await;
        Ok(ids)
    })
}

async fn ended(engine: Arc<LocalEngine>, id: JobId) -> Result<()> {
    let record = AuditEvent {
        actor: OWNER.to_owned(),
        subject: id.to_string(),
        ..cloister_testkit::event(AuditAction::JobAllowed, cloister_testkit::now())
    };
    let status = engine.submit(spec(id)?, Vec::new(), record).await?;
    ensure!(status.phase.has_ended(), "a job that cannot run waits");
    Ok(())
}

/// Different in every digit, as those that are drawn at random.
fn id(number: u64) -> JobId {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 16];
    let (first, second) = bytes.split_at_mut(8);
    first.copy_from_slice(&mixed.to_be_bytes());
    second.copy_from_slice(&mixed.rotate_left(29).to_be_bytes());
    JobId::from_bytes(bytes)
}

fn options(places: &Places, home: &Path) -> Result<Options> {
    Ok(Options {
        home: home.to_owned(),
        sandbox: places.sandbox.clone(),
        sandbox_home: None,
        environment: EnvironmentOptions {
            id: "local".parse()?,
            description: String::new(),
            max_jobs: 1,
            cpus: 1,
            // Too little for any of the jobs.
            memory_bytes: 1,
            job_memory_bytes: 1,
            reserved_jobs: 0,
            max_queued_per_account: u64::MAX,
            min_free_bytes: 0,
            max_queued: AT_ONCE,
            max_wall_ms: 60 * 60 * 1000,
        },
        sources: cloister_sources::SourcePolicy::default(),
        cache_bytes: 1 << 30,
        results: None,
    })
}

/// A job as the service makes it of a small request.
fn spec(id: JobId) -> Result<JobSpec> {
    let did: Did = "5d1".repeat(21).parse()?;
    let labels = [("owner", OWNER), ("environment", "local"), ("d-5d15d15d15d15d15d15d15d15d15", did.id())];
    let labels = cloister_testkit::labels(&labels);
    let job = cloister_testkit::job(0, cloister_testkit::now());
    let dataset = cloister_testkit::recorded_dataset(did.id(), "publisher", false);
    let source = cloister_testkit::inline("a,b\n1,2\n");
    let ddo = Some(json!({"id": did.to_string(), "version": "4.1.0"}));
    let service = "compute".to_owned();
    let admitted =
        vec![AdmittedDataset { did: did.clone(), service, by: AdmittedBy::AllowRawAlgorithm, files_checksums: None }];
    Ok(JobSpec {
        id,
        queue: OWNER.to_owned(),
        inputs: vec![JobInput { did, ddo, source: source.clone() }],
        algorithm: JobAlgorithm { source, ..job.algorithm },
        terms: Terms { admitted, ..job.terms },
        limits: Limits::default(),
        labels,
        record: JobRecord { owner: OWNER.parse()?, datasets: vec![dataset], ..job.record },
        ..job
    })
}
