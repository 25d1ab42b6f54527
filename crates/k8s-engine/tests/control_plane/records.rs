//! Old records of the audit log leave the API server, and the log stays one chain.

use crate::{
    archive::archived_files,
    cluster::{Room, options},
};
use cloister_k8s_engine::{
    ArchiveOptions, ClusterStore, StoreOptions,
    resources::{ApiKey, ComputeJob, ComputeJobStatus},
};
use cloister_model::{
    Archived, AuditAction, AuditEvent, AuditLog as _, AuditRecord, Jobs as _, Phase, StoreError, Timestamp,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{collections::BTreeSet, fs, path::Path, time::Duration};

/// Records go as soon as there are a few objects with them.
const SOON: ArchiveOptions = ArchiveOptions {
    after: Duration::from_secs(86_400),
    most: 1000,
    settle: Duration::from_secs(1),
    records_after: Duration::from_secs(2),
    pieces: 4,
    ids_after: Duration::from_secs(3600),
    receipts: 10,
};

/// A replica with a folder of this name. One that cannot begin in time is started again.
async fn replica(room: &Room, folder: &Path, name: &str) -> ClusterStore {
    let mut last = None;
    for _ in 0..10 {
        let options = StoreOptions { archive: SOON, ..options(folder, name) };
        match ClusterStore::open(room.cluster.clone(), options).await {
            Ok(store) => return store,
            Err(error) => last = Some(error),
        }
    }
    panic!("no replica begins: {last:?}");
}

fn event(number: u64) -> AuditEvent {
    let detail = format!("PLANTED-{number}");
    AuditEvent { detail, ..cloister_testkit::event(AuditAction::ResultDownloaded, cloister_testkit::now()) }
}

fn configs(room: &Room) -> Api<ConfigMap> {
    Api::namespaced(room.client(), &room.cluster.namespaces().system)
}

async fn named(room: &Room, label: &str) -> BTreeSet<String> {
    let found = configs(room).list_metadata(&ListParams::default().labels(label)).await.expect("a list");
    found.items.iter().map(|object| object.name_any()).collect()
}

/// Segments that count.
async fn segments(room: &Room) -> BTreeSet<String> {
    let wanted = ListParams::default().labels("cloister.dev/audit=sealed");
    let found = configs(room).list_metadata(&wanted).await.expect("a list");
    let counting =
        found.items.into_iter().filter(|object| object.annotations()["cloister.dev/audit-segment"].contains("sha256"));
    counting.map(|object| object.name_any()).collect()
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..crate::LOOKS {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

/// Waits until no more pieces are in the API server than stay there.
async fn until_sealed(room: &Room) {
    until("the records leave the API server", async || {
        named(room, "cloister.dev/audit=records").await.len() <= SOON.pieces && !segments(room).await.is_empty()
    })
    .await;
}

/// All records, which follow from this one.
async fn chain(replica: &ClusterStore, mut last: Option<(u64, cloister_model::Sha256)>) -> Vec<AuditRecord> {
    let after = last.map_or(0, |(sequence, _)| sequence);
    let records = replica.records(after, 10_000).await.expect("records");
    for record in &records {
        record.verify(last).expect("a chain");
        last = Some((record.sequence, record.hash));
    }
    records
}

fn events(records: &[AuditRecord]) -> Vec<AuditEvent> {
    records.iter().map(|record| record.event.clone()).collect()
}

/// The annotation as a process leaves it that was killed after its change.
fn left_behind(event: &AuditEvent) -> serde_json::Value {
    let pending = json!([{"id": format!("{:032x}", 77), "event": event}]).to_string();
    json!({"metadata": {
        "annotations": {"cloister.dev/audit-pending": pending},
        "labels": {"cloister.dev/audit-pending": "true"},
    }})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn old_records_leave_the_api_server_and_the_log_is_one_chain() {
    let room = Room::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let replicas = [replica(&room, folder.path(), "a").await, replica(&room, folder.path(), "b").await];
    // One event is put on record by a sweep, because the process that made the change was killed.
    let long_ago = Timestamp::from_unix_ms(cloister_testkit::now().unix_ms() - 120_000);
    let swept = cloister_testkit::event(AuditAction::KeyCreated, long_ago);
    let (keys, id): (Api<ApiKey>, _) =
        (Api::namespaced(room.client(), &room.cluster.namespaces().system), "a".repeat(16));
    let key = ApiKey::of(&cloister_testkit::api_key(&id, "alice", long_ago));
    keys.create(&PostParams::default(), &key).await.expect("a key");
    let leave = async || {
        let patch = Patch::Merge(left_behind(&swept));
        keys.patch(&id, &PatchParams::default(), &patch).await.expect("an event");
        let pending = ListParams::default().labels("cloister.dev/audit-pending");
        until("the sweep", async || keys.list(&pending).await.expect("keys").items.is_empty()).await;
    };
    leave().await;
    let mut expected = vec![swept.clone()];
    let mut write = async |number: u64| {
        let event = event(number);
        replicas[usize::from(number.is_multiple_of(2))].record(vec![event.clone()]).await.expect("on record");
        expected.push(event);
    };
    for number in 0..30 {
        write(number).await;
    }
    until_sealed(&room).await;
    // The chain goes on, in a process that has read nothing yet, too.
    for number in 30..34 {
        write(number).await;
    }
    let fresh = replica(&room, folder.path(), "c").await;
    let record = event(34);
    fresh.record(vec![record.clone()]).await.expect("on record");
    expected.push(record);
    for replica in replicas.iter().chain([&fresh]) {
        let records = chain(replica, None).await;
        assert_eq!(events(&records), expected);
        for (after, at_most) in [(0, 1), (3, 2), (20, 100), (33, 2), (34, 1), (35, 1), (36, 1), (0, 0)] {
            let (from, to) =
                (usize::try_from(after).expect("few").min(36), usize::try_from(after + at_most).expect("few"));
            let page = replica.records(after, u32::try_from(at_most).expect("few")).await.expect("records");
            assert_eq!(page, records[from..to.min(36)], "{after} {at_most}");
        }
    }
    // A process was killed before it took the event out of its object: it is on record, though no piece has it any more.
    leave().await;
    let records = chain(&fresh, None).await;
    assert_eq!(events(&records), expected);

    // Nothing of it can be read in the store.
    let results = folder.path().join("results");
    for name in archived_files(&results, "audit-") {
        let bytes = fs::read(results.join("archive").join(name)).expect("a file");
        assert!(!bytes.windows(8).any(|window| window == b"PLANTED-"));
    }

    // An operator takes out records that are in a segment: those of later ones stay.
    let before = segments(&room).await;
    let (through, hash) = records.iter().map(|record| (record.sequence, record.hash)).nth(19).expect("20 records");
    let archived = Archived { through, hash };
    let said = AuditEvent {
        action: AuditAction::AuditArchived,
        detail: serde_json::to_string(&archived).expect("json"),
        ..event(99)
    };
    let wrong = Archived { through: through + 1, hash };
    assert_eq!(replicas[0].archive(wrong, said.clone()).await, Err(StoreError::Missing));
    replicas[0].archive(archived, said.clone()).await.expect("taken out");
    for replica in replicas.iter().chain([&fresh]) {
        let left = replica.records(0, 10_000).await.expect("records");
        let first = left.first().expect("records").sequence;
        assert!((2..=through + 1).contains(&first), "{first}");
        let last = first.checked_sub(2).and_then(|place| records.get(usize::try_from(place).expect("few")));
        let left = chain(replica, last.map(|last| (last.sequence, last.hash))).await;
        assert_eq!(left.last().map(|record| &record.event), Some(&said));
        assert_eq!(left.len() as u64, 38 - first, "records are missing");
    }
    let after = segments(&room).await;
    assert!(!after.contains(before.first().expect("a segment")), "{before:?} {after:?}");
    // What is in the store is what is named, and nothing else.
    until("what was taken out goes", async || archived_files(&results, "audit-").len() == segments(&room).await.len())
        .await;
}

/// The ids of events in the objects of segments.
async fn ids(room: &Room) -> BTreeSet<u128> {
    let wanted = ListParams::default().labels("cloister.dev/audit=sealed");
    let found = configs(room).list(&wanted).await.expect("a list");
    let stored = found.items.into_iter().filter_map(|object| object.binary_data?.remove("ids"));
    stored.flat_map(|ids| ids.0.as_chunks::<16>().0.to_vec()).map(u128::from_be_bytes).collect()
}

/// The API server forgets which events old records are about, as soon as no object has them, so that nothing brings them again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn events_that_no_object_has_are_forgotten() {
    const FORGETFUL: ArchiveOptions = ArchiveOptions { ids_after: Duration::from_secs(2), ..SOON };
    let room = Room::open().await;
    room.create("environments", &crate::controller::environment(1)).await.expect("an environment");
    let folder = tempfile::tempdir().expect("a folder");
    let options = StoreOptions { archive: FORGETFUL, ..options(folder.path(), "a") };
    let replica = ClusterStore::open(room.cluster.clone(), options).await.expect("a replica");
    let now = cloister_testkit::now();
    let job = cloister_testkit::job(1, now);
    let allowed = cloister_testkit::event(AuditAction::JobAllowed, now);
    replica.submit(job.clone(), Vec::new(), allowed).await.expect("a job");
    let long_ago = Timestamp::from_unix_ms(now.unix_ms() - 120_000);
    let pending = |ids: &[u128]| {
        let event = |id: &u128| {
            let event = cloister_testkit::event(AuditAction::JobStopped, long_ago);
            json!({"id": format!("{id:032x}"), "event": AuditEvent { detail: id.to_string(), ..event }})
        };
        ids.iter().map(event).collect::<serde_json::Value>().to_string()
    };
    // The status of the job has an event as the controller leaves it, which cannot look into the store of results.
    let jobs: Api<ComputeJob> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
    let mut status = ComputeJobStatus::of(&cloister_testkit::status_in(Phase::Queued, job.id, now), None, None);
    status.records = Some(pending(&[78]));
    let patch = Patch::Merge(json!({"status": status}));
    jobs.patch_status(&job.id.to_string(), &PatchParams::default(), &patch).await.expect("the controller's write");
    // A sweep puts it on record, and another one.
    let (keys, id): (Api<ApiKey>, _) =
        (Api::namespaced(room.client(), &room.cluster.namespaces().system), "a".repeat(16));
    let mut key = ApiKey::of(&cloister_testkit::api_key(&id, "alice", long_ago));
    let name = "cloister.dev/audit-pending".to_owned();
    key.metadata.annotations.get_or_insert_default().insert(name.clone(), pending(&[77, 78]));
    key.metadata.labels.get_or_insert_default().insert(name, "true".to_owned());
    keys.create(&PostParams::default(), &key).await.expect("a key");
    let swept = ListParams::default().labels("cloister.dev/audit-pending");
    until("the sweep", async || keys.list(&swept).await.expect("keys").items.is_empty()).await;
    for number in 0..12 {
        replica.record(vec![event(number)]).await.expect("on record");
    }
    until_sealed(&room).await;
    until("the event of the job alone is known", async || ids(&room).await == BTreeSet::from([78])).await;
    // The controller goes on, and the job has the event no more.
    let patch = Patch::Merge(json!({"status": {"records": null}}));
    jobs.patch_status(&job.id.to_string(), &PatchParams::default(), &patch).await.expect("the controller's write");
    until("no event is known", async || ids(&room).await.is_empty()).await;
    let records = chain(&replica, None).await;
    for wanted in ["77", "78"] {
        assert_eq!(records.iter().filter(|record| record.event.detail == wanted).count(), 1, "{wanted}");
    }
}

/// Credentials of the store alone change no record, and one that is lost is missed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn records_that_were_changed_in_the_store_are_missed_and_not_believed() {
    let room = Room::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let first = replica(&room, folder.path(), "a").await;
    for number in 0..12 {
        first.record(vec![event(number)]).await.expect("on record");
    }
    until_sealed(&room).await;
    let expected = chain(&first, None).await;
    // No replica has read them, or goes on sealing.
    drop(first);
    let place = folder.path().join("results/archive");
    let files: Vec<_> =
        archived_files(&folder.path().join("results"), "audit-").into_iter().map(|name| place.join(name)).collect();
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
    for (round, wrong) in [None, Some(Vec::new()), Some(whole[0][1..].to_vec())].into_iter().enumerate() {
        for file in &files {
            match &wrong {
                Some(wrong) => fs::write(file, wrong).expect("written"),
                None => fs::remove_file(file).expect("removed"),
            }
        }
        let replica = replica(&room, folder.path(), &format!("b{round}")).await;
        let answer = replica.records(0, 100).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        // The chain goes on: its end is in the API server.
        replica.record(vec![event(100)]).await.expect("on record");
    }
    for (file, bytes) in files.iter().zip(&whole) {
        fs::write(file, bytes).expect("restored");
    }
    let last = replica(&room, folder.path(), "c").await;
    let records = chain(&last, None).await;
    assert_eq!(records[..12], expected);
    assert_eq!(records.len(), 15);
}

/// Replicas are killed wherever they are while they write and seal: every record that was stored is there once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn replicas_that_are_killed_while_they_seal_lose_no_record() {
    let room = Room::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut stored = BTreeSet::new();
    for round in 0..16_u64 {
        let names = [0, 1].map(|which| format!("{round}-{which}"));
        let replicas = [replica(&room, folder.path(), &names[0]).await, replica(&room, folder.path(), &names[1]).await];
        for number in 0..6_u64 {
            let event = event(round * 10 + number);
            replicas[usize::from(number.is_multiple_of(2))].record(vec![event.clone()]).await.expect("on record");
            stored.insert(event.detail);
        }
        tokio::time::sleep(Duration::from_millis(round * 389 % 4000)).await;
        drop(replicas);
    }
    let last = replica(&room, folder.path(), "last").await;
    until_sealed(&room).await;
    let records = chain(&last, None).await;
    let found: BTreeSet<String> = records.iter().map(|record| record.event.detail.clone()).collect();
    assert_eq!(found, stored);
    assert_eq!(records.len(), stored.len(), "a record is there twice");
}
