//! The conformance suite over the API server: two replicas of the service and a controller, and a node that runs the programs
//! of every pod.

use crate::{
    cluster::{self, Room},
    node::Node,
};
use cloister_engine_tests::{Conditions, Fixture, FixtureFuture, conformance_tests};
use cloister_k8s_engine::{
    ClusterStore,
    build::{CONFIG_FILE, ResultStoreAccess},
    controller::{Controller, EngineOptions},
    resources::{Environment, EnvironmentLimits, EnvironmentSpec},
};
use cloister_model::Backend;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, ServiceAccount};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
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

/// One installation. It is made when it is opened first.
struct Installation {
    /// What runs of the engine.
    engine: Option<Engine>,
    /// Pods go on while the engine is away.
    node: Option<Node>,
    room: Option<Room>,
    folder: TempDir,
    /// How often it was opened.
    opened: u32,
}

/// Two replicas of the service, and a controller.
struct Engine {
    replicas: [Arc<ClusterStore>; 2],
    controller: JoinHandle<()>,
}

fn installation() -> Installation {
    let folder = tempfile::tempdir().expect("a folder");
    Installation { engine: None, node: None, room: None, folder, opened: 0 }
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

impl Installation {
    /// Makes what an operator makes: settings, the claim of the store, and the environment.
    async fn set_up(&mut self, conditions: Conditions) {
        if self.room.is_none() {
            let room = Room::open().await;
            let jobs = room.cluster.namespaces().jobs.clone();
            // A namespace takes pods once its service account is there.
            create::<ServiceAccount>(&room, json!({"metadata": {"name": "default"}})).await;
            for (name, text) in SETTINGS {
                create::<Secret>(&room, json!({"metadata": {"name": name}, "stringData": {CONFIG_FILE: text}})).await;
            }
            let resources = json!({"requests": {"storage": "1Gi"}});
            let spec = json!({"accessModes": ["ReadWriteMany"], "resources": resources});
            create::<PersistentVolumeClaim>(&room, json!({"metadata": {"name": RESULTS}, "spec": spec})).await;
            let results = BTreeMap::from([(RESULTS.to_owned(), self.folder.path().join("results"))]);
            self.node = Some(Node::start(room.client(), &jobs, results).await);
            self.room = Some(room);
        }
        let room = self.room();
        let environment = environment(conditions);
        let api: Api<Environment> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
        let apply = PatchParams::apply("cloister-tests").force();
        api.patch("conformance", &apply, &Patch::Apply(&environment)).await.expect("an environment");
    }

    fn room(&self) -> &Room {
        self.room.as_ref().expect("namespaces")
    }

    async fn replica(&self, name: String, upload_bytes_per_account: u64) -> Arc<ClusterStore> {
        let options = cluster::options(self.folder.path(), &name, upload_bytes_per_account);
        let store = ClusterStore::open(self.room().cluster.clone(), options).await;
        Arc::new(store.unwrap_or_else(|error| panic!("{error}")))
    }

    async fn start(&mut self, conditions: Conditions) -> Engine {
        self.opened += 1;
        let replica =
            |letter: &str| self.replica(format!("{}{letter}", self.opened), conditions.upload_bytes_per_account);
        let (first, second) = tokio::join!(replica("a"), replica("b"));
        let controller = Controller::open(self.room().cluster.clone(), options()).await;
        let controller = controller.unwrap_or_else(|error| panic!("{error}"));
        let controller = tokio::spawn(async move { controller.run(std::future::pending()).await });
        Engine { replicas: [first, second], controller }
    }
}

/// An environment as the operator writes it.
fn environment(conditions: Conditions) -> Environment {
    let Conditions { max_jobs, max_queued, max_queued_per_account, upload_bytes_per_account: _ } = conditions;
    let spec = EnvironmentSpec {
        description: "conformance".to_owned(),
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
        images: Vec::new(),
    };
    Environment::new("conformance", spec)
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

impl Fixture for Installation {
    /// Ends the controller wherever it is, and drops the replicas.
    fn open(&mut self, conditions: Conditions) -> FixtureFuture<'_, Arc<dyn Backend>> {
        Box::pin(async move {
            if let Some(mut engine) = self.engine.take() {
                engine.controller.abort();
                let _ = (&mut engine.controller).await;
            }
            self.set_up(conditions).await;
            let engine = self.start(conditions).await;
            let first = Arc::clone(&engine.replicas[0]);
            self.engine = Some(engine);
            first as Arc<dyn Backend>
        })
    }

    fn environment(&self) -> String {
        "conformance".to_owned()
    }

    fn replica(&self) -> Option<Arc<dyn Backend>> {
        self.engine.as_ref().map(|engine| Arc::clone(&engine.replicas[1]) as Arc<dyn Backend>)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

conformance_tests!(installation, #[ignore = "needs an API server: make test-k8s"], except {
    // The log of an algorithm that runs comes from its kubelet by way of the API server, and this node serves no requests:
    // the tests on a whole cluster see to it.
    outputs::a_log_has_a_length_and_an_end,
});
