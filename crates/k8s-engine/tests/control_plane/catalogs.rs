//! Objects of sealed receipts become few, and receipts stay for ever all the same.

use crate::{
    archive::{AT_ONCE, archived_files, ended, names, receipt_secrets},
    cluster,
    controller::{self, Installation},
};
use cloister_k8s_engine::{ArchiveOptions, ClusterStore, StoreOptions, resources::ComputeJob};
use cloister_model::{
    AuditAction, EngineError, JobId, JobSpec, Jobs as _, Outputs as _, StoredReceipt, Unavailability,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

/// Two objects with sealed receipts are enough for a catalog.
const TWO: ArchiveOptions = ArchiveOptions { receipts: 2, ..AT_ONCE };

async fn replica(installation: &Installation, name: &str, archive: ArchiveOptions) -> ClusterStore {
    let options = StoreOptions { archive, ..cluster::options(installation.folder(), name) };
    ClusterStore::open(installation.room.cluster.clone(), options).await.expect("a replica")
}

fn objects(installation: &Installation) -> Api<ComputeJob> {
    Api::namespaced(installation.room.client(), &installation.room.cluster.namespaces().jobs)
}

fn configs(installation: &Installation) -> Api<ConfigMap> {
    Api::namespaced(installation.room.client(), &installation.room.cluster.namespaces().system)
}

/// Objects with sealed receipts, and catalogs.
async fn standing(installation: &Installation) -> [BTreeSet<String>; 2] {
    let all = names(&configs(installation), "cloister.dev/archive=receipts").await;
    ["receipts-", "catalog-"].map(|kind| all.iter().filter(|name| name.starts_with(kind)).cloned().collect())
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..900 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

/// A job that has ended, with its receipt.
async fn with_receipt(installation: &Installation, number: u64) -> (JobId, StoredReceipt) {
    let job = ended(installation, &objects(installation), number).await;
    (job, installation.store.receipt(job).await.expect("an answer").expect("a receipt"))
}

/// Waits until no job, and no receipt, is an object of its own.
async fn until_archived(installation: &Installation) {
    let system = &installation.room.cluster.namespaces().system;
    until("the jobs leave the API server", async || names(&objects(installation), "").await.is_empty()).await;
    let client = || installation.room.client();
    until("the receipts leave their Secrets", async || receipt_secrets(client(), system).await.is_empty()).await;
}

/// Waits until there are fewer objects with sealed receipts than a catalog takes.
async fn until_listed(installation: &Installation) {
    until("sealed receipts are listed", async || {
        let [receipts, catalogs] = standing(installation).await;
        receipts.len() < TWO.receipts && !catalogs.is_empty()
    })
    .await;
}

/// Submits another job with the id of this number.
async fn submit(replica: &ClusterStore, number: u64) -> Result<JobId, EngineError> {
    let job = JobSpec { queue: "another".to_owned(), ..cloister_testkit::job(number, cloister_testkit::now()) };
    let event = controller::event(job.id, AuditAction::JobAllowed);
    replica.submit(job, Vec::new(), event).await.map(|status| status.id)
}

/// Every receipt is what it was, and no id is free.
async fn are_kept(replica: &ClusterStore, made: &[(JobId, StoredReceipt)]) {
    for (number, (job, receipt)) in made.iter().enumerate() {
        assert_eq!(replica.receipt(*job).await.as_ref(), Ok(&Some(receipt.clone())), "{job}");
        assert!(replica.status(*job).await.is_ok(), "{job}");
        assert_eq!(submit(replica, number as u64).await, Err(EngineError::JobExists(*job)));
    }
}

/// Few objects have the receipts of all jobs; credentials of the store alone hide none of them, and free no id.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn sealed_receipts_become_few_objects_and_stay() {
    let installation = Installation::open(1).await;
    let mut made = Vec::new();
    {
        let first = replica(&installation, "a", TWO).await;
        for number in 0..5 {
            // One thing that is sealed for each.
            made.push(with_receipt(&installation, number).await);
            until_archived(&installation).await;
        }
        until_listed(&installation).await;
        are_kept(&first, &made).await;
    }
    let [_, catalogs] = standing(&installation).await;
    let results = installation.folder().join("results");
    assert_eq!(archived_files(&results, "catalog-"), catalogs);
    are_kept(&replica(&installation, "b", TWO).await, &made).await;
    // Another replica knew them while they were objects of their own, and hears of the catalogs.
    are_kept(&installation.store, &made).await;

    // The list of a catalog is lost, or another is in its place.
    let files: Vec<PathBuf> = catalogs.iter().map(|name| results.join("archive").join(name)).collect();
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a list")).collect();
    let cut = whole[0][..whole[0].len() - 1].to_vec();
    for (round, wrong) in [None, Some(Vec::new()), Some(cut)].into_iter().enumerate() {
        for file in &files {
            match &wrong {
                Some(wrong) => fs::write(file, wrong).expect("written"),
                None => fs::remove_file(file).expect("removed"),
            }
        }
        let replica = replica(&installation, &format!("c{round}"), TWO).await;
        let mut missed = 0;
        for (number, (job, receipt)) in made.iter().enumerate() {
            match replica.receipt(*job).await {
                Ok(found) => assert_eq!(found.as_ref(), Some(receipt), "{job}"),
                Err(EngineError::Unavailable { kind: Unavailability::Store, .. }) => missed += 1,
                Err(other) => panic!("{other}"),
            }
            assert_eq!(submit(&replica, number as u64).await, Err(EngineError::JobExists(*job)));
        }
        assert!(missed >= TWO.receipts, "{missed} are missed");
        // Few other ids seem to be taken.
        let mut free = 0;
        for number in 0..10 {
            free += usize::from(submit(&replica, 1000 + 10 * round as u64 + number).await.is_ok());
        }
        assert!(free > 5, "{free} of 10 ids are free");
    }
    for (file, bytes) in files.iter().zip(&whole) {
        fs::write(file, bytes).expect("restored");
    }
    are_kept(&replica(&installation, "d", TWO).await, &made).await;

    // Filters that exclude no job. Whether an id is free is in the lists, and a replica that has just started reads them before it says.
    let patch = Patch::Merge(json!({"binaryData": {"filter": "/w=="}}));
    for name in &catalogs {
        configs(&installation).patch(name, &PatchParams::default(), &patch).await.expect("another filter");
    }
    let last = replica(&installation, "e", TWO).await;
    let free = submit(&last, 2000).await;
    assert!(free.is_ok(), "{free:?}");
    are_kept(&last, &made).await;
}

/// Replicas are killed wherever they are while they list sealed receipts: none is lost.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn replicas_that_are_killed_while_they_list_receipts_lose_none() {
    const OFTEN: ArchiveOptions = ArchiveOptions { settle: Duration::from_millis(500), ..TWO };
    let installation = Installation::open(1).await;
    let mut made = Vec::new();
    let mut round = 0_u64;
    // Until one has made a catalog, for which a slow machine needs longer.
    while round < 12 || (standing(&installation).await[1].is_empty() && round < 60) {
        made.push(with_receipt(&installation, round).await);
        let names = [0, 1].map(|which| format!("{round}-{which}"));
        let replicas = [replica(&installation, &names[0], OFTEN).await, replica(&installation, &names[1], OFTEN).await];
        // They make catalogs some time after their start.
        tokio::time::sleep(Duration::from_millis(2600 + round * 389 % 1900 + 100 * round)).await;
        // Both end in the middle of whatever they do.
        drop(replicas);
        round += 1;
    }
    assert!(!standing(&installation).await[1].is_empty(), "no catalog was made while replicas were killed");
    let last = [replica(&installation, "a", OFTEN).await, replica(&installation, "b", OFTEN).await];
    until_archived(&installation).await;
    until_listed(&installation).await;
    drop(last);
    are_kept(&replica(&installation, "c", OFTEN).await, &made).await;
}
