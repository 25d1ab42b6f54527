//! The manifests of `deploy/kubernetes` in the namespaces of one test.

use crate::{
    cluster::Room,
    rights::{API, ENGINE, cluster_as, may},
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{fs, time::Duration};
use tempfile::NamedTempFile;

/// What does not go into a cluster without nodes, or is there already.
const LEFT_OUT: [&str; 2] = ["Namespace", "Deployment"];

/// Every object of the base, as `kubectl kustomize` gives them.
pub(crate) fn manifests() -> Vec<Value> {
    let folder = cloister_testkit::root().join("deploy/kubernetes/base");
    let read = |path: &std::path::Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let kustomization: Value =
        serde_saphyr::from_str(&read(&folder.join("kustomization.yaml"))).expect("a kustomization");
    let files = kustomization["resources"].as_array().expect("resources").iter().filter_map(Value::as_str);
    let mut all = Vec::new();
    for file in files.filter(|file| file.ends_with(".yaml")) {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&read(&folder.join(file))).expect(file);
        all.extend(documents);
    }
    assert!(all.len() > 25, "{}", all.len());
    all
}

/// An object in the namespaces of a test. Objects of the whole cluster get names of their own.
fn moved(object: &Value, room: &Room) -> Value {
    let namespaces = room.cluster.namespaces();
    let text = object.to_string();
    let text = text.replace("cloister-system", &namespaces.system).replace("cloister-jobs", &namespaces.jobs);
    let text = text.replace("cloister-assets", &namespaces.assets);
    let mut object: Value = serde_json::from_str(&text).expect("JSON");
    let own = |name: &mut Value| {
        if let Some(text) = name.as_str() {
            *name = json!(format!("{text}.{}", namespaces.jobs));
        }
    };
    if object["metadata"]["namespace"].is_null() && object["kind"] != "Namespace" {
        own(&mut object["metadata"]["name"]);
        if object["roleRef"]["kind"] == "ClusterRole" {
            own(&mut object["roleRef"]["name"]);
        }
        if object["spec"]["policyName"].is_string() {
            own(&mut object["spec"]["policyName"]);
        }
    }
    object
}

/// Sends an object. `dry`: the API server checks it, and keeps nothing.
async fn apply(room: &Room, object: &Value, dry: bool) {
    let (version, kind) = (object["apiVersion"].as_str().expect("a version"), object["kind"].as_str().expect("a kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(room.client(), namespace, &resource),
        None => Api::all_with(room.client(), &resource),
    };
    let name = object["metadata"]["name"].as_str().expect("a name");
    let mut params = PatchParams::apply("cloister-tests").force().validation_strict();
    params.dry_run = dry;
    if let Err(error) = api.patch(name, &params, &Patch::Apply(object)).await {
        panic!("the API server refuses {kind} {name}: {error}");
    }
}

/// Applies what gives rights, and checks the rest; with `admission`, what limits everybody as well.
pub(crate) async fn install(room: &Room, admission: bool) {
    for object in manifests() {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let is_admission = kind.starts_with("ValidatingAdmissionPolicy");
        let dry = LEFT_OUT.contains(&kind.as_str()) || (is_admission && !admission);
        let object = moved(&object, room);
        apply(room, &object, dry).await;
    }
    in_force(room).await;
}

/// Waits until the rights that each role gives are in force, which takes a moment.
async fn in_force(room: &Room) {
    let names = room.cluster.namespaces();
    let (system, jobs, assets) = (names.system.as_str(), names.jobs.as_str(), names.assets.as_str());
    for (account, verb, resource, namespace) in [
        (API, "get", "cloister.dev/apikeys", Some(system)),
        (API, "get", "/pods/log", Some(jobs)),
        (API, "create", "cloister.dev/algorithms", Some(assets)),
        (API, "list", "cloister.dev/datasets", None),
        (ENGINE, "create", "coordination.k8s.io/leases", Some(system)),
        (ENGINE, "create", "/pods", Some(jobs)),
        (ENGINE, "get", "cloister.dev/datasets", Some(assets)),
    ] {
        let client = cluster_as(room, account).await.client().clone();
        let mut allowed = false;
        for _ in 0..crate::LOOKS {
            allowed = may(&client, verb, resource, namespace).await;
            if allowed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(allowed, "{account} may never {verb} {resource} in {namespace:?}");
    }
}

/// The kubeconfig of this suite.
pub(crate) fn kubeconfig() -> Value {
    let path = std::env::var("KUBECONFIG").expect("a kubeconfig");
    serde_saphyr::from_str(&fs::read_to_string(path).expect("a kubeconfig")).expect("a kubeconfig")
}

/// A kubeconfig with which requests are those of a service account of the installation.
pub(crate) fn kubeconfig_as(room: &Room, account: &str) -> NamedTempFile {
    kubeconfig_of(&room.cluster.namespaces().system, account)
}

/// A kubeconfig with which requests are those of a service account of this namespace.
pub(crate) fn kubeconfig_of(namespace: &str, account: &str) -> NamedTempFile {
    let mut config = kubeconfig();
    let name = format!("system:serviceaccount:{namespace}:{account}");
    for user in config["users"].as_array_mut().expect("users") {
        user["user"]["as"] = json!(name);
    }
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), serde_saphyr::to_string(&config).expect("YAML")).expect("written");
    file
}
