//! What an engine moves into a store when a job has ended long ago, in a folder, and in an S3 store that `CLOISTERDEV_TEST_S3` names
//! (as for the results of jobs).

mod stores;

use cloister_model::{JobId, Sha256};
use cloister_results::{PublishError, ResultStore, SealingKey, StoreConfig};

async fn keeps_what_is_sealed(config: &StoreConfig) {
    let store = ResultStore::open(config).expect("a store");
    let (key, other) = (SealingKey::generate(), SealingKey::generate());
    let records = b"PLANTED records".to_vec();
    let sha256 = store.archive("archive-1", records.clone(), &key).await.expect("archived");
    let archived = async |name: &str, sha256: Sha256| {
        let found = store.archived(name, sha256, &key).await;
        found.map(|found| found.map(|found| found.to_vec()))
    };
    assert_eq!(archived("archive-1", sha256).await, Ok(Some(records.clone())));
    // A name is given once, and what has another digest is not read.
    assert!(matches!(store.archive("archive-1", Vec::new(), &key).await, Err(PublishError::Store(_))));
    assert_eq!(archived("archive-1", Sha256::of(b"another")).await, Ok(None));
    assert_eq!(archived("archive-2", sha256).await, Ok(None));
    assert!(store.archived("archive-1", sha256, &other).await.is_err());
    store.remove_archived("archive-1").await.expect("removed");
    store.remove_archived("archive-1").await.expect("removed before");
    assert_eq!(archived("archive-1", sha256).await, Ok(None));

    let (job, another) = (JobId::from_bytes([1; 16]), JobId::from_bytes([2; 16]));
    assert_eq!(store.parameters(job, &key).await, Ok(None));
    for content in [b"first".to_vec(), b"second".to_vec()] {
        store.keep_parameters(job, content, &key).await.expect("kept");
        assert_eq!(store.parameters(job, &key).await, Ok(Some(b"first".to_vec())), "they never change");
    }
    assert_eq!(store.parameters(another, &key).await, Ok(None));
    assert!(store.parameters(job, &other).await.is_err());
    // They go with the results, or by themselves.
    store.remove(job).await.expect("removed");
    assert_eq!(store.parameters(job, &key).await, Ok(None));
    store.keep_parameters(another, b"{}".to_vec(), &key).await.expect("kept");
    store.remove_parameters(another).await.expect("removed");
    assert_eq!(store.parameters(another, &key).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_what_is_sealed() {
    let home = tempfile::tempdir().expect("a folder");
    keeps_what_is_sealed(&stores::folder(home.path(), "results")).await;
}

/// The parameters of one job in the place of another's are not believed.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_bound_to_their_job() {
    let home = tempfile::tempdir().expect("a folder");
    let config = stores::folder(home.path(), "results");
    let (store, key) = (ResultStore::open(&config).expect("a store"), SealingKey::generate());
    let (job, another) = (JobId::from_bytes([1; 16]), JobId::from_bytes([2; 16]));
    for one in [job, another] {
        store.keep_parameters(one, one.to_string().into_bytes(), &key).await.expect("kept");
    }
    let place = |job: JobId| home.path().join("results").join(job.to_string()).join("parameters");
    std::fs::copy(place(another), place(job)).expect("copied");
    assert!(store.parameters(job, &key).await.is_err());
    assert!(store.parameters(another, &key).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_store_keeps_what_is_sealed() {
    let Ok(endpoint) = std::env::var("CLOISTERDEV_TEST_S3") else { return };
    let home = tempfile::tempdir().expect("a folder");
    keeps_what_is_sealed(&stores::s3(&endpoint, home.path(), "sealed-")).await;
}

/// Each archived thing can have megabytes, and as many requests can ask for them as there are connections.
#[tokio::test(flavor = "multi_thread")]
async fn few_archived_things_are_in_memory_at_once() {
    let home = tempfile::tempdir().expect("a folder");
    let config = stores::folder(home.path(), "results");
    let (store, key) = (ResultStore::open(&config).expect("a store"), SealingKey::generate());
    let sha256 = store.archive("archive-1", b"records".to_vec(), &key).await.expect("archived");
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(store.archived("archive-1", sha256, &key).await.expect("read").expect("records"));
    }
    let mut waiting = std::pin::pin!(store.archived("archive-1", sha256, &key));
    let waited = tokio::time::timeout(std::time::Duration::from_millis(500), &mut waiting).await;
    assert!(waited.is_err(), "a third one was read: {waited:?}");
    held.pop();
    assert_eq!(waiting.await.expect("read").as_deref(), Some(b"records".as_slice()));
    // What is not there holds up nobody.
    for _ in 0..9 {
        assert!(store.archived("archive-2", sha256, &key).await.expect("an answer").is_none());
    }
}

/// Whatever is put in the place of an archived thing is not what was archived. A replica that starts reads them all, and must not fail at
/// one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_place_of_an_archived_thing_is_not_it() {
    let home = tempfile::tempdir().expect("a folder");
    let config = stores::folder(home.path(), "results");
    let (store, key) = (ResultStore::open(&config).expect("a store"), SealingKey::generate());
    let sha256 = store.archive("archive-1", b"records".to_vec(), &key).await.expect("archived");
    let (place, moved) = (home.path().join("results/archive/archive-1"), home.path().join("moved"));
    std::fs::rename(&place, &moved).expect("moved");
    std::os::unix::fs::symlink(&moved, &place).expect("a link");
    assert!(store.archived("archive-1", sha256, &key).await.expect("an answer").is_none(), "a link");
    std::fs::remove_file(&place).expect("removed");
    let large = std::fs::File::create(&place).expect("a file");
    large.set_len((64 << 20) + 1).expect("large");
    assert!(store.archived("archive-1", sha256, &key).await.expect("an answer").is_none(), "a large file");
    std::fs::rename(&moved, &place).expect("restored");
    let found = store.archived("archive-1", sha256, &key).await.expect("an answer");
    assert_eq!(found.as_deref(), Some(b"records".as_slice()));
}
