//! Why a job waits, with the resource and the number that is missing.

use crate::{controller::Installation, node::register};
use cloister_model::{JobId, Jobs as _, Phase};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::time::Duration;

/// Waits until the explanation of a job has all of these parts.
async fn explained(installation: &Installation, job: JobId, parts: &[&str]) {
    let mut text = String::new();
    for _ in 0..600 {
        text = installation.store.explain(job).await.expect("an explanation").text;
        if parts.iter().all(|part| text.contains(part)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{parts:?} are not in: {text}");
}

/// Waits until the quota is known to what enforces it.
async fn in_force(pods: &Api<Pod>) {
    let container = json!({"name": "a", "image": "registry.example/a", "resources": {"requests": {"memory": "2Mi"}}});
    let pod = json!({"metadata": {"name": "large"}, "spec": {"containers": [container]}});
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for _ in 0..600 {
        match pods.create(&dry, &pod).await {
            Err(kube::Error::Api(status)) if status.message.contains("exceeded quota") => return,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    panic!("the quota is not enforced");
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
    in_force(&pods).await;
    let job = installation.submit(2).await;
    let parts = ["exceeded quota: small", "requested: requests.memory=", "limited: requests.memory=1Mi"];
    explained(&installation, job, &parts).await;
    quotas.delete("small", &DeleteParams::default()).await.expect("deleted");
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);
    controller.abort();
}
