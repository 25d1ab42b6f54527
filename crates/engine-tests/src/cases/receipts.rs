//! `Outputs::receipt`: the facts about an ended job.

use crate::{Trial, trial::digest};
use cloister_model::{
    Account, AuditAction, EngineError, JobSpec, Limits, Phase, Receipt, ReceiptOutputs, ResultSet, ReviewVerdict,
    Sealed, Secret, StoredReceipt, TimeLimits,
};
use cloister_testkit::{account, guests, inline, labels, missing_upload};
use serde_json::{Value, json};

/// A parameter that the receipt must not show.
const PARAMETER: &str = "PARAMETER-OF-THE-CONSUMER";
/// A dataset whose digest the receipt must not show: it could be guessed.
const DATASET: &str = "0\n";

/// A job with parameters, labels and a dataset that a reader of the receipt must not learn.
async fn job(trial: &Trial, guest: &str) -> JobSpec {
    let mut job = trial.job(guest).await;
    job.parameters = Some(Secret::new(json!({ "bins": PARAMETER })));
    job.inputs[0].source = inline(DATASET);
    job.labels = labels(&[("owner", "alice"), ("agreement", "LABEL")]);
    job
}

async fn receipt(trial: &Trial, job: &JobSpec) -> StoredReceipt {
    trial.engine().receipt(job.id).await.expect("asked").expect("an ended job has a receipt")
}

/// Every value of the receipt that is committed to, by its pointer.
fn committed(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if fields.contains_key("commitment") => found.push(pointer.to_owned()),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| committed(value, &format!("{pointer}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| committed(value, &format!("{pointer}/{index}"), found));
        }
        _ => {}
    }
}

/// What is true of every receipt.
async fn is_whole(trial: &Trial, job: &JobSpec) -> (Receipt, StoredReceipt) {
    let status = trial.status(job.id).await;
    let stored = receipt(trial, job).await;
    let text: Value = serde_json::from_str(&stored.text).expect("json");
    let facts: Receipt = serde_json::from_str(&stored.text).expect("a receipt of this version");
    assert_eq!(facts.version, cloister_model::RECEIPT_VERSION);
    assert_eq!((facts.job, facts.phase, facts.code), (job.id, status.phase, status.phase.code()));
    assert_eq!(facts.review, status.review);
    let reason = status.reason.as_ref().expect("an ended job has a reason");
    if facts.phase == Phase::OutputRefused && facts.review.is_none() {
        // It names the rule. The status may also name the output, which a receipt must not hold before its release.
        assert!(reason.text().starts_with(facts.reason.text()), "{:?}: {reason:?}", facts.reason);
        assert_eq!(facts.reason.fault(), reason.fault());
    } else {
        assert_eq!(facts.reason, *reason);
    }
    let datasets: Vec<_> = facts.datasets.iter().map(|dataset| &dataset.did).collect();
    assert_eq!(datasets, job.inputs.iter().map(|input| &input.did).collect::<Vec<_>>());
    assert_eq!((&facts.terms, &facts.limits), (&job.terms.admitted, &job.limits));
    assert_eq!((&facts.output_contract, &facts.release_rules), (&job.terms.output_contract, &job.terms.release));
    assert_eq!(stored.record, job.record);
    // Whether outputs left, and which.
    let released = trial.engine().results(job.id, ResultSet::Released).await.expect("results");
    match &facts.outputs {
        ReceiptOutputs::Released { files } => assert_eq!((files, status.phase), (&released, Phase::Finished)),
        ReceiptOutputs::NothingReleased => assert_ne!(status.phase, Phase::Finished),
    }
    // What is committed to is what can be opened, each by its own opening.
    let mut pointers = Vec::new();
    committed(&text, "", &mut pointers);
    let mut opened: Vec<_> = stored.openings.expose().iter().map(|opening| opening.pointer.clone()).collect();
    pointers.sort();
    opened.sort();
    assert_eq!(pointers, opened);
    assert!(stored.openings.expose().iter().all(|opening| opening.opens(&text)), "an opening opens nothing");
    let mut salts: Vec<_> = stored.openings.expose().iter().map(|opening| opening.salt).collect();
    salts.sort();
    salts.dedup();
    assert_eq!(salts.len(), opened.len(), "two openings share a salt");
    // What readers must not see is not there, nor a digest by which it could be guessed.
    let parameters = job.parameters.as_ref().map(|parameters| parameters.expose().to_string()).unwrap_or_default();
    for secret in [
        PARAMETER,
        &digest(parameters.as_bytes()).to_string(),
        &digest(DATASET.as_bytes()).to_string(),
        "LABEL",
        "upload",
    ] {
        assert!(!stored.text.contains(secret), "the receipt shows {secret}: {}", stored.text);
    }
    (facts, stored)
}

