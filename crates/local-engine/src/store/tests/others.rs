//! Assets, keys, claims, and the record.

use super::store;
use crate::{
    store::{DbError, Durability, Store, Write, assets, audit, claims, claims::Holder, keys},
    testing::at,
};
use cloister_model::{
    ApiKey, Archived, Asset, AssetKind, AssetQuery, AuditAction, AuditEvent, Claim, Ddo, JobId, Role, Sha256,
    StoreError,
};
use cloister_testkit::account;
use serde_json::json;

fn asset(did: &str, owner: &str, name: &str, revision: u64) -> Asset {
    let document = json!({"id": format!("did:op:{did}"), "metadata": {"type": "dataset", "name": name}});
    Asset {
        ddo: Ddo::from_value(document).expect("a DDO"),
        owner: account(owner),
        name: name.to_owned(),
        created: at(1),
        updated: at(revision),
        revision,
        withdrawn: None,
        files: None,
    }
}

async fn put(store: &Store, asset: &Asset) -> Result<(), StoreError> {
    let asset = asset.clone();
    store.write(Durability::Process, move |write| assets::put(write, &asset, None)).await
}

/// As when the write-ahead log is removed, or an older copy of the database is put back.
#[tokio::test]
async fn a_database_that_lost_records_is_not_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    let (store, _) = store(&path);
    let record = || {
        let event = crate::testing::event(AuditAction::Released);
        let put = move |write: &mut Write<'_>| Ok(audit::record(write, event)?);
        store.write::<_, DbError, _>(Durability::Disk, put)
    };
    record().await.expect("on record");
    store.checkpoint().await.expect("in the file");
    let other = directory.path().join("other");
    std::fs::create_dir(&other).expect("made");
    let copy = other.join("cloister.db");
    std::fs::copy(&path, &copy).expect("copied");
    record().await.expect("on record");
    let note = other.join("cloister.audit-head");
    std::fs::copy(path.with_extension("audit-head"), &note).expect("copied");
    let open = || Store::open(&copy, std::sync::Arc::new(|_, _| ()));
    let error = open().expect_err("it lost a record").to_string();
    assert!(error.contains("audit record 2") && error.contains("cloister.audit-head"), "{error}");
    std::fs::remove_file(&note).expect("removed");
    let store = open().expect("the operator wants to go on without");
    assert_eq!(store.read(|db| audit::records(db, 0, 10)).expect("read").len(), 1);
}

/// A list ends at about a megabyte, and the next one goes on there.
#[tokio::test]
async fn a_list_of_large_assets_comes_in_parts() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = store(&directory.path().join("cloister.db"));
    let accounts: Vec<String> = (0..9_000).map(|number| format!("{number:0>60}")).collect();
    for did in ["a", "b", "c", "d", "e"] {
        let document = json!({
            "id": format!("did:op:{did}"), "metadata": {"type": "dataset", "name": did, "description": "x".repeat(300_000)},
            "credentials": {"allow": [{"type": "address", "values": accounts}]}
        });
        let asset = Asset { ddo: Ddo::from_value(document).expect("a DDO"), ..asset(did, "alice", did, 1) };
        put(&store, &asset).await.expect("stored");
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let query = AssetQuery { kind: AssetKind::Dataset, owner: None, after, withdrawn: false, at_most: 100 };
        let list = store.read(|db| assets::list(db, &query)).expect("a list");
        assert!((1..=2).contains(&list.assets.len()), "{}", list.assets.len());
        found.extend(list.assets.into_iter().map(|asset| asset.did.id().to_owned()));
        after = list.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn keys_that_no_longer_work_are_forgotten_but_for_the_latest() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = store(&directory.path().join("cloister.db"));
    let key = |number: u64, revoked: bool| ApiKey {
        id: format!("{number:016x}").parse().expect("an id"),
        account: account("alice"),
        role: Role::Consumer,
        label: String::new(),
        sha256: Sha256::from_bytes([7; 32]),
        created: at(number),
        expires: None,
        revoked: revoked.then(|| at(number)),
    };
    for number in 0..150 {
        let key = key(number, number != 3);
        store.write(Durability::Process, move |write| keys::put(write, &key)).await.expect("stored");
    }
    let listed = store.read(|db| keys::list(db, None)).expect("a list");
    assert_eq!(listed.len(), 101);
    assert!(listed.iter().any(|key| key.created == at(3)), "one that works stays");
    assert!(listed.iter().any(|key| key.created == at(149)) && !listed.iter().any(|key| key.created == at(10)));
}

