//! Publishers change their assets while jobs wait: the controller decides as the service does, and knows no source.

use crate::controller::{Installation, event};
use cloister_k8s_engine::resources::Dataset;
use cloister_model::{Asset, AuditAction, Ddo, Fault, Jobs as _, Phase, Registry as _, Timestamp};
use kube::Api;
use serde_json::{Value, json};

/// A dataset whose source has a credential.
fn dataset(did: &str, revision: u64, change: impl FnOnce(&mut Value)) -> Asset {
    let asset = cloister_testkit::dataset(did, "bob", did);
    let mut document = serde_json::to_value(&asset.ddo).expect("json");
    document["services"][0]["files"] =
        json!([{"type": "url", "url": "https://example.org/a", "headers": {"Authorization": "Bearer PLANTED"}}]);
    change(&mut document);
    Asset { ddo: Ddo::from_value(document).expect("a DDO"), revision, ..asset }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn what_a_publisher_changes_while_a_job_waits_counts_and_no_credential_is_in_a_resource() {
    // Nothing has its turn until there is room.
    let installation = Installation::open(0).await;
    type Change = fn(&mut Asset);
    let change: [(&str, Change, Option<&str>); 5] = [
        ("title", |asset| *asset = dataset("title", 2, |ddo| ddo["metadata"]["name"] = json!("another")), None),
        (
            "files",
            |asset| {
                *asset = dataset("files", 2, |ddo| ddo["services"][0]["files"][0]["url"] = json!("https://b.example"));
            },
            Some("files"),
        ),
        (
            "rules",
            |asset| *asset = dataset("rules", 2, |ddo| ddo["services"][0]["compute"] = json!({})),
            Some("raw algorithms"),
        ),
        ("withdrawn", |asset| asset.withdrawn = Some(Timestamp::from_unix_ms(5)), Some("withdrawn")),
        ("unchanged", |_| {}, None),
    ];
    let record = || cloister_testkit::event(AuditAction::AssetPublished, cloister_testkit::now());
    let mut jobs = Vec::new();
    for (number, (did, change, denied)) in (1..).zip(change) {
        let mut asset = dataset(did, 1, |_| {});
        installation.store.put_asset(asset.clone(), u64::MAX, record()).await.expect("published");
        let job = installation.submit_as(number, |job| {
            job.inputs[0].did = asset.ddo.id().clone();
            job.record.datasets = vec![cloister_testkit::recorded_dataset(did, "bob", false)];
        });
        jobs.push((did, job.await, denied));
        change(&mut asset);
        if did != "unchanged" {
            asset.revision = 2;
            installation.store.put_asset(asset.clone(), u64::MAX, record()).await.expect("published again");
        }
        // The service still reads the whole asset.
        let whole = installation.store.asset(asset.ddo.id().clone()).await.expect("an answer").expect("an asset");
        assert_eq!(whole, asset);
    }
    let api: Api<Dataset> = Api::namespaced(installation.room.client(), &installation.room.cluster.namespaces().assets);
    for resource in api.list(&Default::default()).await.expect("datasets") {
        let text = serde_json::to_string(&resource).expect("json");
        assert!(!text.contains("PLANTED") && !text.contains("example.org"), "{text}");
        assert!(resource.spec.stored.is_some_and(|stored| stored.rules.contains("sameSince")), "{text}");
    }
    let controller = installation.start().await;
    let room = json!({"spec": {"limits": {"jobs": 10}}});
    installation.room.patch("environments", "local", &room).await.expect("room");
    for (what, job, denied) in jobs {
        let status = installation.ended(job).await;
        match denied {
            None => assert_eq!(status.phase, Phase::Finished, "{what}: {status:?}"),
            Some(words) => {
                let reason = status.reason.as_ref().expect("a reason");
                assert_eq!((status.phase, reason.fault()), (Phase::DataProvisioningFailed, Fault::Publisher), "{what}");
                assert!(reason.text().contains("no longer allowed") && reason.text().contains(words), "{reason:?}");
            }
        }
        let _ = installation.store.stop(job, event(job, AuditAction::JobStopped)).await;
    }
    controller.abort();
}
