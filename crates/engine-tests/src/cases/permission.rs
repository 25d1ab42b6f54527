//! What publishers take back reaches jobs that wait or run.

use crate::{Trial, trial::reason};
use cloister_model::{
    Asset, AuditAction, AuditRecord, Ddo, Event, Fault, JobSpec, OutputContract, Phase, ResultSet, ReviewVerdict,
};
use cloister_testkit::{dataset, guests, recorded_dataset};

/// Publishes the dataset of a job, and makes the job one on it.
async fn on_a_published_dataset(trial: &Trial, mut job: JobSpec) -> (JobSpec, Asset) {
    let asset = dataset("d", "bob", "d");
    put(trial, &asset).await;
    job.record.datasets = vec![recorded_dataset("d", "bob", false)];
    (job, asset)
}

async fn put(trial: &Trial, asset: &Asset) {
    let event = trial.event(AuditAction::AssetPublished);
    trial.engine().put_asset(asset.clone(), u64::MAX, event).await.expect("the asset is stored");
}

fn withdrawn(trial: &Trial, asset: &Asset) -> Asset {
    Asset { withdrawn: Some(trial.now()), revision: asset.revision + 1, ..asset.clone() }
}

/// The next revision, with this section of rules.
fn with_rules(asset: &Asset, rules: serde_json::Value) -> Asset {
    let mut document = serde_json::to_value(&asset.ddo).expect("a document");
    document["services"][0]["compute"] = rules;
    let ddo = Ddo::from_value(document).expect("a DDO");
    Asset { ddo, revision: asset.revision + 1, ..asset.clone() }
}

/// What the engine itself has put on record about a job, once there is something: another process may have done it.
async fn recorded_about(trial: &Trial, job: &JobSpec, action: AuditAction) -> Vec<AuditRecord> {
    let there = async || !records_about(trial, job, action).await.is_empty();
    trial.eventually("it is on record", there).await;
    records_about(trial, job, action).await
}

async fn records_about(trial: &Trial, job: &JobSpec, action: AuditAction) -> Vec<AuditRecord> {
    let (records, subject) = (trial.records().await, job.id.to_string());
    records.into_iter().filter(|record| record.event.action == action && record.event.subject == subject).collect()
}

/// A job that waits when its dataset is withdrawn does not run.
pub async fn a_waiting_job_does_not_run_once_its_dataset_is_withdrawn(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let (job, asset) = on_a_published_dataset(trial, trial.job(guests::WRITES).await).await;
    trial.submit(&job).await;
    put(trial, &withdrawn(trial, &asset)).await;
    trial.reopen(crate::Conditions::default()).await;
    let status = trial.ended(job.id).await;
    assert_eq!(status.phase, Phase::DataProvisioningFailed, "{}", reason(&status));
    assert_eq!(status.reason.as_ref().map(|reason| reason.fault()), Some(Fault::Publisher));
    assert!(reason(&status).contains("did:op:d"), "{}", reason(&status));
    assert!(status.history.iter().all(|step| step.phase != Phase::Running), "it ran: {:?}", status.history);
    let records = recorded_about(trial, &job, AuditAction::JobDenied).await;
    assert_eq!(records.len(), 1);
    assert!(records[0].event.detail.contains("withdrawn"), "{}", records[0].event.detail);
    assert_eq!(trial.engine().report(job.id).await, Ok(None));
}

/// A job that waits when its rules are narrowed does not run, and one that the rules still allow does.
pub async fn a_waiting_job_runs_by_the_rules_of_its_turn(trial: &mut Trial) {
    for (rules, phase) in [
        (serde_json::json!({}), Phase::DataProvisioningFailed),
        (
            serde_json::json!({"allowRawAlgorithm": true, "outputContract": {"maxBytes": 1}}),
            Phase::DataProvisioningFailed,
        ),
        (
            serde_json::json!({"allowRawAlgorithm": true, "profiles": ["deterministic", "standard"],
                "outputContract": OutputContract::default()}),
            Phase::Finished,
        ),
    ] {
        trial.start_no_jobs().await;
        let mut job = trial.job(guests::WRITES).await;
        let name = format!("d{}", trial.number());
        let asset = dataset(&name, "bob", &name);
        put(trial, &asset).await;
        job.record.datasets = vec![recorded_dataset(&name, "bob", false)];
        job.inputs[0].did = asset.ddo.id().clone();
        trial.submit(&job).await;
        put(trial, &with_rules(&asset, rules.clone())).await;
        trial.reopen(crate::Conditions::default()).await;
        let status = trial.ended(job.id).await;
        assert_eq!(status.phase, phase, "{rules}: {}", reason(&status));
    }
}

/// What ran with a permission that was taken back afterwards is not released, whatever the reviewer says.
pub async fn nothing_is_released_once_the_permission_is_taken_back(trial: &mut Trial) {
    let (job, asset) = on_a_published_dataset(trial, trial.job_for_review(guests::WRITES).await).await;
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::InReview).await;
    put(trial, &with_rules(&asset, serde_json::json!({}))).await;
    let mut event = trial.event(AuditAction::Reviewed);
    event.actor = "bob".to_owned();
    trial.engine().review(job.id, ReviewVerdict::Approve, event).await.expect("approved");
    let status = trial.ended(job.id).await;
    assert_eq!(status.phase, Phase::OutputRefused, "{}", reason(&status));
    assert_eq!(status.reason.as_ref().map(|reason| reason.fault()), Some(Fault::Publisher));
    assert!(Phase::Publishing.next(Event::Refused) == Ok(status.phase));
    assert_eq!(recorded_about(trial, &job, AuditAction::ReleaseRefused).await.len(), 1);
    assert_eq!(records_about(trial, &job, AuditAction::Released).await.len(), 0);
    assert_eq!(trial.files(job.id, ResultSet::Released).await, []);
    assert_eq!(trial.files(job.id, ResultSet::UnderReview).await, []);
    assert_eq!(trial.log(job.id).await, "");
}

/// A change that takes nothing back holds up no job: data that was published anew was allowed when it was used.
pub async fn results_are_released_if_only_other_things_changed(trial: &mut Trial) {
    let (job, asset) = on_a_published_dataset(trial, trial.job_for_review(guests::WRITES).await).await;
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::InReview).await;
    let mut document = serde_json::to_value(&asset.ddo).expect("a document");
    document["services"][0]["files"] = serde_json::json!([{"type": "inline", "content": "new"}]);
    document["metadata"]["name"] = "another title".into();
    let ddo = Ddo::from_value(document).expect("a DDO");
    put(trial, &Asset { ddo, revision: 2, ..asset }).await;
    let mut event = trial.event(AuditAction::Reviewed);
    event.actor = "bob".to_owned();
    trial.engine().review(job.id, ReviewVerdict::Approve, event).await.expect("approved");
    assert_eq!(trial.ended(job.id).await.phase, Phase::Finished);
}
