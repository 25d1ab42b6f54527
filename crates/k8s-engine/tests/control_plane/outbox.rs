//! No effect without its record, when the process that made the change was killed before it wrote the record.

use crate::cluster::{Room, options};
use cloister_k8s_engine::{ClusterStore, resources::ApiKey};
use cloister_model::{AuditAction, AuditEvent, AuditLog as _, Keyring as _, Timestamp};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::time::Duration;

/// The annotation as a process leaves it that was killed after its change.
fn left_behind(id: &str, event: &AuditEvent) -> serde_json::Value {
    let pending = json!([{"id": id, "event": event}]).to_string();
    json!({"annotations": {"cloister.dev/audit-pending": pending}, "labels": {"cloister.dev/audit-pending": "true"}})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_change_whose_process_was_killed_is_on_record_once() {
    let room = Room::open().await;
    let long_ago = Timestamp::from_unix_ms(cloister_testkit::now().unix_ms() - 120_000);
    let api: Api<ApiKey> = Api::namespaced(room.client(), &room.cluster.namespaces().system);
    let mut expected = Vec::new();
    for number in 0..5_u64 {
        let id = format!("{number:016x}");
        let event = AuditEvent { subject: id.clone(), ..cloister_testkit::event(AuditAction::KeyCreated, long_ago) };
        let key = ApiKey::of(&cloister_testkit::api_key(&id, "alice", long_ago));
        api.create(&PostParams::default(), &key).await.expect("a key");
        let patch = json!({"metadata": left_behind(&format!("{number:032x}"), &event)});
        api.patch(&id, &PatchParams::default(), &Patch::Merge(patch)).await.expect("an event");
        expected.push(event);
    }
    // Both sweep, and a revocation puts one of them on record as well.
    let folder = tempfile::tempdir().expect("a folder");
    let replicas = [
        ClusterStore::open(room.cluster.clone(), options(folder.path(), "one")).await.expect("a replica"),
        ClusterStore::open(room.cluster.clone(), options(folder.path(), "two")).await.expect("a replica"),
    ];
    let revoked = AuditEvent { subject: "0".repeat(16), ..cloister_testkit::event(AuditAction::KeyRevoked, long_ago) };
    let id = "0".repeat(16).parse().expect("an id");
    replicas[0].revoke_key(id, cloister_testkit::now(), revoked.clone()).await.expect("revoked");
    expected.push(revoked);
    let mut left = 1;
    for _ in 0..crate::LOOKS {
        let keys =
            api.list(&kube::api::ListParams::default().labels("cloister.dev/audit-pending")).await.expect("keys");
        left = keys.items.len();
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(left, 0, "events stay in their objects");
    let records = replicas[1].records(0, 100).await.expect("records");
    let mut last = None;
    for record in &records {
        record.verify(last).expect("a chain");
        last = Some((record.sequence, record.hash));
    }
    let mut found: Vec<AuditEvent> = records.into_iter().map(|record| record.event).collect();
    let order = |one: &AuditEvent, other: &AuditEvent| (&one.subject, one.action).cmp(&(&other.subject, other.action));
    found.sort_by(order);
    expected.sort_by(order);
    assert_eq!(found, expected);
}

/// A user who may change an object's metadata keeps only that object from the record.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_object_whose_events_cannot_be_read_holds_up_no_other() {
    let room = Room::open().await;
    let long_ago = Timestamp::from_unix_ms(cloister_testkit::now().unix_ms() - 120_000);
    let api: Api<ApiKey> = Api::namespaced(room.client(), &room.cluster.namespaces().system);
    let event = AuditEvent { subject: "b".repeat(16), ..cloister_testkit::event(AuditAction::KeyCreated, long_ago) };
    let changed =
        json!({"annotations": {"cloister.dev/audit-pending": "[]]"}, "labels": {"cloister.dev/audit-pending": "true"}});
    // The API server lists them by their names.
    for (id, metadata) in [("a".repeat(16), changed), ("b".repeat(16), left_behind(&"b".repeat(32), &event))] {
        let key = ApiKey::of(&cloister_testkit::api_key(&id, "alice", long_ago));
        api.create(&PostParams::default(), &key).await.expect("a key");
        let patch = Patch::Merge(json!({"metadata": metadata}));
        api.patch(&id, &PatchParams::default(), &patch).await.expect("an event");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let replica = ClusterStore::open(room.cluster.clone(), options(folder.path(), "one")).await.expect("a replica");
    let mut found = Vec::new();
    for _ in 0..crate::LOOKS {
        found = replica.records(0, 100).await.expect("records").into_iter().map(|record| record.event).collect();
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(found, [event]);
}
