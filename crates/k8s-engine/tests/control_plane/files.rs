//! What a replica does with files beyond what every engine promises: its folder may be lost, its senders hang up, and a
//! program that can write to the store is not trusted.

use crate::cluster::{Room, options};
use cloister_k8s_engine::{ClusterStore, OpenError};
use cloister_model::{
    Account, ByteRange, Inspection, Inspections as _, JobSource, Sha256, Sources, StoreError, Timestamp, Uploads as _,
};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

const AT: Timestamp = Timestamp::from_unix_ms(1000);
const MOST: u64 = 1 << 30;
const ALL: ByteRange = ByteRange { offset: 0, at_most: 1 << 20 };
const LONG: Duration = Duration::from_secs(60);

fn alice() -> Account {
    "alice".parse().expect("an account")
}

fn sources(source: JobSource) -> Sources {
    let JobSource::Files(sources) = source else { panic!("no files") };
    sources
}

fn files_below(folder: &Path) -> Vec<String> {
    let (mut open, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("below it").display().to_string());
            }
        }
    }
    found.sort();
    found
}

async fn send(store: &ClusterStore, content: &[u8]) -> Sha256 {
    let upload = store.begin_upload().await.expect("an upload begins");
    store.append_upload(upload, content.to_vec()).await.expect("appended");
    store.finish_upload(upload, alice(), AT, MOST.into()).await.expect("sent").file.sha256
}

/// Content that counts for nobody would fill the store.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_upload_whose_sender_hangs_up_at_its_end_is_kept_whole() {
    let (room, folder) = (Room::open().await, tempfile::tempdir().expect("a folder"));
    let store = ClusterStore::open(room.cluster.clone(), options(folder.path(), "one")).await.expect("a replica");
    let mut expected = Vec::new();
    for number in 0..8_u8 {
        let content = vec![number; 3_000_000];
        let upload = store.begin_upload().await.expect("an upload begins");
        store.append_upload(upload, content.clone()).await.expect("appended");
        // Cut off at another moment each time.
        let finish = store.finish_upload(upload, alice(), AT, MOST.into());
        let _ = tokio::time::timeout(Duration::from_millis(u64::from(number)), finish).await;
        expected.push(Sha256::of(&content));
    }
    for sha256 in expected {
        let mut found = None;
        for _ in 0..crate::LOOKS {
            found = store.upload(sha256, alice()).await.expect("an answer");
            if found.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(found.is_some(), "it was cut off");
    }
    for _ in 0..crate::LOOKS {
        if files_below(&folder.path().join("results")).len() == 16 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let left = files_below(&folder.path().join("results"));
    assert_eq!(left.len(), 16, "content and markers, neither drafts nor reservations: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn what_was_incomplete_is_gone_when_a_replica_starts_again() {
    let (room, folder) = (Room::open().await, tempfile::tempdir().expect("a folder"));
    let open = || ClusterStore::open(room.cluster.clone(), options(folder.path(), "one"));
    let incoming = folder.path().join("one/incoming");
    let store = open().await.expect("a replica");
    let cut_off = store.begin_upload().await.expect("an upload begins");
    store.append_upload(cut_off, b"half".to_vec()).await.expect("appended");
    assert_eq!(files_below(&incoming).len(), 1);
    drop(store);
    // A process that was killed could not remove it.
    fs::write(incoming.join(".part-1"), "half").expect("written");
    fs::write(incoming.join("0".repeat(64)), "whole?").expect("written");
    let store = open().await.expect("a replica");
    assert_eq!(files_below(&incoming), [""; 0]);
    assert_eq!(store.finish_upload(cut_off, alice(), AT, MOST.into()).await, Err(StoreError::Missing));
    let mode = fs::metadata(folder.path().join("one")).expect("the folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "only its own user may read it");
    // The folder is lost with all that is in it: what was sent is not.
    let sha256 = send(&store, b"sent").await;
    drop(store);
    fs::remove_dir_all(folder.path().join("one")).expect("lost");
    let store = open().await.expect("a replica");
    assert_eq!(store.read_inspected(sha256, ALL).await, Ok(b"sent".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_file_that_another_replica_fetched_is_inspected_again() {
    let (room, folder) = (Room::open().await, tempfile::tempdir().expect("a folder"));
    let open = |name| ClusterStore::open(room.cluster.clone(), options(folder.path(), name));
    let (one, other) = (open("one").await.expect("a replica"), open("other").await.expect("a replica"));
    let source = || sources(cloister_testkit::inline("looked at"));
    let sha256 = Sha256::of(b"looked at");
    for replica in [&one, &other] {
        assert_eq!(replica.read_inspected(sha256, ALL).await, Err(StoreError::Missing));
        let found = replica.inspect(alice(), source(), LONG).await.expect("an inspection");
        assert!(matches!(found, Inspection::Ready(_)), "{found:?}");
        assert_eq!(replica.read_inspected(sha256, ALL).await, Ok(b"looked at".to_vec()));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_upload_that_was_changed_in_the_store_is_not_described_as_what_was_sent() {
    let (room, folder) = (Room::open().await, tempfile::tempdir().expect("a folder"));
    let store = ClusterStore::open(room.cluster.clone(), options(folder.path(), "one")).await.expect("a replica");
    let sha256 = send(&store, b"good").await;
    let content = folder.path().join(format!("results/uploads/{sha256}"));
    fs::write(&content, "evil").expect("written");
    let source = || sources(cloister_testkit::uploaded(sha256));
    let found = store.inspect(alice(), source(), LONG).await.expect("an inspection");
    assert!(matches!(found, Inspection::Failed(_)), "{found:?}");
    fs::write(&content, "good").expect("written");
    let found = store.inspect(alice(), source(), LONG).await.expect("an inspection");
    assert!(matches!(found, Inspection::Ready(_)), "{found:?}");
}

/// A replica that fetches `local` files must not give out the files of all accounts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn the_folders_of_the_service_are_no_source() {
    let (room, folder) = (Room::open().await, tempfile::tempdir().expect("a folder"));
    let mut options = options(folder.path(), "one");
    options.sources.local_roots = vec![folder.path().to_owned()];
    fs::write(folder.path().join("open"), "open").expect("written");
    let store = ClusterStore::open(room.cluster.clone(), options).await.expect("a replica");
    let sha256 = send(&store, b"sent").await;
    let local = |path: &str| -> Sources {
        let path = folder.path().join(path).display().to_string();
        serde_json::from_value(serde_json::json!([{"type": "local", "path": path}])).expect("a source")
    };
    let found = store.inspect(alice(), local("open"), LONG).await.expect("an inspection");
    assert!(matches!(found, Inspection::Ready(_)), "{found:?}");
    fs::write(folder.path().join("one/file"), "x").expect("written");
    for closed in ["one/file", &format!("results/uploads/{sha256}")] {
        assert!(folder.path().join(closed).is_file(), "{closed}");
        let found = store.inspect(alice(), local(closed), LONG).await.expect("an inspection");
        assert!(matches!(found, Inspection::Failed(_)), "{closed}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_folder_that_cannot_be_used_is_named() {
    let (room, folder) = (Room::open().await, tempfile::tempdir().expect("a folder"));
    fs::write(folder.path().join("one"), "a file").expect("written");
    let refused = ClusterStore::open(room.cluster.clone(), options(folder.path(), "one")).await;
    let Err(OpenError::Home { path, .. }) = refused else { panic!("it was opened") };
    assert_eq!(path, folder.path().join("one"));
}
