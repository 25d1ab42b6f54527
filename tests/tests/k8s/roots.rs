//! Large datasets stay where they are: a claim that the operator lists is mounted where the algorithm runs, and a hostile publisher
//! who writes to it reaches no other account's files.

use crate::jobs::{Installation, TABLE, program};
use cloister_model::{AuditAction, JobSource, Phase, Registry as _, Sha256};
use cloister_tests::{cluster, service::NOTHING};
use serde_json::json;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: make test-k8s"]
async fn a_dataset_on_a_claim_is_read_where_it_is_and_a_hostile_publisher_reaches_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (path, content) in [("alice/table.csv", TABLE), ("bob/secret.csv", "SECRET")] {
        fs::create_dir_all(at(path).parent().expect("a folder")).expect("folders");
        fs::write(at(path), content).expect("a file");
    }
    symlink("../bob/secret.csv", at("alice/link.csv")).expect("a link");
    symlink("/etc/hostname", at("alice/absolute.csv")).expect("a link");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("readable");

    let mut environment = cluster::environment();
    let root = |account: &str| json!({"account": account, "claims": [{"path": format!("/srv/{account}"), "claim": "datasets", "subPath": account}]});
    environment["spec"]["roots"] = json!([root("alice"), root("bob")]);
    let installation = Installation::open_with("roots", &environment).await;
    let namespace = installation.jobs.name();
    let volume = format!("datasets-{namespace}");
    let size = json!({"storage": "1Gi"});
    let common = json!({"accessModes": ["ReadOnlyMany"], "storageClassName": ""});
    let with = |more: serde_json::Value| {
        let mut spec = common.clone();
        spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        spec
    };
    installation.jobs.create(&json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume},
        "spec": with(json!({
            "capacity": size, "claimRef": {"namespace": namespace, "name": "datasets"},
            "hostPath": {"path": folder.path(), "type": "Directory"}, "persistentVolumeReclaimPolicy": "Retain",
        })),
    }));
    installation.jobs.create(&json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "datasets"},
        "spec": with(json!({"resources": {"requests": size}, "volumeName": volume})),
    }));
    let record = cloister_testkit::event(AuditAction::AssetPublished, cloister_testkit::now());
    let asset = cloister_testkit::dataset("d", "alice", "d");
    installation.store.put_asset(asset, u64::MAX, record).await.expect("published");

    let nothing = program(&wat::parse_str(NOTHING).expect("a module"));
    let mut jobs = Vec::new();
    for (number, (path, expected)) in [
        ("/srv/alice/table.csv", Phase::Finished),
        ("/srv/alice/link.csv", Phase::DataProvisioningFailed),
        ("/srv/alice/absolute.csv", Phase::DataProvisioningFailed),
        ("/srv/bob/secret.csv", Phase::DataProvisioningFailed),
    ]
    .into_iter()
    .enumerate()
    {
        let files = json!({"files": [{"type": "local", "path": path}]});
        let job = installation.submit(number as u64, |job| {
            job.inputs[0].source = serde_json::from_value::<JobSource>(files).expect("a source");
            job.algorithm.source = nothing.clone();
            job.record.datasets = vec![cloister_testkit::recorded_dataset("d", "alice", false)];
        });
        jobs.push((job.await, path, expected));
    }
    for (job, path, expected) in jobs {
        let status = installation.ended(job).await;
        assert_eq!(status.phase, expected, "{path}: {status:?}");
    }
    // What was read is in the report, and nothing of the other account is in anything that was stored.
    let digest = Sha256::of(TABLE.as_bytes()).to_string();
    let reports = installation.stored("report");
    let is_seen = cluster::own_cluster().is_some();
    assert!(!is_seen || reports.iter().any(|report| String::from_utf8_lossy(report).contains(&digest)), "{reports:?}");
    let secret = Sha256::of(b"SECRET").to_string();
    assert!(!reports.iter().any(|report| String::from_utf8_lossy(report).contains(&secret)), "{reports:?}");
    let _ = cluster::run(&["delete", "persistentvolume", &volume, "--wait=false"], b"");
}
