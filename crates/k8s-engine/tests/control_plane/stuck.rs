//! A claim that something does not let go of: its job has ended and holds no place, and the controller counts the claim.

use crate::{controller::Installation, program::Program};
use cloister_model::{JobId, Phase};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Waits until the controller counts so many volumes that are being deleted.
async fn counts(engine: &Program, volumes: u64) {
    let line = format!("\ncloister_engine_leaving_volumes {volumes}\n");
    engine.until("/metrics", |(status, text)| *status == 200 && text.contains(&line)).await;
}

/// Sets who has to let go of the claim of a job before it is gone.
async fn hold(claims: &Api<PersistentVolumeClaim>, job: JobId, finalizers: &[&str]) {
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    claims.patch(&format!("{job}-data"), &PatchParams::default(), &patch).await.expect("patched");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_claim_that_does_not_go_is_counted_and_its_job_holds_no_place() {
    let installation = Installation::open(1).await;
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(installation.room.client(), &installation.room.cluster.namespaces().jobs);
    installation.hold(Some("-a"));
    let engine = Program::start(&installation.room, &[]);
    counts(&engine, 0).await;
    let first = installation.submit(1).await;
    installation.shown(&format!("{first}-a")).await;
    hold(&claims, first, &["kubernetes.io/pvc-protection", "cloister.dev/test"]).await;
    installation.hold(None);
    assert_eq!(installation.ended(first).await.phase, Phase::Finished);
    counts(&engine, 1).await;
    let claim = claims.get(&format!("{first}-data")).await.expect("the claim");
    assert!(claim.metadata.deletion_timestamp.is_some(), "{claim:?}");
    // There is one place, and its own volume goes.
    let second = installation.submit(2).await;
    assert_eq!(installation.ended(second).await.phase, Phase::Finished);
    counts(&engine, 1).await;
    assert!(claims.get_opt(&format!("{first}-data")).await.expect("an answer").is_some());
    hold(&claims, first, &[]).await;
    counts(&engine, 0).await;
    assert!(claims.get_opt(&format!("{first}-data")).await.expect("an answer").is_none());
    installation.nothing_is_left(&[first, second]).await;
    assert_eq!(engine.end(), Some(0));
}
