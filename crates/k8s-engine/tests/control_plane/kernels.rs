//! What runs say of the kernels of their nodes: an environment for WebAssembly has no canary, and shows it all the same. The test plays
//! the node of each algorithm.

use crate::{
    controller::Installation,
    endings::{self, Ending},
    node,
};
use cloister_k8s_engine::build::algorithm;
use cloister_model::{Fault, JobId, Phase, Reason, Said, StepMessage};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::Duration;

/// The code with which the sandbox ends where a wall is missing.
const NOT_ISOLATED: i32 = 5;

/// Binds the pod of a job's algorithm to the node, and says how it ended there.
async fn runs(pods: &Api<Pod>, job: JobId, ended: impl FnOnce(&Pod) -> Value) {
    let name = format!("{job}-a");
    let target = json!({"apiVersion": "v1", "kind": "Node", "name": node::NAME});
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target});
    let plain = PostParams::default();
    let bound: Result<Value, _> = pods.create_subresource("binding", &name, &plain, &binding).await;
    bound.expect("bound");
    let pod = pods.get(&name).await.expect("a pod");
    let patch = Patch::Merge(json!({"status": ended(&pod)}));
    pods.patch_status(&name, &PatchParams::default(), &patch).await.expect("patched");
}

/// The status of the environment, once its condition is this.
async fn said(installation: &Installation, wanted: &str) -> Value {
    let mut status = Value::Null;
    for _ in 0..crate::LOOKS {
        status = installation.room.read("environments", "local").await["status"].take();
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        if conditions.any(|found| found["type"] == "KernelsComplete" && found["status"] == wanted) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("its kernels are not said to be complete, or not: {wanted}: {status:#}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_environment_for_webassembly_says_which_nodes_lack_a_wall_until_a_run_is_behind_all() {
    let installation = Installation::open(1).await;
    installation.hold(Some("-a"));
    let controller = installation.start().await;
    let pods: Api<Pod> = Api::namespaced(installation.room.client(), &installation.room.cluster.namespaces().jobs);

    let lacking = installation.submit(1).await;
    installation.shown(&format!("{lacking}-a")).await;
    let reason = Reason::new("not isolated: kernel 5.0 lacks landlock: for a test", Fault::System);
    let message = StepMessage::new(lacking, Said::NotRun { reason }).write();
    let message = String::from_utf8(message).expect("text");
    let ended = json!({"exitCode": NOT_ISOLATED, "reason": "Error", "message": message});
    let container = json!({"name": algorithm::CONTAINER, "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": ended}});
    runs(&pods, lacking, |_| json!({"phase": "Failed", "containerStatuses": [container]})).await;
    assert_eq!(installation.ended(lacking).await.phase, Phase::AlgorithmFailed);
    let status = said(&installation, "False").await;
    let node = &status["isolation"]["nodes"][0];
    assert_eq!(node["node"], node::NAME, "{status:#}");
    let lacks = node["kernelLacks"][0].as_str().unwrap_or_default();
    assert!(lacks.contains("lacks landlock"), "{status:#}");

    // A newer kernel: the next run begins.
    let begins = installation.submit(2).await;
    installation.shown(&format!("{begins}-a")).await;
    runs(&pods, begins, |pod| endings::status(begins, pod, Ending::Well, true).expect("an end")).await;
    assert_eq!(installation.ended(begins).await.phase, Phase::Finished);
    let status = said(&installation, "True").await;
    assert_eq!(status["isolation"]["nodes"], json!([]), "{status:#}");
    controller.abort();
}