fn opened<'a>(stored: &'a StoredReceipt, pointer: &str) -> &'a Value {
    let opening = stored.openings.expose().iter().find(|opening| opening.pointer == pointer);
    &opening.unwrap_or_else(|| unreachable!("nothing opens {pointer}")).value
}

/// A job that has not ended has no receipt.
pub async fn there_is_none_before_the_end(trial: &mut Trial) {
    let held = trial.job_for_review(guests::WRITES).await;
    trial.submit(&held).await;
    trial.until_phase(held.id, Phase::InReview).await;
    assert_eq!(trial.engine().receipt(held.id).await, Ok(None));
    trial.start_no_jobs().await;
    let queued = trial.idle_job();
    trial.submit(&queued).await;
    assert_eq!(trial.engine().receipt(queued.id).await, Ok(None));
    let missing = trial.idle_job();
    assert_eq!(trial.engine().receipt(missing.id).await, Err(EngineError::NoSuchJob(missing.id)));
}

/// A finished job's receipt says what ran on what and what left.
pub async fn of_a_finished_job(trial: &mut Trial) {
    let job = job(trial, guests::WRITES).await;
    assert_eq!(trial.run(&job).await.phase, Phase::Finished);
    let (facts, stored) = is_whole(trial, &job).await;
    let program = wat::parse_str(guests::WRITES).expect("WebAssembly text");
    assert_eq!(facts.algorithm_sha256, Some(digest(&program)));
    assert!(facts.outcome.as_ref().is_some_and(cloister_model::Outcome::is_success));
    assert!(facts.engine.is_some() && facts.isolation.is_some());
    // What is sealed is the digest of the parameters and of the report, and the files of each dataset.
    let parameters = job.parameters.as_ref().map(|parameters| parameters.expose().to_string()).unwrap_or_default();
    assert_eq!(opened(&stored, "/parameters"), &json!({ "sha256": digest(parameters.as_bytes()) }));
    let report = trial.engine().report(job.id).await.expect("asked").expect("a report");
    let report = serde_json::to_vec(&report).expect("json");
    assert_eq!(opened(&stored, "/report"), &json!({ "sha256": digest(&report) }));
    let files = opened(&stored, "/datasets/0/files").as_array().cloned().unwrap_or_default();
    let files: Vec<_> = files.iter().map(|file| (&file["bytes"], &file["sha256"])).collect();
    let expected = (&json!(DATASET.len()), &json!(digest(DATASET.as_bytes())));
    assert_eq!(files, [expected]);
}

/// A job without parameters says so.
pub async fn of_a_job_without_parameters(trial: &mut Trial) {
    let job = JobSpec { parameters: None, ..job(trial, guests::WRITES).await };
    trial.run(&job).await;
    let (facts, _) = is_whole(trial, &job).await;
    assert_eq!(facts.parameters, Sealed::Absent);
}

/// Two jobs with the same parameters and datasets commit to them by different digests.
pub async fn equal_values_of_two_jobs_cannot_be_recognised(trial: &mut Trial) {
    let (one, other) = (job(trial, guests::TRIVIAL).await, job(trial, guests::TRIVIAL).await);
    for job in [&one, &other] {
        trial.run(job).await;
    }
    let (one, other) = (is_whole(trial, &one).await.0, is_whole(trial, &other).await.0);
    assert_ne!(one.parameters, other.parameters);
    assert_ne!(one.datasets, other.datasets);
}

/// A job whose algorithm fails or meets a limit has a receipt with the outcome.
pub async fn of_a_job_whose_algorithm_fails(trial: &mut Trial) {
    let fails = job(trial, guests::FAILS).await;
    let endless = job(trial, guests::ENDLESS).await;
    let endless = JobSpec { limits: Limits { wall_ms: 300, ..endless.limits.clone() }, ..endless };
    for (job, phase) in [(fails, Phase::AlgorithmFailed), (endless, Phase::LimitExceeded)] {
        assert_eq!(trial.run(&job).await.phase, phase);
        let (facts, _) = is_whole(trial, &job).await;
        assert!(facts.outcome.is_some_and(|outcome| !outcome.is_success()));
    }
}

