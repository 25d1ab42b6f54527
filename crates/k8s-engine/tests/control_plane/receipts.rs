//! Receipts leave the API server, and stay for ever all the same.

use crate::{
    archive::{AT_ONCE, archived_files, names, set, trial, until_archived, until_no_receipt_is_a_secret},
    conformance::Outside,
};
use cloister_engine_tests::Trial;
use cloister_model::{
    AuditAction, Backend, ByteRange, EngineError, JobId, JobSpec, LogReport, Phase, Report, ResultSet, Secret, Sha256,
    StoredReceipt, Unavailability,
};
use cloister_testkit::guests;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;
use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

async fn receipt(engine: &Arc<dyn Backend>, job: &JobSpec) -> StoredReceipt {
    engine.receipt(job.id).await.expect("asked").expect("a receipt")
}

/// Notes of receipts that wait to be sealed.
async fn waiting(outside: &Outside) -> BTreeSet<String> {
    let (cluster, _) = outside.place.get().expect("it is open");
    let api: Api<ConfigMap> = Api::namespaced(cluster.client().clone(), &cluster.namespaces().system);
    let mut notes = names(&api, "cloister.dev/archive=receipts").await;
    notes.retain(|name| name.starts_with("receipt-of-"));
    notes
}

/// The id of a job is taken as long as there is its receipt.
async fn is_taken(trial: &Trial, job: &JobSpec) {
    for process in trial.processes() {
        let again = process.submit(job.clone(), Vec::new(), trial.event(AuditAction::JobAllowed)).await;
        assert_eq!(again, Err(EngineError::JobExists(job.id)));
    }
}

async fn is_in_review(engine: &Arc<dyn Backend>, job: JobId) -> bool {
    engine.status(job).await.is_ok_and(|status| status.phase == Phase::InReview)
}

/// A job that is removed before it is archived leaves a receipt, which is sealed as those of archived jobs are.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn the_receipt_of_a_job_that_was_never_archived_is_sealed_too() {
    let (mut trial, outside, folder) = trial().await;
    let mut job = trial.job(guests::WRITES).await;
    job.parameters = Some(Secret::new(json!({"planted": "PLANTED-PARAMETER"})));
    assert_eq!(trial.run(&job).await.phase, Phase::Finished);
    let made = receipt(trial.engine(), &job).await;
    trial.engine().remove(job.id, trial.event(AuditAction::JobRemoved)).await.expect("removed");
    assert_eq!(receipt(trial.engine(), &job).await, made);
    assert_eq!(waiting(&outside).await, [format!("receipt-of-{}", job.id)].into());
    is_taken(&trial, &job).await;

    set(&outside, AT_ONCE);
    trial.restart().await;
    until_no_receipt_is_a_secret(&trial, &outside).await;
    trial.eventually("nothing waits any more", async || waiting(&outside).await.is_empty()).await;
    for _ in 0..2 {
        for process in trial.processes() {
            assert_eq!(receipt(&process, &job).await, made);
            assert_eq!(process.status(job.id).await, Err(EngineError::NoSuchJob(job.id)));
        }
        is_taken(&trial, &job).await;
        trial.restart().await;
    }
    let files = archived_files(&folder, "");
    assert!(!files.is_empty() && files.iter().all(|name| name.starts_with("receipts-")), "{files:?}");
    for name in files {
        let bytes = fs::read(folder.join("archive").join(name)).expect("a file");
        let planted = b"PLANTED-PARAMETER";
        assert!(!bytes.windows(planted.len()).any(|window| window == planted));
    }
}

