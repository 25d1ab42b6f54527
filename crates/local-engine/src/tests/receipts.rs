//! Every end has its receipt, and the receipt does not change afterwards.

use super::{Place, close, ended, guests, remove, review, run, stop, submit, until};
use crate::testing;
use cloister_model::{
    EngineError, JobId, JobSpec, Jobs as _, Opening, Outputs as _, Phase, ReviewVerdict, RuntimeKind, Secret, Sha256,
    StoredReceipt, TimeLimits,
};
use serde_json::{Value, json};

async fn receipt(engine: &crate::LocalEngine, job: JobId) -> (StoredReceipt, Value) {
    let receipt = engine.receipt(job).await.expect("a job").expect("a receipt");
    let text: Value = serde_json::from_str(&receipt.text).expect("JSON");
    assert_eq!(text["job"], job.to_string());
    assert!(receipt.openings.expose().iter().all(|opening: &Opening| opening.opens(&text)), "{text:#}");
    (receipt, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_job_has_a_receipt_that_outlives_it_and_stays_the_same() {
    let place = Place::new();
    let engine = place.open().await;
    let job =
        JobSpec { parameters: Some(Secret::new(json!({"bins": 20}))), ..place.job(&engine, guests::WRITES).await };
    submit(&engine, job.clone()).await.expect("submitted");
    ended(&engine, job.id).await;
    let (first, text) = receipt(&engine, job.id).await;
    assert_eq!((&text["phase"], &text["code"]), (&json!("Finished"), &json!(70)));
    assert_eq!(text["outputs"]["state"], "released");
    let results = engine.results(job.id, cloister_model::ResultSet::Released).await.expect("results");
    assert_eq!(text["outputs"]["files"], json!(results));
    let report = engine.report(job.id).await.expect("a report").expect("a report");
    assert_eq!(text["algorithmSha256"], json!(report.algorithm.sha256));
    let opening = |pointer: &str| {
        let openings = first.openings.expose();
        openings.iter().find(|opening| opening.pointer == pointer).map(|opening| opening.value.clone())
    };
    use sha2::Digest as _;
    let sha256 = |bytes: &[u8]| json!({"sha256": Sha256::from_bytes(sha2::Sha256::digest(bytes).into())});
    assert_eq!(opening("/parameters"), Some(sha256(br#"{"bins":20}"#)));
    assert_eq!(opening("/report"), Some(sha256(&serde_json::to_vec(&report).expect("JSON"))));
    assert_eq!(opening("/datasets/0/files").expect("files")[0]["path"], "0");
    assert_eq!(first.record, job.record);

    close(engine).await;
    let engine = place.open().await;
    assert_eq!(receipt(&engine, job.id).await.0, first);
    remove(&engine, job.id).await.expect("removed");
    assert_eq!(engine.status(job.id).await, Err(EngineError::NoSuchJob(job.id)));
    assert_eq!(receipt(&engine, job.id).await.0, first);
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_end_has_one_that_says_that_nothing_was_released() {
    let place = Place::new();
    let mut options = place.options();
    options.environment.max_jobs = 1;
    let engine = place.open_with(options).await;
    let mut ends = Vec::new();

    let fails = place.job(&engine, guests::FAILS).await;
    ends.push((run(&engine, &fails).await, true));
    let mut refused = place.job(&engine, guests::WRITES).await;
    refused.terms.release.media_types = Some(["image/png".parse().expect("a media type")].into());
    ends.push((run(&engine, &refused).await, true));
    let mut unfit = testing::job(1000);
    unfit.terms.runtime = RuntimeKind::Container;
    ends.push((submit(&engine, unfit).await.expect("submitted"), false));
    let mut reviewed = place.job(&engine, guests::WRITES).await;
    reviewed.terms.release.review = true;
    submit(&engine, reviewed.clone()).await.expect("submitted");
    until(&engine, reviewed.id, |status| status.phase == Phase::InReview).await;
    assert_eq!(engine.receipt(reviewed.id).await, Ok(None), "it can still change");
    ends.push((review(&engine, reviewed.id, ReviewVerdict::Refuse("no".to_owned())).await.expect("refused"), true));

    let endless = place.job(&engine, guests::ENDLESS).await;
    submit(&engine, endless.clone()).await.expect("submitted");
    until(&engine, endless.id, |status| status.phase == Phase::Running).await;
    let waiting = place.job(&engine, guests::TRIVIAL).await;
    submit(&engine, waiting.clone()).await.expect("submitted");
    ends.push((stop(&engine, waiting.id).await.expect("stopped"), false));
    let mut late = place.job(&engine, guests::TRIVIAL).await;
    late.created = crate::clock::now();
    late.times = TimeLimits { queue_ms: 100, ..TimeLimits::default() };
    ends.push((run(&engine, &late).await, false));
    stop(&engine, endless.id).await.expect("asked");
    ends.push((ended(&engine, endless.id).await, false));

    let phases: Vec<Phase> = ends.iter().map(|(status, _)| status.phase).collect();
    let expected = [
        Phase::AlgorithmFailed,
        Phase::OutputRefused,
        Phase::AlgorithmProvisioningFailed,
        Phase::OutputRefused,
        Phase::Stopped,
        Phase::Expired,
        Phase::Stopped,
    ];
    assert_eq!(phases, expected);
    for (status, has_report) in ends {
        let (_, text) = receipt(&engine, status.id).await;
        assert_eq!(text["outputs"], json!({"state": "nothing-released"}));
        let reason = status.reason.as_ref().expect("a reason");
        assert_eq!(text["reason"]["fault"], json!(reason.fault()));
        // The reason of a broken rule names the output; the receipt names the rule.
        let quotes = reason.text().contains("result.csv");
        let expected = if quotes { "the outputs may not leave: media-type" } else { reason.text() };
        assert_eq!(text["reason"]["text"], expected);
        assert_eq!(text["code"], status.phase.code());
        assert_eq!(text["report"]["state"], if has_report { "committed" } else { "absent" }, "{text:#}");
        assert_eq!(text["review"], json!(status.review));
        assert!(!text.to_string().contains("result.csv"), "an output that was not released: {text:#}");
    }
    close(engine).await;
}
