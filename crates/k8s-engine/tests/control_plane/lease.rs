//! The lease between controllers.

use crate::cluster::Room;
use cloister_k8s_engine::controller::{Candidate, LEASE};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::time::Duration;

/// Longest that a candidate waits for a lease that it should get.
const LONGEST: Duration = Duration::from_secs(300);

/// Longer than the lease lasts without being renewed.
const WHILE: Duration = Duration::from_secs(20);

/// How often the first test tries, because the machine may stand still for longer than the lease lasts.
const ATTEMPTS: u32 = 3;

async fn holder(api: &Api<Lease>) -> String {
    let lease = api.get(LEASE).await.expect("the lease");
    lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn one_holds_the_lease_and_the_other_takes_over_from_one_that_was_killed() {
    let room = Room::open().await;
    let api: Api<Lease> = Api::namespaced(room.client(), &room.cluster.namespaces().system);
    let candidate = |name: &str| Candidate::new(&room.cluster, name.to_owned());
    let (mut other, mut third) = (candidate("other"), candidate("third"));
    let mut kept = None;
    for _ in 0..ATTEMPTS {
        let mut one = candidate("one");
        one.acquire().await;
        assert_eq!(holder(&api).await, "one");
        let mut keeping = tokio::spawn(async move { one.keep().await });
        let is_taken = tokio::time::timeout(WHILE, other.acquire()).await.is_ok();
        if !is_taken && !keeping.is_finished() {
            kept = Some(keeping);
            break;
        }
        // The machine stood still for longer than a lease lasts: then the first one stops. It does not do so each time.
        tokio::time::timeout(LONGEST, &mut keeping).await.expect("two hold the lease").expect("it stops");
        other.release().await;
    }
    let kept = kept.expect("one that renews its lease loses it each time");
    let transitions = async || api.get(LEASE).await.expect("the lease").spec.and_then(|spec| spec.lease_transitions);
    let before = transitions().await.unwrap_or_default();
    // Killed: it neither renews nor gives up.
    kept.abort();
    tokio::time::timeout(LONGEST, other.acquire()).await.expect("the other one takes over");
    assert_eq!(holder(&api).await, "other");
    assert_eq!(transitions().await, Some(before + 1));

    // Given up: nobody waits for its end.
    other.release().await;
    assert_eq!(holder(&api).await, "");
    let began = api.get(LEASE).await.expect("the lease").metadata.resource_version;
    third.acquire().await;
    assert_eq!(holder(&api).await, "third");
    assert_ne!(api.get(LEASE).await.expect("the lease").metadata.resource_version, began);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_holder_whose_lease_another_one_has_stops() {
    let room = Room::open().await;
    let api: Api<Lease> = Api::namespaced(room.client(), &room.cluster.namespaces().system);
    let mut one = Candidate::new(&room.cluster, "one".to_owned());
    one.acquire().await;
    // Somebody's annotation is no change of the holder.
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    api.patch(LEASE, &PatchParams::default(), &patch).await.expect("annotated");
    assert!(tokio::time::timeout(WHILE, one.keep()).await.is_err(), "it lost the lease to nobody");
    let patch = Patch::Merge(json!({"spec": {"holderIdentity": "other"}}));
    api.patch(LEASE, &PatchParams::default(), &patch).await.expect("taken");
    tokio::time::timeout(LONGEST, one.keep()).await.expect("it stops");
    // What it gives up is nothing any more.
    one.release().await;
    assert_eq!(holder(&api).await, "other");
}
