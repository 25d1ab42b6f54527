//! An API server, with the definitions installed and namespaces of one test.

use cloister_k8s_engine::{ArchiveOptions, Cluster, Namespaces, StoreOptions, resources::definitions};
use cloister_results::{ResultStore, StoreConfig};
use cloister_sources::SourcePolicy;
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
    core::Status,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Field manager of what tests apply.
const TESTS: &str = "cloister-tests";

/// Namespaces of one test. They are deleted when it has ended, whatever its end.
pub(crate) struct Room {
    pub(crate) cluster: Cluster,
    names: Vec<String>,
}

fn unset() -> ! {
    panic!("KUBECONFIG does not name a cluster: run `make test-k8s`, which starts one")
}

/// The settings of a replica with this home, and the store of results that the replicas of a test share.
pub(crate) fn options(folder: &Path, replica: &str) -> StoreOptions {
    let url = format!("file://{}", folder.join("results").display());
    let results = ResultStore::open(&StoreConfig { url, options: BTreeMap::new() }).expect("a store of results");
    StoreOptions {
        home: folder.join(replica),
        cache_bytes: 64 << 20,
        sources: SourcePolicy {
            allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
            ..SourcePolicy::default()
        },
        results: Arc::new(results),
        archive: ArchiveOptions::default(),
    }
}

/// The definitions are installed, once for all tests of this process.
static INSTALLED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();

/// A name that no other test has.
fn fresh(kind: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("cloister-{kind}-{}-{number}", std::process::id())
}

impl Room {
    pub(crate) async fn open() -> Self {
        if std::env::var_os("KUBECONFIG").is_none_or(|value| value.is_empty()) {
            unset();
        }
        let namespaces = Namespaces { system: fresh("system"), jobs: fresh("jobs"), assets: fresh("assets") };
        let names = vec![namespaces.system.clone(), namespaces.jobs.clone(), namespaces.assets.clone()];
        let cluster = Cluster::connect(None, namespaces).await.expect("a cluster");
        let room = Self { cluster, names };
        INSTALLED.get_or_init(|| room.install()).await;
        for name in &room.names {
            let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
            let namespace = Namespace { metadata, ..Namespace::default() };
            let api: Api<Namespace> = Api::all(room.client());
            api.create(&PostParams::default(), &namespace).await.expect("a namespace");
        }
        room
    }

    pub(crate) fn client(&self) -> Client {
        self.cluster.client().clone()
    }

    /// Applies the definitions, and waits until they are served.
    async fn install(&self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client());
        for definition in definitions() {
            let name = definition.name_any();
            let apply = PatchParams::apply(TESTS).force();
            if let Err(error) = api.patch(&name, &apply, &Patch::Apply(&definition)).await {
                panic!("the API server refuses the definition {name}: {error}");
            }
            for _ in 0..crate::LOOKS {
                let found = api.get(&name).await.expect("the definition");
                let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
                if conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Sends an object as `kubectl create --validate=false` does.
    pub(crate) async fn create(&self, plural: &str, object: &Value) -> Result<Value, String> {
        self.send("POST", plural, "", object, "").await
    }

    /// Sends an object as strict clients do.
    pub(crate) async fn create_strictly(&self, plural: &str, object: &Value) -> Result<Value, String> {
        self.send("POST", plural, "", object, "?fieldValidation=Strict").await
    }

    /// Merges a patch into an object, or into its status.
    pub(crate) async fn patch(&self, plural: &str, path: &str, patch: &Value) -> Result<Value, String> {
        self.send("PATCH", plural, path, patch, "").await
    }

    /// Reads an object.
    pub(crate) async fn read(&self, plural: &str, name: &str) -> Value {
        self.send("GET", plural, name, &Value::Null, "").await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn send(&self, method: &str, plural: &str, path: &str, body: &Value, query: &str) -> Result<Value, String> {
        self.answer(method, plural, path, body, query).await.map_err(|status| status.message)
    }

    /// Sends a request about an object of the namespace of jobs. A refusal is as the API server said it.
    pub(crate) async fn answer(
        &self,
        method: &str,
        plural: &str,
        path: &str,
        body: &Value,
        query: &str,
    ) -> Result<Value, Box<Status>> {
        let namespace = &self.cluster.namespaces().jobs;
        let slash = if path.is_empty() { "" } else { "/" };
        let uri = format!("/apis/cloister.dev/v1alpha1/namespaces/{namespace}/{plural}{slash}{path}{query}");
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(uri).header("content-type", kind);
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = request.body(body).expect("a request");
        self.client().request::<Value>(request).await.map_err(|error| match error {
            kube::Error::Api(status) => status,
            other => panic!("{other}"),
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let (client, names) = (self.client(), self.names.clone());
        // On a thread and a runtime of its own, because `drop` cannot wait on the test's. The client's worker stays on the
        // test's runtime, which therefore has several threads.
        let delete = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let api: Api<Namespace> = Api::all(client);
                for name in names {
                    let _ = api.delete(&name, &DeleteParams::default()).await;
                }
            });
        };
        let _ = std::thread::spawn(delete).join();
    }
}
