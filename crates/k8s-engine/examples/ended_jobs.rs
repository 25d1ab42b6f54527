//! Makes jobs that have ended, and archives them, so that bench/ended_jobs.py can measure what they cost the API server that
//! `KUBECONFIG` names:
//!
//!     ended_jobs FOLDER NUMBER...
//!
//! Whenever there are so many, and everything of them that leaves the API server has left it, it prints the number, and goes on after
//! a line on standard input. Nothing runs: the jobs are stopped before they begin. What one costs the API server is the same.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use cloister_k8s_engine::{
    ArchiveOptions, Cluster, ClusterStore, Namespaces, StoreOptions,
    resources::{ComputeJob, ComputeJobStatus},
};
use cloister_model::{AuditAction, AuditEvent, AuditLog as _, Claim, Jobs as _, Phase};
use cloister_results::{ResultStore, StoreConfig};
use cloister_sources::SourcePolicy;
use cloister_testkit::{event, job, now, status_in};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{collections::BTreeMap, fmt::Debug, io, path::PathBuf, sync::Arc, time::Duration};

/// Jobs that are made at the same time.
const AT_ONCE: usize = 16;

/// Objects with records that wait to be moved, whenever a number is printed: half as many as may wait. However many jobs there were, it
/// is the same number, so that what is measured beside it is what jobs leave.
const WAITING: usize = 500;

/// A batch of jobs goes as soon as it is full. Everything else that takes days goes after seconds.
const OPTIONS: ArchiveOptions = ArchiveOptions {
    after: Duration::from_secs(86_400),
    most: 0,
    settle: Duration::from_millis(500),
    records_after: Duration::from_secs(8),
    pieces: 1000,
    ids_after: Duration::from_secs(30),
    receipts: 10,
};

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: ended_jobs FOLDER NUMBER...")?);
    let marks = arguments.map(|number| number.parse()).collect::<Result<Vec<u64>, _>>()?;
    let name = |part: &str| format!("cloister-{part}");
    let namespaces = Namespaces { system: name("system"), jobs: name("jobs"), assets: name("assets") };
    let cluster = Cluster::connect(None, namespaces).await?;
    let url = format!("file://{}", folder.join("results").display());
    let results = ResultStore::open(&StoreConfig { url, options: BTreeMap::new() })?;
    let options = StoreOptions {
        home: folder.join("replica"),
        cache_bytes: 1 << 20,
        sources: SourcePolicy::default(),
        results: Arc::new(results),
        archive: OPTIONS,
    };
    let store = ClusterStore::open(cluster.clone(), options).await?;
    let mut made = 0;
    for mark in marks {
        let mut making =
            stream::iter(made..mark).map(|number| end_a_job(&store, &cluster, number)).buffer_unordered(AT_ONCE);
        while let Some(done) = making.next().await {
            done?;
        }
        drop(making);
        made = mark;
        until_archived(&cluster).await?;
        until_as_many_wait(&store, &cluster).await?;
        until_nothing_shrinks(&cluster).await?;
        println!("{mark}");
        if io::stdin().read_line(&mut String::new())? == 0 {
            break;
        }
    }
    Ok(())
}

/// A job with what a job usually leaves: a receipt, a claim on an agreement, and records in the audit log.
async fn end_a_job(store: &ClusterStore, cluster: &Cluster, number: u64) -> Result<(), Failed> {
    let spec = job(number, now());
    let (id, name) = (spec.id, spec.id.to_string());
    let about = |action| AuditEvent { subject: name.clone(), ..event(action, now()) };
    let claim = Claim::agreement(&format!("0x{number:064x}"));
    store.submit(spec, vec![claim], about(AuditAction::JobAllowed)).await?;
    let ended = status_in(Phase::Stopped, id, now());
    let patch = Patch::Merge(json!({"status": ComputeJobStatus::of(&ended, None, None)}));
    jobs(cluster).patch_status(&name, &PatchParams::default(), &patch).await?;
    store.record(vec![about(AuditAction::Released)]).await?;
    store.record(vec![about(AuditAction::ResultDownloaded), about(AuditAction::ResultDownloaded)]).await?;
    Ok(())
}

fn jobs(cluster: &Cluster) -> Api<ComputeJob> {
    Api::namespaced(cluster.client().clone(), &cluster.namespaces().jobs)
}

fn configs(cluster: &Cluster) -> Api<ConfigMap> {
    Api::namespaced(cluster.client().clone(), &cluster.namespaces().system)
}

/// Puts records on record, each in an object of its own, until as many wait to be moved as always.
async fn until_as_many_wait(store: &ClusterStore, cluster: &Cluster) -> Result<(), Failed> {
    let records = ListParams::default().labels("cloister.dev/audit=records");
    loop {
        let waiting = count(&configs(cluster), &records).await?;
        let wanted = match waiting {
            WAITING => return Ok(()),
            0..WAITING => WAITING,
            // Some go once there are so many beside the last one.
            _ => OPTIONS.pieces + 2,
        };
        for _ in waiting..wanted {
            store.record(vec![event(AuditAction::ResultDownloaded, now())]).await?;
        }
        while wanted > WAITING && count(&configs(cluster), &records).await? >= wanted {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Waits until sealed receipts are in catalogs, but for those that are too few, and no event is named that no object has.
async fn until_nothing_shrinks(cluster: &Cluster) -> Result<(), Failed> {
    let [receipts, segments] =
        ["cloister.dev/archive=receipts", "cloister.dev/audit=sealed"].map(|label| ListParams::default().labels(label));
    loop {
        let receipts = configs(cluster).list(&receipts).await?.items;
        let standing = receipts.iter().filter(|object| object.name_any().starts_with("receipts-")).count();
        let segments = configs(cluster).list(&segments).await?.items;
        let named =
            segments.iter().filter_map(|object| object.binary_data.as_ref()?.get("ids")).any(|ids| !ids.0.is_empty());
        if standing < OPTIONS.receipts && !named {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Waits until nothing is left but what stays, and what waits to be many.
async fn until_archived(cluster: &Cluster) -> Result<(), Failed> {
    let (client, system) = (cluster.client(), &cluster.namespaces().system);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), system);
    let configs = configs(cluster);
    let receipts = ListParams::default().fields("type=cloister.dev/receipt");
    let [claims, records] =
        ["cloister.dev/claim", "cloister.dev/audit=records"].map(|label| ListParams::default().labels(label));
    loop {
        let left = [
            count(&jobs(cluster), &ListParams::default()).await?,
            count(&secrets, &receipts).await?,
            count(&configs, &claims).await?,
            count(&configs, &records).await?.saturating_sub(OPTIONS.pieces),
        ];
        if left == [0; 4] {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn count<K>(api: &Api<K>, wanted: &ListParams) -> Result<usize, Failed>
where
    K: Resource + Clone + DeserializeOwned + Debug,
    K::DynamicType: Default,
{
    Ok(api.list_metadata(wanted).await?.items.len())
}