/// A job whose inputs cannot be fetched has a receipt that says that nothing ran.
pub async fn of_a_job_that_never_ran(trial: &mut Trial) {
    let mut data = job(trial, guests::WRITES).await;
    data.inputs[0].source = missing_upload();
    let mut algorithm = job(trial, guests::WRITES).await;
    algorithm.algorithm.source = missing_upload();
    let mut large = job(trial, guests::WRITES).await;
    large.limits.memory_bytes = 1 << 44;
    for (job, phase) in [
        (data, Some(Phase::DataProvisioningFailed)),
        (algorithm, Some(Phase::AlgorithmProvisioningFailed)),
        (large, None),
    ] {
        let ended = trial.run(&job).await.phase;
        assert!(phase.is_none_or(|phase| phase == ended), "{ended:?}");
        let stored = receipt(trial, &job).await;
        let facts: Receipt = serde_json::from_str(&stored.text).expect("a receipt");
        assert_eq!((facts.phase, facts.outputs), (ended, ReceiptOutputs::NothingReleased));
        assert_eq!((facts.report, facts.outcome, facts.algorithm_sha256), (Sealed::Absent, None, None));
    }
}

/// A job that is stopped or expires has a receipt, wherever it was.
pub async fn of_a_job_that_is_stopped_or_expires(trial: &mut Trial) {
    let running = job(trial, guests::ENDLESS).await;
    trial.submit(&running).await;
    trial.until_phase(running.id, Phase::Running).await;
    trial.stop(running.id).await;
    assert_eq!(trial.ended(running.id).await.phase, Phase::Stopped);
    is_whole(trial, &running).await;
    trial.start_no_jobs().await;
    let stopped = job(trial, guests::WRITES).await;
    let expires = job(trial, guests::WRITES).await;
    let times = TimeLimits { queue_ms: 200, ..TimeLimits::default() };
    let expires = JobSpec { times, created: trial.now(), ..expires };
    for job in [&stopped, &expires] {
        trial.submit(job).await;
    }
    trial.stop(stopped.id).await;
    for (job, phase) in [(&stopped, Phase::Stopped), (&expires, Phase::Expired)] {
        assert_eq!(trial.ended(job.id).await.phase, phase);
        let (facts, _) = is_whole(trial, job).await;
        assert_eq!((facts.outcome, facts.report), (None, Sealed::Absent));
    }
}

/// A job whose outputs are refused, by a rule or by a reviewer, has a receipt; the reviewer's says who decided.
pub async fn of_a_job_whose_outputs_are_refused(trial: &mut Trial) {
    let mut rule = job(trial, guests::WRITES).await;
    rule.terms.release.media_types = Some(["image/png".parse().expect("a media type")].into());
    assert_eq!(trial.run(&rule).await.phase, Phase::OutputRefused);
    assert_eq!(is_whole(trial, &rule).await.0.review, None);
    for verdict in [ReviewVerdict::Approve, ReviewVerdict::Refuse("no".to_owned())] {
        let mut job = job(trial, guests::WRITES).await;
        job.terms.release.review = true;
        trial.submit(&job).await;
        trial.until_phase(job.id, Phase::InReview).await;
        let mut event = trial.event(AuditAction::Reviewed);
        event.actor = "bob".to_owned();
        let approved = verdict == ReviewVerdict::Approve;
        trial.engine().review(job.id, verdict, event.clone()).await.expect("decided");
        trial.ended(job.id).await;
        let review = is_whole(trial, &job).await.0.review.expect("a decision");
        assert_eq!((review.approved, review.by, review.at), (approved, account("bob"), event.at));
    }
}

/// A receipt is made once: the same text whenever it is asked for, after restarts and when the job is gone.
pub async fn a_receipt_never_changes(trial: &mut Trial) {
    let (finished, failed) = (job(trial, guests::WRITES).await, job(trial, guests::FAILS).await);
    let mut stored = Vec::new();
    for job in [&finished, &failed] {
        trial.run(job).await;
        stored.push(is_whole(trial, job).await.1);
    }
    for round in 0..4 {
        for (job, stored) in [&finished, &failed].into_iter().zip(&stored) {
            assert_eq!(&receipt(trial, job).await, stored, "round {round}");
            if round == 1 {
                let event = trial.event(AuditAction::JobRemoved);
                trial.engine().remove(job.id, event).await.expect("removed");
                assert_eq!(&receipt(trial, job).await, stored, "after the removal");
            }
        }
        trial.restart().await;
    }
    let owner: &Account = &stored.first().expect("a receipt").record.owner;
    assert_eq!(owner, &finished.record.owner);
}
