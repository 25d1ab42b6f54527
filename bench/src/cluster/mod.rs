//! An API server without nodes, which scripts/bench-k8s.sh starts: an installation there, and many jobs.

mod nodes;

pub(crate) use nodes::{Played, play};

use anyhow::{Context as _, Result};
use cloister_k8s_engine::{
    ArchiveOptions, Cluster, ClusterStore, Namespaces, StoreOptions,
    resources::{ComputeJob, ComputeJobStatus, definitions},
};
use cloister_model::{AuditAction, AuditEvent, JobId, Jobs as _, Phase};
use cloister_results::{ResultStore, StoreConfig};
use cloister_sources::SourcePolicy;
use cloister_testkit::{event, job, now, status_in};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// Jobs that are made at the same time.
const AT_ONCE: usize = 16;

/// More ended jobs than there are: none is archived while it is measured.
const NEVER: usize = 1_000_000;

/// Nothing happened for so long that nothing will.
const PATIENCE: Duration = Duration::from_secs(120);

/// An installation on an API server that only the benchmark uses.
pub(crate) struct Site {
    kubeconfig: PathBuf,
    cluster: Cluster,
    store: ClusterStore,
    made: u64,
}

impl Site {
    /// Makes namespaces, definitions, and an environment in which so many jobs run at once.
    pub(crate) async fn open(kubeconfig: &Path, folder: &Path, running: u64) -> Result<Self> {
        let name = |part: &str| format!("bench-{part}");
        let namespaces = Namespaces { system: name("system"), jobs: name("jobs"), assets: name("assets") };
        let cluster = Cluster::connect(Some(kubeconfig), namespaces).await?;
        prepare(&cluster, running).await?;
        std::fs::create_dir_all(folder)?;
        let url = format!("file://{}", folder.join("results").display());
        let results = ResultStore::open(&StoreConfig { url, options: BTreeMap::new() })?;
        let options = StoreOptions {
            home: folder.join("replica"),
            cache_bytes: 1 << 20,
            sources: SourcePolicy::default(),
            results: Arc::new(results),
            archive: ArchiveOptions { most: NEVER, ..ArchiveOptions::default() },
        };
        let store = ClusterStore::open(cluster.clone(), options).await?;
        Ok(Self { kubeconfig: kubeconfig.to_owned(), cluster, store, made: 0 })
    }

    /// What the programs are told of it.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let Namespaces { system, jobs, assets } = self.cluster.namespaces().clone();
        let image = |name: &str| format!("registry.example/{name}@sha256:{}", "1".repeat(64));
        vec![
            ("k8s.kubeconfig", self.kubeconfig.display().to_string()),
            ("k8s.system_namespace", system),
            ("k8s.jobs_namespace", jobs),
            ("k8s.assets_namespace", assets),
            ("k8s.cloister_image", image("cloister")),
            ("k8s.sandbox_image", image("sandbox")),
            ("k8s.archive_beyond", NEVER.to_string()),
        ]
    }

    /// Submits so many jobs more.
    pub(crate) async fn submit(&mut self, jobs: u64) -> Result<Vec<JobId>> {
        let numbers = self.made..self.made + jobs;
        self.made += jobs;
        let store = &self.store;
        let submit = |number| async move {
            let job = job(number, now());
            let id = job.id;
            let record = AuditEvent { subject: id.to_string(), ..event(AuditAction::JobAllowed, now()) };
            store.submit(job, Vec::new(), record).await.context("a job")?;
            anyhow::Ok(id)
        };
        stream::iter(numbers).map(submit).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Submits so many jobs, ends them before anything of them begins, and waits until they have their receipts.
    pub(crate) async fn fill(&mut self, jobs: u64) -> Result<Vec<JobId>> {
        let ids = self.submit(jobs).await?;
        let api: Api<ComputeJob> = Api::namespaced(self.cluster.client().clone(), &self.cluster.namespaces().jobs);
        let api = &api;
        let end = |id: &JobId| {
            let id = *id;
            async move {
                let ended = ComputeJobStatus::of(&status_in(Phase::Stopped, id, now()), None, None);
                let patch = Patch::Merge(json!({"status": ended}));
                api.patch_status(&id.to_string(), &PatchParams::default(), &patch).await?;
                anyhow::Ok(())
            }
        };
        stream::iter(&ids).map(end).buffer_unordered(AT_ONCE).try_for_each(|()| std::future::ready(Ok(()))).await?;
        let (mut receipts, mut last) = (0, Instant::now());
        while receipts < ids.len() {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let before = std::mem::replace(&mut receipts, self.receipts().await?);
            if receipts > before {
                last = Instant::now();
            }
            anyhow::ensure!(
                last.elapsed() < PATIENCE,
                "{receipts} of {} jobs have a receipt, and no more get one",
                ids.len()
            );
        }
        Ok(ids)
    }

    async fn receipts(&self) -> Result<usize> {
        let api: Api<Secret> = Api::namespaced(self.cluster.client().clone(), &self.cluster.namespaces().system);
        let receipts = ListParams::default().fields("type=cloister.dev/receipt");
        Ok(api.list_metadata(&receipts).await?.items.len())
    }

    /// Plays the nodes until so many jobs have come to their end.
    pub(crate) async fn play(&self, jobs: usize, step: Duration) -> Result<Played> {
        play(self.cluster.client().clone(), &self.cluster.namespaces().jobs, jobs, step).await
    }
}

async fn apply(cluster: &Cluster, object: &Value) -> Result<()> {
    let text = |name: &str| object[name].as_str().context("an object");
    let (group, version) = text("apiVersion")?.split_once('/').unwrap_or(("", text("apiVersion")?));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")?));
    let client = cluster.client().clone();
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let name = object["metadata"]["name"].as_str().context("a name")?;
    let params = PatchParams::apply("cloister-bench").force();
    api.patch(name, &params, &Patch::Apply(object)).await.with_context(|| format!("{resource:?} {name}"))?;
    Ok(())
}

async fn prepare(cluster: &Cluster, running: u64) -> Result<()> {
    for definition in definitions() {
        let (name, mut definition) = (definition.name_any(), serde_json::to_value(definition)?);
        definition["apiVersion"] = json!("apiextensions.k8s.io/v1");
        definition["kind"] = json!("CustomResourceDefinition");
        apply(cluster, &definition).await.with_context(|| name)?;
    }
    let Namespaces { system, jobs, assets } = cluster.namespaces();
    for name in [system, jobs, assets] {
        apply(cluster, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await?;
    }
    // A namespace takes pods once its service account is there.
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": jobs}});
    apply(cluster, &account).await?;
    let environment = json!({
        "apiVersion": "cloister.dev/v1alpha1",
        "kind": "Environment",
        "metadata": {"name": "local", "namespace": jobs},
        "spec": {"limits": {
            "jobs": running, "queued": 100_000, "cpus": 10_000, "memoryBytes": 1_u64 << 45, "jobMemoryBytes": 1_u64 << 30,
            "wallMs": 600_000,
        }},
    });
    // Definitions are served a moment after they are taken.
    let mut attempts = 0;
    while let Err(error) = apply(cluster, &environment).await {
        attempts += 1;
        anyhow::ensure!(attempts < 100, "{error:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let api: Api<ComputeJob> = Api::namespaced(cluster.client().clone(), jobs);
    let found = api.list(&ListParams::default().limit(1)).await?;
    anyhow::ensure!(found.items.is_empty(), "there are jobs in the namespace {jobs}: use an API server without any");
    Ok(())
}
