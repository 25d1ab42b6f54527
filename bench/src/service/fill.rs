//! A folder with many jobs in it, made by the engine itself: each asks for more memory than there is, and ends at once.

use crate::places::Places;
use anyhow::{Context as _, Result, ensure};
use cloister_local_engine::{EnvironmentOptions, LocalEngine, Options};
use cloister_model::{
    AdmittedBy, AdmittedDataset, AuditAction, AuditEvent, Container, Delivery, JobAlgorithm, JobId, JobInput,
    JobRecord, JobSource, JobSpec, Jobs as _, Labels, Limits, OutputContract, Profile, RecordedAsset, RecordedDataset,
    ReleaseRules, RuntimeKind, Secret, Sources, Terms, TimeLimits, Timestamp,
};
use serde_json::json;
use std::{path::Path, sync::Arc, time::SystemTime};

/// Jobs that are submitted at once; the engine stores them together.
const AT_ONCE: u64 = 512;

/// Who the jobs belong to.
pub(crate) const OWNER: &str = "bench";

/// Fills a folder with so many jobs, and returns their ids.
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
        at: now(),
        actor: OWNER.to_owned(),
        action: AuditAction::JobAllowed,
        subject: id.to_string(),
        detail: "{}".to_owned(),
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

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
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
            max_queued: AT_ONCE,
            max_wall_ms: 60 * 60 * 1000,
        },
        sources: cloister_sources::SourcePolicy::default(),
        cache_bytes: 1 << 30,
        results: None,
        upload_bytes_per_account: 1 << 30,
    })
}

/// As the service makes them from a small request.
fn spec(id: JobId) -> Result<JobSpec> {
    let did: cloister_model::Did = "5d1".repeat(21).parse()?;
    let files: Sources = serde_json::from_value(json!([{"type": "inline", "content": "a,b\n1,2\n"}]))?;
    let labels = [("owner", OWNER), ("environment", "local"), ("d-5d15d15d15d15d15d15d15d15d15", did.id())];
    let labels = labels.into_iter().try_fold(Labels::new(), |labels, (name, value)| labels.with(name, value));
    let asset =
        RecordedAsset { did: did.clone(), service: "compute".to_owned(), publisher: "publisher".parse()?, revision: 1 };
    let record = JobRecord {
        owner: OWNER.parse()?,
        request: None,
        attempt: 1,
        datasets: vec![RecordedDataset { asset, review: false }],
        algorithm: None,
    };
    Ok(JobSpec {
        id,
        created: now(),
        environment: "local".parse()?,
        queue: OWNER.to_owned(),
        inputs: vec![JobInput {
            did: did.clone(),
            ddo: Some(json!({"id": did.to_string(), "version": "4.1.0"})),
            source: JobSource::Files(files.clone()),
        }],
        algorithm: JobAlgorithm {
            did: None,
            ddo: None,
            container: Container {
                image: "wasm".to_owned(),
                tag: None,
                entrypoint: "$ALGO".to_owned(),
                checksum: None,
            },
            interpreter: None,
            source: JobSource::Files(files),
        },
        parameters: None,
        terms: Terms {
            admitted: vec![AdmittedDataset {
                did,
                service: "compute".to_owned(),
                by: AdmittedBy::AllowRawAlgorithm,
                files_checksums: None,
            }],
            output_contract: OutputContract::default(),
            release: ReleaseRules::default(),
            runtime: RuntimeKind::Wasm,
            profile: Profile::Deterministic,
            network: false,
            runtimes: [RuntimeKind::Wasm].into(),
            profiles: [Profile::Deterministic].into(),
        },
        limits: Limits::default(),
        times: TimeLimits::default(),
        delivery: Delivery::default(),
        labels: labels.context("labels")?,
        record,
    })
}