#[tokio::test]
async fn a_nonce_counts_once_and_is_forgotten_after_its_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = store(&directory.path().join("cloister.db"));
    let claim = |who: &str, nonce: &str, until, now| {
        let claim = Claim::nonce(&account(who), nonce, at(until));
        store.write::<_, DbError, _>(Durability::Process, move |write| {
            claims::purge(write, at(now))?;
            Ok(claims::take(write, &claim, Holder::Other)?)
        })
    };
    let address = "0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE1";
    assert_eq!(claim(address, "1", 100, 0).await, Ok(true));
    assert_eq!(claim(&address.to_lowercase(), "1", 100, 0).await, Ok(false));
    assert_eq!(claim("bob", "1", 100, 0).await, Ok(true));
    assert_eq!(claim(address, "1", 200, 100).await, Ok(false));
    assert_eq!(claim(address, "2", 200, 101).await, Ok(true));
    let left = store.read(|db| Ok(db.query_row("SELECT count(*) FROM claim", [], |row| row.get::<_, i64>(0))?));
    assert_eq!(left, Ok(1));
}

#[tokio::test]
async fn a_name_has_one_holder_and_the_job_that_claimed_it_registers_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = store(&directory.path().join("cloister.db"));
    let [holder, other] = [1, 2].map(|number| JobId::from_bytes([number; 16]));
    let claim = |name: &str, job| {
        let claim = Claim::asset_name(&account("alice"), AssetKind::Dataset, name);
        store.write::<_, DbError, _>(Durability::Process, move |write| {
            Ok(claims::take(write, &claim, Holder::Job(job))?)
        })
    };
    let put = |asset: Asset, by| {
        store.write::<(), StoreError, _>(Durability::Process, move |write| assets::put(write, &asset, by))
    };
    let give_up =
        |job| store.write::<(), DbError, _>(Durability::Process, move |write| Ok(claims::give_up_all(write, job)?));
    assert_eq!(claim("one", holder).await, Ok(true));
    assert_eq!(claim("one", other).await, Ok(false));
    assert_eq!(put(asset("a", "alice", "one", 1), None).await, Err(StoreError::Conflict));
    assert_eq!(put(asset("a", "alice", "one", 1), Some(other)).await, Err(StoreError::Conflict));
    put(asset("b", "bob", "one", 1), None).await.expect("another owner");
    put(asset("a", "alice", "one", 1), Some(holder)).await.expect("what the job registers");
    // The asset has its name for good, also when the job has ended.
    give_up(holder).await.expect("given up");
    assert_eq!(claim("one", other).await, Ok(false));
    // An asset that gets another name frees the first one.
    put(asset("a", "alice", "two", 2), None).await.expect("renamed");
    assert_eq!(claim("two", other).await, Ok(false));
    assert_eq!(claim("one", other).await, Ok(true));
    give_up(other).await.expect("given up");
    put(asset("c", "alice", "one", 1), None).await.expect("free again");
}

/// What was archived is taken out from the beginning, on record, and nothing else ever is.
#[tokio::test]
async fn what_is_archived_is_taken_out_and_the_rest_is_a_chain() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    let events = |number: u64| event_of(AuditAction::Released, number, json!({ "n": number }).to_string());
    let (store, _) = store(&path);
    for number in 0..5 {
        record(&store, events(number)).await;
    }
    let all = store.read(|db| audit::records(db, 0, 9)).expect("records");
    let archive = |through: u64, hash: Sha256| {
        let archived = Archived { through, hash };
        let detail = serde_json::to_string(&archived).expect("json");
        let event = event_of(AuditAction::AuditArchived, 9, detail);
        store.write::<_, StoreError, _>(Durability::Disk, move |write| audit::archive(write, archived, event))
    };
    for (through, hash) in [(3, all[1].hash), (6, all[4].hash), (0, all[0].hash), (u64::MAX, all[0].hash)] {
        assert_eq!(archive(through, hash).await, Err(StoreError::Missing), "{through}");
    }
    assert_eq!(store.read(|db| audit::records(db, 0, 9)).expect("records"), all, "a refusal changes nothing");
    archive(3, all[2].hash).await.expect("archived");
    let left = store.read(|db| audit::records(db, 0, 9)).expect("records");
    assert_eq!(left.iter().map(|record| record.sequence).collect::<Vec<_>>(), [4, 5, 6]);
    let mut last = Some((3, all[2].hash));
    for record in &left {
        record.verify(last).expect("the chain goes on");
        last = Some((record.sequence, record.hash));
    }
    assert_eq!(left.last().and_then(Archived::of), Some(Archived { through: 3, hash: all[2].hash }));
    for sql in ["DELETE FROM audit", "DELETE FROM audit WHERE sequence = 4", "UPDATE audit SET record = ''"] {
        let tried: Result<(), DbError> =
            store.write(Durability::Process, move |write| Ok(write.db.execute_batch(sql)?)).await;
        assert!(tried.expect_err("refused").to_string().contains("only grows"), "{sql}");
    }
    assert_eq!(archive(3, all[2].hash).await, Err(StoreError::Missing), "it is archived already");
}

