//! A node for tests: takes every pod of a namespace, runs each of its containers as a process of this machine, and says of it
//! what a kubelet says.
//!
//! It stands for scheduler, kubelet, container runtime and volumes. Garbage is collected by the control plane. What a
//! container does not mount, its process does not find; beyond that, it is not kept in: that is what the tests on a whole
//! cluster are for.

mod container;
mod pod;
mod volumes;

use cloister_testkit::program;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Node as NodeObject, PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::PostParams,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use pod::Life;
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// The name of the node, the same in all tests.
pub(crate) const NAME: &str = "cloister-tests";

/// A node that works until it is dropped: then its processes are killed.
pub(crate) struct Node {
    task: JoinHandle<()>,
    machine: Arc<Machine>,
    _folders: [TempDir; 2],
}

/// What the parts of a node share.
struct Machine {
    client: Client,
    namespace: String,
    /// Where it keeps what pods alone have.
    pods: PathBuf,
    /// Where it keeps volumes.
    volumes: PathBuf,
    /// The folders of claims that were there before the node.
    given: BTreeMap<String, PathBuf>,
    cloister: PathBuf,
    sandbox: PathBuf,
    /// The exit codes of every container so far, by the names of pods.
    ends: Mutex<BTreeMap<String, Vec<i32>>>,
    /// The folders of claims that pods have used, by their names.
    found: Mutex<BTreeMap<String, PathBuf>>,
}

impl Node {
    /// Starts a node for the pods of this namespace. `given` are the folders of claims that keep theirs.
    pub(crate) async fn start(client: Client, namespace: &str, given: BTreeMap<String, PathBuf>) -> Self {
        let built = |name| program(name).unwrap_or_else(|missing| panic!("{missing}"));
        register(&client).await;
        let folder = tempfile::tempdir().expect("a folder");
        // On another file system, if there is one: in a pod, no file of a volume can be linked to where the pod works.
        let of_volumes = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let machine = Machine {
            client,
            namespace: namespace.to_owned(),
            pods: folder.path().to_owned(),
            volumes: of_volumes.path().to_owned(),
            given,
            cloister: built("cloister"),
            sandbox: built("sandbox"),
            ends: Mutex::default(),
            found: Mutex::default(),
        };
        let machine = Arc::new(machine);
        Self { task: tokio::spawn(work(Arc::clone(&machine))), machine, _folders: [folder, of_volumes] }
    }

    /// The exit codes of all containers that pods of this name have had.
    pub(crate) fn ends(&self, pod: &str) -> Vec<i32> {
        self.machine.ends.lock().unwrap_or_else(PoisonError::into_inner).get(pod).cloned().unwrap_or_default()
    }

    /// A file of the volume that this claim has now.
    pub(crate) fn file(&self, claim: &str, path: &str) -> Option<Vec<u8>> {
        let found = self.machine.found.lock().unwrap_or_else(PoisonError::into_inner).get(claim).cloned()?;
        std::fs::read(found.join(path)).ok()
    }

    /// How many volumes of jobs have a folder.
    pub(crate) fn volumes(&self) -> usize {
        std::fs::read_dir(self.machine.volumes.join("claims")).map_or(0, Iterator::count)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes the node known: pods of a node that nobody knows are removed. Nothing is scheduled to it.
pub(crate) async fn register(client: &Client) {
    register_as(client, NAME).await;
}

/// The same for a node of another name.
pub(crate) async fn register_as(client: &Client, name: &str) {
    let object = json!({"metadata": {"name": name}, "spec": {"unschedulable": true}});
    let object: NodeObject = serde_json::from_value(object).expect("a node");
    // Another test may have made it.
    let _ = Api::all(client.clone()).create(&PostParams::default(), &object).await;
}

async fn work(machine: Arc<Machine>) {
    let mut pods = std::pin::pin!(watch(machine.pods()));
    let mut claims = std::pin::pin!(watch(machine.claims()));
    let mut lives: BTreeMap<String, Life> = BTreeMap::new();
    loop {
        tokio::select! {
            Some(event) = pods.next() => match event {
                Event::Apply(pod) | Event::InitApply(pod) => {
                    let uid = pod.uid().unwrap_or_default();
                    let leaving = pod.metadata.deletion_timestamp.is_some();
                    let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
                    let life = lives.entry(uid).or_insert_with(|| Life::begin(Arc::clone(&machine), pod));
                    if leaving {
                        life.end(u64::try_from(seconds).unwrap_or(0));
                    }
                }
                // Its processes are killed, if it has any left.
                Event::Delete(pod) => drop(lives.remove(&pod.uid().unwrap_or_default())),
                Event::Init | Event::InitDone => {}
            },
            Some(event) = claims.next() => {
                if let Event::Delete(claim) = event {
                    machine.forget(&claim);
                }
            }
        }
    }
}

/// What happens to the objects of a kind. A watch that fails begins anew.
fn watch<K>(api: Api<K>) -> impl Stream<Item = Event<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watcher(api, watcher::Config::default()).default_backoff().filter_map(async |event| event.ok())
}

impl Machine {
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The folder of a pod.
    fn folder_of(&self, uid: &str) -> PathBuf {
        self.pods.join(uid)
    }

    fn ended(&self, pod: &str, code: i32) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).entry(pod.to_owned()).or_default().push(code);
    }

    /// The program of a container, as its image holds it.
    fn program(&self, command: &str) -> Option<&Path> {
        match command {
            "/cloister" => Some(&self.cloister),
            "/sandbox" => Some(&self.sandbox),
            _ => None,
        }
    }
}
