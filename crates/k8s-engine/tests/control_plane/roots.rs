//! Large datasets stay where they are: claims that the operator lists for a publisher are mounted and not copied, and a hostile
//! publisher reaches nothing through them but its own files.

use crate::site::{DATASETS, ENVIRONMENT, Site};
use cloister_engine_tests::Conditions;
use cloister_k8s_engine::{ArchiveOptions, ClusterStore, resources::Environment};
use cloister_model::{
    AuditAction, JobId, JobSource, JobSpec, JobStatus, Jobs as _, Outputs as _, Phase, Registry as _, Sha256,
    Uploads as _,
};
use cloister_testkit::{OWNER, account, now, uploaded};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::{fs, os::unix::fs::symlink, sync::Arc, time::Duration};

const TABLE: &[u8] = b"a,b\n1,2\n";

/// Ends well if the first byte of the first file of the dataset `d` is `a`.
const READS: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\01\00\00\00")
  (data (i32.const 64) "data/inputs/d/0")
  (func (export "_start")
    (drop (call $open
      (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 15) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
    (drop (call $read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 20)))
    (call $exit (i32.ne (i32.load8_u (i32.const 32)) (i32.const 97)))))"#;

async fn submit(store: &ClusterStore, number: u64, path: &str, guest: &str, sha256: Option<Sha256>) -> JobId {
    let bytes = wat::parse_str(guest).expect("WebAssembly text");
    let upload = store.begin_upload().await.expect("an upload begins");
    store.append_upload(upload, bytes).await.expect("bytes are appended");
    let file =
        store.finish_upload(upload, account(OWNER), now(), (16 << 20).into()).await.expect("an upload ends").file;
    let mut job = JobSpec { environment: ENVIRONMENT.parse().expect("a name"), ..cloister_testkit::job(number, now()) };
    job.algorithm.source = uploaded(file.sha256);
    let mut named = json!({"type": "local", "path": path});
    if let Some(sha256) = sha256 {
        named["sha256"] = json!(sha256);
    }
    job.inputs[0].source = serde_json::from_value::<JobSource>(json!({"files": [named]})).expect("a source");
    job.record.datasets = vec![cloister_testkit::recorded_dataset("d", "alice", false)];
    let id = job.id;
    store.submit(job, Vec::new(), cloister_testkit::event(AuditAction::JobAllowed, now())).await.expect("a job");
    id
}

async fn ended(store: &ClusterStore, job: JobId) -> JobStatus {
    for _ in 0..crate::LOOKS {
        let status = store.status(job).await.expect("a status");
        if status.phase.has_ended() {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("job {job} does not end");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn files_of_a_claim_are_read_where_they_are_and_lead_nowhere_else() {
    let site = Site::open().await;
    site.set(Conditions::default()).await;
    let api: Api<Environment> = Api::namespaced(site.room.client(), &site.room.cluster.namespaces().jobs);
    let root = |account: &str| {
        let claim = json!({"path": format!("/srv/{account}"), "claim": DATASETS, "subPath": account});
        json!({"account": account, "claims": [claim]})
    };
    let roots = Patch::Merge(json!({"spec": {"roots": [root("alice"), root("bob")]}}));
    api.patch(ENVIRONMENT, &PatchParams::default(), &roots).await.expect("roots");
    let folder = site.datasets();
    for (path, content) in [("alice/table.csv", TABLE), ("alice/deep/er.csv", TABLE), ("bob/secret.csv", b"a,secret")] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, content).expect("a file");
    }
    for (link, to) in [
        ("alice/link.csv", "../bob/secret.csv".to_owned()),
        ("alice/absolute.csv", folder.join("bob/secret.csv").display().to_string()),
        ("alice/folder", "../bob".to_owned()),
    ] {
        symlink(to, folder.join(link)).expect("a link");
    }
    let store: Arc<ClusterStore> = site.replica("a", ArchiveOptions::default()).await;
    let mut asset = cloister_testkit::dataset("d", "alice", "d");
    asset.updated = now();
    let record = cloister_testkit::event(AuditAction::AssetPublished, now());
    store.put_asset(asset, u64::MAX, record).await.expect("published");
    let controller = site.controller().await;

    // It is read, and its digest is in the report.
    let right = Sha256::of(TABLE);
    for (number, path, agreed) in [(1, "/srv/alice/table.csv", Some(right)), (2, "/srv/alice/deep/er.csv", None)] {
        let job = submit(&store, number, path, READS, agreed).await;
        let status = ended(&store, job).await;
        assert_eq!(status.phase, Phase::Finished, "{path}: {status:?}");
        let report = store.report(job).await.expect("asked").expect("a report");
        let read = report.inputs.iter().find(|file| file.path == "inputs/d/0").expect("the file");
        assert_eq!((read.sha256, read.bytes), (right, TABLE.len() as u64), "{path}");
    }
    // Nothing of it was copied to the volume of the job.
    let job = submit(&store, 3, "/srv/alice/table.csv", cloister_testkit::guests::ENDLESS, None).await;
    let volume = format!("{job}-data");
    while site.node.file(&volume, "run/log").as_deref() != Some(b"a,b\n") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(site.node.file(&volume, "in/mounted.json").is_some());
    assert_eq!(site.node.file(&volume, "in/inputs/d/0"), None);
    store.stop(job, cloister_testkit::event(AuditAction::JobStopped, now())).await.expect("it is asked to stop");
    assert_eq!(ended(&store, job).await.phase, Phase::Stopped);

    // Another account's claim, links, folders, what is not there, and what is in no root at all.
    for (number, path) in [
        "/srv/bob/secret.csv",
        "/srv/alice/link.csv",
        "/srv/alice/absolute.csv",
        "/srv/alice/folder/secret.csv",
        "/srv/alice/deep",
        "/srv/alice/missing.csv",
        "/srv/alice",
        "/srv/other/a.csv",
    ]
    .into_iter()
    .enumerate()
    {
        let job = submit(&store, 10 + number as u64, path, READS, None).await;
        let status = ended(&store, job).await;
        assert_eq!(status.phase, Phase::DataProvisioningFailed, "{path}: {status:?}");
    }
    // A file that is not what its publisher said is seen when it is read: nothing is released.
    let job = submit(&store, 30, "/srv/alice/table.csv", READS, Some(Sha256::of(b"other"))).await;
    let status = ended(&store, job).await;
    assert_eq!(status.phase, Phase::AlgorithmFailed, "{status:?}");
    assert!(
        status.reason.as_ref().is_some_and(|reason| reason.text().contains("not the agreed content")),
        "{status:?}"
    );
    controller.abort();
}