/// A note of the last record that was not flushed before a power cut may name one that was archived since.
#[tokio::test]
async fn an_old_note_of_an_archived_record_is_no_alarm() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    let note = path.with_extension("audit-head");
    let old = {
        let (store, _) = store(&path);
        record(&store, event_of(AuditAction::Released, 1, "{}".to_owned())).await;
        let old = std::fs::read(&note).expect("a note");
        record(&store, event_of(AuditAction::Released, 2, "{}".to_owned())).await;
        let second = store.read(|db| audit::records(db, 1, 1)).expect("records").remove(0);
        let archived = Archived { through: 2, hash: second.hash };
        let event = event_of(AuditAction::AuditArchived, 3, serde_json::to_string(&archived).expect("json"));
        let archive = move |write: &mut Write<'_>| audit::archive(write, archived, event);
        store.write::<_, StoreError, _>(Durability::Disk, archive).await.expect("archived");
        old
    };
    std::fs::write(&note, old).expect("written");
    let (store, _) = store(&path);
    assert_eq!(store.read(|db| audit::records(db, 0, 9)).expect("records").len(), 1);
}

fn event_of(action: AuditAction, number: u64, detail: String) -> AuditEvent {
    AuditEvent { at: at(number), actor: "engine".to_owned(), action, subject: "job".to_owned(), detail }
}

async fn record(store: &Store, event: AuditEvent) {
    let put = move |write: &mut Write<'_>| Ok(audit::record(write, event)?);
    store.write::<(), DbError, _>(Durability::Disk, put).await.expect("on record");
}

#[tokio::test]
async fn the_record_only_grows_and_every_change_of_it_shows() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    let event = |number: u64| AuditEvent {
        at: at(number),
        actor: "engine".to_owned(),
        action: AuditAction::Released,
        subject: "job".to_owned(),
        detail: json!({ "n": number }).to_string(),
    };
    {
        let (store, _) = store(&path);
        for number in 0..3 {
            record(&store, event(number)).await;
        }
        for sql in ["UPDATE audit SET record = ''", "DELETE FROM audit"] {
            let tried: Result<(), DbError> =
                store.write(Durability::Process, move |write| Ok(write.db.execute_batch(sql)?)).await;
            assert!(tried.expect_err("refused").to_string().contains("only grows"));
        }
    }
    // Without a service, from the file alone, as far as the reader wants.
    let read = |most: usize| {
        let mut seen = Vec::new();
        let read = crate::read_audit(directory.path(), &mut |record| {
            seen.push(record.sequence);
            seen.len() < most
        });
        read.expect("a record");
        seen
    };
    assert_eq!((read(9), read(2)), (vec![1, 2, 3], vec![1, 2]));
    // The next program goes on with the same chain.
    let (store, _) = store(&path);
    record(&store, event(3)).await;
    let records = store.read(|db| audit::records(db, 0, 9)).expect("records");
    assert_eq!(
        records.iter().map(|record| record.event.clone()).collect::<Vec<_>>(),
        (0..4).map(event).collect::<Vec<_>>()
    );
    let mut last = None;
    for record in &records {
        record.verify(last).expect("a chain");
        last = Some((record.sequence, record.hash));
    }
    let after = store.read(|db| audit::records(db, 2, 1)).expect("records");
    assert_eq!(after.first().map(|record| record.sequence), Some(3));
}
