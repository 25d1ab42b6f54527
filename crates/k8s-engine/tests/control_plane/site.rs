//! An installation whose jobs run: settings, an environment, a store of results, and a node that runs the programs of every
//! pod. The engine itself is started and ended apart from it.

use crate::{
    cluster::{self, Room},
    node::Node,
};
use cloister_engine_tests::Conditions;
use cloister_k8s_engine::{
    ArchiveOptions, ClusterStore, StoreOptions,
    build::{CONFIG_FILE, ResultStoreAccess},
    controller::{Controller, EngineOptions},
    resources::{Environment, EnvironmentLimits, EnvironmentSpec},
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, ServiceAccount};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const MIB: u64 = 1024 * 1024;

/// The Secret with the settings of configuration, and the one of publishing.
const SETTINGS: [(&str, &str); 2] = [
    ("sources", "[sources]\nallow_networks = [\"127.0.0.0/8\"]\n\n[results]\nurl = \"file:///results\"\n"),
    ("results", "[results]\nurl = \"file:///results\"\n"),
];

/// The claim that is the store of results.
const RESULTS: &str = "results";

/// The claim with datasets that are not copied.
pub(crate) const DATASETS: &str = "datasets";

/// The environment of the jobs.
pub(crate) const ENVIRONMENT: &str = "conformance";

/// Everything of an installation but the engine. Pods go on while the engine is away.
pub(crate) struct Site {
    pub(crate) node: Node,
    pub(crate) room: Room,
    folder: TempDir,
}

fn options() -> EngineOptions {
    let image = |name: &str| format!("registry.example/{name}@sha256:{}", "1".repeat(64));
    EngineOptions {
        cloister_image: image("cloister"),
        sandbox_image: image("sandbox"),
        results: ResultStoreAccess { secret: "results".to_owned(), claim: Some(RESULTS.to_owned()) },
        sources_secret: Some("sources".to_owned()),
        priority_class: None,
        user_namespaces: true,
        selinux_levels: false,
        strict_groups: true,
    }
}

impl Site {
    /// Makes what an operator makes: settings, and the claim of the store.
    pub(crate) async fn open() -> Self {
        let (room, folder) = (Room::open().await, tempfile::tempdir().expect("a folder"));
        // A namespace takes pods once its service account is there.
        create::<ServiceAccount>(&room, json!({"metadata": {"name": "default"}})).await;
        for (name, text) in SETTINGS {
            create::<Secret>(&room, json!({"metadata": {"name": name}, "stringData": {CONFIG_FILE: text}})).await;
        }
        let resources = json!({"requests": {"storage": "1Gi"}});
        let spec = json!({"accessModes": ["ReadWriteMany"], "resources": resources});
        let mut given = BTreeMap::new();
        for name in [RESULTS, DATASETS] {
            create::<PersistentVolumeClaim>(&room, json!({"metadata": {"name": name}, "spec": spec})).await;
            given.insert(name.to_owned(), folder.path().join(name));
        }
        let node = Node::start(room.client(), &room.cluster.namespaces().jobs, given).await;
        Self { node, room, folder }
    }

    /// Writes the environment as the operator does.
    pub(crate) async fn set(&self, conditions: Conditions) {
        let api: Api<Environment> = Api::namespaced(self.room.client(), &self.room.cluster.namespaces().jobs);
        let apply = PatchParams::apply("cloister-tests").force();
        api.patch(ENVIRONMENT, &apply, &Patch::Apply(&environment(conditions))).await.expect("an environment");
    }

    /// Opens a replica of the service, with a folder of this name. One that cannot begin in time is started again, as the kubelet does.
    pub(crate) async fn replica(&self, name: &str, archive: ArchiveOptions) -> Arc<ClusterStore> {
        let mut last = None;
        for _ in 0..10 {
            let options = StoreOptions { archive, ..cluster::options(self.folder.path(), name) };
            match ClusterStore::open(self.room.cluster.clone(), options).await {
                Ok(store) => return Arc::new(store),
                Err(error) => last = Some(error),
            }
        }
        panic!("no replica begins: {last:?}");
    }

    /// Starts a controller, which works until its task is aborted. One that cannot begin in time is started again, too.
    pub(crate) async fn controller(&self) -> JoinHandle<()> {
        let mut last = None;
        for _ in 0..10 {
            match Controller::open(self.room.cluster.clone(), options()).await {
                Ok(controller) => return tokio::spawn(async move { controller.run(std::future::pending()).await }),
                Err(error) => last = Some(error),
            }
        }
        panic!("no controller begins: {last:?}");
    }

    /// The folder of the claim with datasets.
    pub(crate) fn datasets(&self) -> PathBuf {
        self.folder.path().join(DATASETS)
    }

    /// The folder that is the store of results.
    pub(crate) fn results(&self) -> PathBuf {
        self.folder.path().join("results")
    }

    /// What is in the store of results of a job: its folder.
    pub(crate) fn stored(&self, job: &str) -> PathBuf {
        self.results().join(job)
    }
}

/// An environment as the operator writes it.
fn environment(conditions: Conditions) -> Environment {
    let Conditions { max_jobs, max_queued, max_queued_per_account } = conditions;
    let spec = EnvironmentSpec {
        description: "tests".to_owned(),
        limits: EnvironmentLimits {
            jobs: max_jobs,
            queued: max_queued,
            queued_per_account: Some(max_queued_per_account),
            cpus: 4,
            memory_bytes: 1024 * MIB,
            job_memory_bytes: 512 * MIB,
            wall_ms: 600_000,
        },
        runtimes: Default::default(),
        steps: Default::default(),
        node_selector: Default::default(),
        tolerations: Vec::new(),
        storage: Default::default(),
        roots: Vec::new(),
        interpreters: Vec::new(),
    };
    Environment::new(ENVIRONMENT, spec)
}

/// Creates an object of the namespace of jobs, unless it is there.
async fn create<K>(room: &Room, object: Value)
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
    let object: K = serde_json::from_value(object).expect("an object");
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => panic!("{error}"),
    }
}
