//! Why a job waits, with the resource and the number that is missing.

use crate::{
    controller::Installation,
    node::{self, register},
};
use cloister_model::{JobId, Jobs as _, Phase};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::{Pod, ResourceQuota},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::time::Duration;

/// Waits until the explanation of a job has all of these parts.
async fn explained(installation: &Installation, job: JobId, parts: &[&str]) {
    let mut text = String::new();
    for _ in 0..crate::LOOKS {
        text = installation.store.explain(job).await.expect("an explanation").text;
        if parts.iter().all(|part| text.contains(part)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{parts:?} are not in: {text}");
}

/// Waits until a pod of this name is refused with these words, or is not any more.
async fn in_force(pods: &Api<Pod>, name: &str, words: &str, refused: bool) {
    let container = json!({"name": "a", "image": "registry.example/a", "resources": {"requests": {"memory": "2Mi"}}});
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [container]}});
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for _ in 0..crate::LOOKS {
        let answer = pods.create(&dry, &pod).await;
        let is_refused = matches!(&answer, Err(kube::Error::Api(status)) if status.message.contains(words));
        if is_refused == refused {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("`{words}`, refused: {refused}: never");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_job_that_waits_says_what_is_missing_and_how_much() {
    let installation = Installation::open(10).await;
    // A scheduler that knows no node says only that.
    register(&installation.room.client()).await;
    let controller = installation.start().await;
    installation.hold(Some("-c"));
    let job = installation.submit(1).await;
    let name = format!("{job}-c");
    installation.shown(&name).await;
    let pods: Api<Pod> = Api::namespaced(installation.room.client(), &installation.room.cluster.namespaces().jobs);
    let volume = format!("its volume {job}-data of ");
    // No provisioner makes volumes here, and the scheduler says so.
    explained(&installation, job, &[volume.as_str(), " bytes", "unbound immediate PersistentVolumeClaims"]).await;
    installation.hold(None);
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);

    // A quota, whose numbers its own controller would write.
    let quotas: Api<ResourceQuota> =
        Api::namespaced(installation.room.client(), &installation.room.cluster.namespaces().jobs);
    let hard = json!({"requests.memory": "1Mi"});
    let quota =
        serde_json::from_value(json!({"metadata": {"name": "small"}, "spec": {"hard": hard}})).expect("a quota");
    quotas.create(&PostParams::default(), &quota).await.expect("created");
    let numbers = Patch::Merge(json!({"status": {"hard": hard, "used": {"requests.memory": "0"}}}));
    quotas.patch_status("small", &PatchParams::default(), &numbers).await.expect("patched");
    in_force(&pods, "large", "exceeded quota", true).await;
    let job = installation.submit(2).await;
    let parts = ["exceeded quota: small", "requested: requests.memory=", "limited: requests.memory=1Mi"];
    explained(&installation, job, &parts).await;
    quotas.delete("small", &DeleteParams::default()).await.expect("deleted");
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);
    controller.abort();
}

/// What an operator's admission policy says reaches the people who wait for the job.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_job_whose_pod_admission_refuses_says_which_policy_and_why() {
    let installation = Installation::open(10).await;
    let namespace = &installation.room.cluster.namespaces().jobs;
    let name = format!("{namespace}-planted");
    let policy = json!({"metadata": {"name": name}, "spec": {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        },
        "validations": [{"expression": "!object.metadata.name.endsWith('-a')", "message": "the planted rule says no"}],
    }});
    let binding = json!({"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}});
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(installation.room.client());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(installation.room.client());
    let params = PostParams::default();
    policies.create(&params, &serde_json::from_value(policy).expect("a policy")).await.expect("created");
    bindings.create(&params, &serde_json::from_value(binding).expect("a binding")).await.expect("created");
    let pods: Api<Pod> = Api::namespaced(installation.room.client(), namespace);
    in_force(&pods, "x-a", "the planted rule says no", true).await;
    let controller = installation.start().await;
    let job = installation.submit(1).await;
    explained(&installation, job, &["refuses to", "the planted rule says no", name.as_str()]).await;
    // The step before it went well, and nothing is begun twice once the policy is gone.
    bindings.delete(&name, &DeleteParams::default()).await.expect("deleted");
    policies.delete(&name, &DeleteParams::default()).await.expect("deleted");
    in_force(&pods, "x-a", "the planted rule says no", false).await;
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);
    assert_eq!(installation.pods_seen(&format!("{job}-c")), 1);
    controller.abort();
}

/// What the scheduler and the kubelet say of a pod that has not begun.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_job_whose_pod_does_not_begin_says_what_its_node_says() {
    let installation = Installation::open(10).await;
    let controller = installation.start().await;
    installation.hold(Some("-c"));
    let job = installation.submit(1).await;
    let name = format!("{job}-c");
    installation.shown(&name).await;
    let pods: Api<Pod> = Api::namespaced(installation.room.client(), &installation.room.cluster.namespaces().jobs);
    let says = async |status: serde_json::Value| {
        let patch = Patch::Merge(json!({"status": status}));
        pods.patch_status(&name, &PatchParams::default(), &patch).await.expect("patched");
    };
    let message = "0/3 nodes are available: 3 Insufficient memory.";
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
    // The scheduler of the cluster says something else, again and again.
    let repeated = async {
        loop {
            says(json!({"phase": "Pending", "conditions": [condition]})).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = repeated => {}
        () = explained(&installation, job, &["it asks for ", " of memory", "0/3 nodes are available"]) => {}
    }

    // One that the cluster knows: pods of others are removed after a while.
    let binding =
        json!({"metadata": {"name": name}, "target": {"apiVersion": "v1", "kind": "Node", "name": node::NAME}});
    let binding = http::Request::post(format!(
        "/api/v1/namespaces/{}/pods/{name}/binding",
        installation.room.cluster.namespaces().jobs
    ))
    .header("content-type", "application/json")
    .body(binding.to_string().into_bytes())
    .expect("a request");
    installation.room.client().request::<serde_json::Value>(binding).await.expect("bound");
    for (reason, message) in [
        ("ImagePullBackOff", "Back-off pulling image registry.example/planted"),
        ("CreateContainerConfigError", "secret \"planted\" not found"),
    ] {
        let waiting = json!({"waiting": {"reason": reason, "message": message}});
        let container = json!({"name": "configure", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": waiting});
        says(json!({"phase": "Pending", "conditions": [], "containerStatuses": [container]})).await;
        explained(&installation, job, &[message.split('"').next().expect("words")]).await;
    }
    installation.hold(None);
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);
    controller.abort();
}
