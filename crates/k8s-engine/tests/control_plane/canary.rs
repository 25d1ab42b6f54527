//! Canaries: for each environment on the nodes that it selects, one after the other, and what they find is a condition of that
//! environment alone. The test plays the nodes.

use crate::{cluster::Room, controller::Installation, node::register_as};
use cloister_k8s_engine::build::container::CONTAINER;
use cloister_model::{CanaryMessage, CanaryVersion};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::time::Duration;

/// An environment for containers on the nodes of a pool.
async fn environment(room: &Room, pool: &str) {
    let environment = json!({
        "apiVersion": "cloister.dev/v1alpha1",
        "kind": "Environment",
        "metadata": {"name": pool},
        "spec": {
            "limits": {"jobs": 1, "queued": 1, "cpus": 1, "memoryBytes": 1, "jobMemoryBytes": 1, "wallMs": 1},
            "runtimes": {"kinds": ["wasm", "container"], "registries": ["registry.example/team"], "runtimeClass": pool},
            "nodeSelector": {"pool": pool},
            "tolerations": [{"key": pool, "operator": "Exists"}],
            "storage": {"class": pool, "bytes": 1_u64 << 30},
        },
    });
    room.create_strictly("environments", &environment).await.expect("an environment");
}

async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..crate::LOOKS {
        if let Some(found) = found().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("gave up waiting for {what}");
}

/// Binds a pod to a node.
async fn bind(room: &Room, pod: &str, node: &str) {
    register_as(&room.client(), node).await;
    let namespace = &room.cluster.namespaces().jobs;
    let binding = json!({"metadata": {"name": pod}, "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
    let binding = http::Request::post(format!("/api/v1/namespaces/{namespace}/pods/{pod}/binding"))
        .header("content-type", "application/json")
        .body(binding.to_string().into_bytes())
        .expect("a request");
    room.client().request::<Value>(binding).await.expect("bound");
}

/// Ends the canary of a pool, which has said this. `open`: it reached something until its end.
async fn ends(room: &Room, pool: &str, open: bool) {
    let namespace = &room.cluster.namespaces().jobs;
    let (name, params) = (format!("canary-{pool}"), PatchParams::default());
    let reached = open.then(|| "the internet".to_owned());
    let said = CanaryMessage {
        version: CanaryVersion::V1,
        tried_ms: 30_000,
        reached_until_ms: open.then_some(30_000),
        reached: reached.into_iter().collect(),
        volume_bytes: Some(1 << 30),
        kernel_lacks: vec![format!("landlock: absent: for a test of {pool}")],
    };
    let said = String::from_utf8(said.write()).expect("text");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(room.client(), namespace);
    let capacity = Patch::Merge(json!({"status": {"capacity": {"storage": "1Gi"}}}));
    claims.patch_status(&name, &params, &capacity).await.expect("patched");
    let terminated = json!({"exitCode": 0, "reason": "Completed", "message": said});
    let container = json!({"name": CONTAINER, "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": terminated}});
    let ended = Patch::Merge(json!({"status": {"phase": "Succeeded", "containerStatuses": [container]}}));
    let pods: Api<Pod> = Api::namespaced(room.client(), namespace);
    pods.patch_status(&name, &params, &ended).await.expect("patched");
}

/// A condition of an environment.
fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn each_environment_has_canaries_on_its_nodes_and_conditions_of_its_own() {
    let installation = Installation::open(1).await;
    let room = &installation.room;
    // The API server takes no pod of a runtime class that it does not know.
    let classes: Api<k8s_openapi::api::node::v1::RuntimeClass> = Api::all(room.client());
    for pool in ["closed", "open"] {
        let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": pool}, "handler": pool});
        classes.patch(pool, &PatchParams::apply("tests"), &Patch::Apply(&class)).await.expect("a runtime class");
        environment(room, pool).await;
    }
    let controller = installation.start().await;
    let pods: Api<Pod> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
    for pool in ["closed", "open"] {
        let name = format!("canary-{pool}");
        let pod = until(&name, async || pods.get_opt(&name).await.expect("an answer")).await;
        let spec = pod.spec.expect("a spec");
        assert_eq!(spec.node_selector.expect("a selector").get("pool").map(String::as_str), Some(pool));
        assert!(spec.tolerations.iter().flatten().any(|toleration| toleration.key.as_deref() == Some(pool)));
        assert_eq!(spec.runtime_class_name.as_deref(), Some(pool));
        bind(room, &name, &format!("node-{pool}")).await;
        ends(room, pool, pool == "open").await;
    }
    for (pool, network) in [("closed", "True"), ("open", "False")] {
        let status = until(pool, async || {
            let status = room.read("environments", pool).await["status"].take();
            status["isolation"].is_object().then_some(status)
        })
        .await;
        assert_eq!(status["isolation"]["nodes"][0]["node"], format!("node-{pool}"), "{status:#}");
        let lacks = json!([format!("landlock: absent: for a test of {pool}")]);
        assert_eq!(status["isolation"]["nodes"][0]["kernelLacks"], lacks, "{status:#}");
        for (kind, expected) in [("NetworkPolicyEnforced", network), ("StorageWorks", "True")] {
            assert_eq!(condition(&status, kind)["status"], expected, "{pool}: {kind}: {status:#}");
        }
    }
    // The next one goes to another node, and what it finds there counts for the environment.
    let next = async || {
        let affinity = pods.get_opt("canary-closed").await.expect("an answer")?.spec?.affinity?;
        serde_json::to_value(affinity).ok()
    };
    let affinity = until("a canary for another node", next).await;
    let wanted = "/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/preference/matchFields";
    let other = json!([{"key": "metadata.name", "operator": "NotIn", "values": ["node-closed"]}]);
    assert_eq!(affinity.pointer(wanted), Some(&other), "{affinity:#}");
    bind(room, "canary-closed", "node-other").await;
    ends(room, "closed", true).await;
    let found = until("what it found", async || {
        let status = room.read("environments", "closed").await["status"].take();
        let found = condition(&status, "NetworkPolicyEnforced").clone();
        (found["status"] == "False").then_some(found)
    })
    .await;
    assert!(found["message"].as_str().is_some_and(|text| text.contains("(node node-other; 2 nodes")), "{found:#}");
    // Where only WebAssembly runs, nobody looks.
    assert_eq!(room.read("environments", "local").await.get("status"), None);
    controller.abort();
}