/// Credentials of the store alone make up no receipt, change none, and free no id.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_receipt_that_was_changed_in_the_store_is_not_believed() {
    let (mut trial, outside, folder) = trial().await;
    set(&outside, AT_ONCE);
    trial.restart().await;
    // Two replicas may have sealed the same ones.
    let sealed = |known: &BTreeSet<String>| -> Vec<PathBuf> {
        let files = archived_files(&folder, "receipts-");
        files.difference(known).map(|name| folder.join("archive").join(name)).collect()
    };
    let (one, other) = (trial.job(guests::WRITES).await, trial.job(guests::FAILS).await);
    let mut made = Vec::new();
    let mut files = Vec::new();
    for job in [&one, &other] {
        let known = archived_files(&folder, "receipts-");
        trial.run(job).await;
        made.push(receipt(trial.engine(), job).await);
        until_archived(&trial, &outside).await;
        files.push(sealed(&known));
    }
    trial.engine().remove(one.id, trial.event(AuditAction::JobRemoved)).await.expect("removed");
    let read = |file: &PathBuf| fs::read(file).expect("sealed receipts");
    let whole: Vec<Vec<u8>> = files[0].iter().map(read).collect();
    let of_other = read(files[1].first().expect("sealed receipts"));
    for wrong in [None, Some(Vec::new()), Some(whole[0][..whole[0].len() - 1].to_vec()), Some(of_other)] {
        for file in &files[0] {
            match &wrong {
                Some(wrong) => fs::write(file, wrong).expect("written"),
                None => fs::remove_file(file).expect("removed"),
            }
        }
        for process in trial.processes() {
            let answer = process.receipt(one.id).await;
            let unavailable = matches!(&answer, Err(EngineError::Unavailable { kind: Unavailability::Store, .. }));
            assert!(unavailable, "{answer:?}");
            assert_eq!(receipt(&process, &other).await, made[1]);
        }
        is_taken(&trial, &one).await;
    }
    for (file, bytes) in files[0].iter().zip(&whole) {
        fs::write(file, bytes).expect("restored");
    }
    trial.restart().await;
    for process in trial.processes() {
        assert_eq!(receipt(&process, &one).await, made[0]);
    }
}

/// Credentials of the store alone do not say what happened in a run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_report_that_was_changed_in_the_store_is_not_believed() {
    let (trial, _outside, folder) = trial().await;
    let job = trial.job(guests::WRITES).await;
    assert_eq!(trial.run(&job).await.phase, Phase::Finished);
    let report = trial.engine().report(job.id).await.expect("asked").expect("a report");
    let place = folder.join(job.id.to_string()).join("report.json");
    let whole = fs::read(&place).expect("a report");
    let forged =
        Report { log: LogReport { kept_bytes: report.log.kept_bytes + 1, dropped_bytes: 0 }, ..report.clone() };
    for wrong in [serde_json::to_vec(&forged).expect("JSON"), Vec::new(), b"{}".to_vec()] {
        fs::write(&place, wrong).expect("written");
        for process in trial.processes() {
            let answer = process.report(job.id).await;
            let unavailable = matches!(&answer, Err(EngineError::Unavailable { kind: Unavailability::Store, .. }));
            assert!(unavailable, "{answer:?}");
        }
    }
    fs::write(&place, whole).expect("restored");
    for process in trial.processes() {
        assert_eq!(process.report(job.id).await, Ok(Some(report.clone())));
    }
}

/// Credentials of the store alone do not decide what a reviewer looks at, and so not what a reviewer approves.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn what_was_changed_in_the_store_is_not_shown_to_a_reviewer() {
    const SHOWN: ResultSet = ResultSet::UnderReview;
    let (trial, _outside, folder) = trial().await;
    let job = trial.job_for_review(guests::WRITES).await;
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::InReview).await;
    let checked = trial.engine().results(job.id, SHOWN).await.expect("a list");
    assert!(!checked.is_empty());
    // A list as publishing keeps it for reviewers of encrypted results, of a file that is harmless.
    let (content, place) = (b"harmless", folder.join(job.id.to_string()));
    let mut files = checked.clone();
    (files[0].bytes, files[0].sha256) = (content.len() as u64, Sha256::of(content));
    let list = json!({"version": "cloister.dev/manifest/v1", "encrypted": false, "files": files});
    fs::create_dir_all(place.join("held")).expect("a folder");
    fs::write(place.join("held/0"), content).expect("written");
    fs::write(place.join("held.json"), list.to_string()).expect("written");
    let range = ByteRange { offset: 0, at_most: 100 };
    for process in trial.processes() {
        // Another one may hear later that it is in review, and shows nothing until then.
        trial.eventually("it is in review", async || is_in_review(&process, job.id).await).await;
        let listed = process.results(job.id, SHOWN).await.map(drop);
        let read = process.read_result(job.id, SHOWN, 0, range).await.map(drop);
        for answer in [listed, read] {
            let unavailable = matches!(&answer, Err(EngineError::Unavailable { kind: Unavailability::Store, .. }));
            assert!(unavailable, "{answer:?}");
        }
    }
    fs::remove_file(place.join("held.json")).expect("removed");
    for process in trial.processes() {
        assert_eq!(process.results(job.id, SHOWN).await, Ok(checked.clone()));
        assert!(process.read_result(job.id, SHOWN, 0, range).await.is_ok());
    }
}
