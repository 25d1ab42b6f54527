//! A `ComputeJob` is a job of the model, in both directions.

use crate::resources::{
    Attempts, ComputeJob, ComputeJobSpec, ComputeJobStatus, Condition, ConditionStatus, LogDecision,
    MOST_DOCUMENT_BYTES, Order, OrderError, Payload, PublishRequest, ReviewDecision, StopRequest, Verdict,
};
use cloister_model::{
    ConfigureOrder, JobInput, JobSource, JobSpec, JobStatus, Phase, Secret, Sha256, StoreWait, Timestamp, WithheldLog,
};
use cloister_testkit::{job, labels, status_in, terms};
use serde_json::json;

fn payload() -> Payload {
    Payload { secrets: vec!["x-p0".to_owned()], sha256: Sha256::from_bytes([7; 32]), bytes: 9 }
}

/// A job with secrets everywhere.
fn secret_job() -> JobSpec {
    let mut job = job(1, Timestamp::from_unix_ms(1_795_363_289_021));
    job.parameters = Some(Secret::new(json!({"bins": "SECRET"})));
    job.inputs[0].ddo = Some(json!({"id": "did:op:d", "more": "SECRET"}));
    job.algorithm.source = JobSource::Rawcode(Secret::new("SECRET".to_owned()));
    job.delivery.register = Some(Box::new(cloister_testkit::dataset("e", "alice", "results")));
    job.limits.fuel = Some(u64::MAX);
    job.times.keep_ms = u64::MAX;
    job.times.publishing_ms = 7;
    job.labels = labels(&[("owner", "alice"), ("agreement", "0x1")]);
    job
}

fn resource(job: &JobSpec) -> ComputeJob {
    let order = Order::of(job, payload()).expect("an order");
    ComputeJob::new(&job.id.to_string(), ComputeJobSpec::of(order))
}

#[test]
fn an_order_and_its_payload_are_the_job() {
    let job = secret_job();
    let resource = resource(&job);
    let written = serde_json::to_string(&resource).expect("json");
    assert!(!written.contains("SECRET"), "{written}");
    let read: ComputeJob = serde_json::from_str(&written).expect("a resource");
    let without = read.job().expect("a job");
    assert_eq!((&without.terms, &without.limits, &without.times), (&job.terms, &job.limits, &job.times));
    assert_eq!((&without.labels, &without.record, &without.delivery), (&job.labels, &job.record, &job.delivery));
    assert_eq!(without.parameters, None);
    assert_eq!(read.spec.order.whole(job.id, ConfigureOrder::of(&job)).expect("the whole job"), job);
}

#[test]
fn the_payload_of_another_job_is_refused() {
    let job = secret_job();
    let order = resource(&job).spec.order;
    let mut other = ConfigureOrder::of(&job);
    other.job = cloister_testkit::job_id(2);
    assert!(matches!(order.whole(job.id, other), Err(OrderError::Contradiction { field: "payload", .. })));
    let mut other = ConfigureOrder::of(&job);
    other.inputs.pop();
    assert!(matches!(order.whole(job.id, other), Err(OrderError::Contradiction { field: "payload.inputs", .. })));
}

/// What the controller lets configuration see of the result store depends on it.
#[test]
fn an_order_says_whether_it_needs_the_result_store() {
    let stored = || cloister_testkit::uploaded(Sha256::from_bytes([1; 32]));
    let result: JobSource = serde_json::from_value(json!({"files": [
        {"type": "inline", "content": "x"},
        {"type": "result", "job": cloister_testkit::job_id(2), "index": 0},
    ]}))
    .expect("a source");
    type Change = Box<dyn Fn(&mut JobSpec)>;
    let changes: [(bool, Change); 4] = [
        (false, Box::new(|_| ())),
        (true, Box::new(move |job| job.algorithm.source = stored())),
        (true, Box::new(move |job| job.inputs[0].source = stored())),
        (true, Box::new(move |job| job.inputs[0].source = result.clone())),
    ];
    for (number, (expected, change)) in changes.into_iter().enumerate() {
        let mut job = secret_job();
        change(&mut job);
        let order = resource(&job).spec.order;
        assert_eq!(order.reads_store, expected, "{number}");
        assert_eq!(ConfigureOrder::of(&job).reads_store(), expected, "{number}");
        let written = serde_json::to_value(&order).expect("json");
        assert_eq!(written.get("readsStore").is_some(), expected, "{number}");
        // A controller that does not know it must not carry out an order that needs it.
        assert_eq!(order.document.contains("readsStore"), expected, "{number}");
        let read: Order = serde_json::from_value(written).expect("an order");
        assert_eq!(read.whole(job.id, ConfigureOrder::of(&job)).expect("the job"), job);
    }
}

/// The controller mounts claims with datasets for such orders, and for no others.
#[test]
fn an_order_says_whether_it_needs_folders_of_the_operator() {
    let local: JobSource =
        serde_json::from_value(json!({"files": [{"type": "local", "path": "/srv/a"}]})).expect("a source");
    for expected in [false, true] {
        let mut job = secret_job();
        job.inputs.iter_mut().for_each(|input| input.source = cloister_testkit::uploaded(Sha256::from_bytes([1; 32])));
        if expected {
            job.inputs[0].source = local.clone();
        }
        let order = resource(&job).spec.order;
        assert_eq!((order.reads_local, order.document.contains("readsLocal")), (expected, expected));
        let read: Order = serde_json::from_value(serde_json::to_value(&order).expect("json")).expect("an order");
        assert_eq!(read.whole(job.id, ConfigureOrder::of(&job)).expect("the job"), job);
    }
}

/// Terms that a later version wrote must not become wider because this one does not know them.
#[test]
fn an_order_that_is_not_understood_is_refused() {
    let mut later = resource(&secret_job());
    later.spec.order.document =
        later.spec.order.document.replacen("\"network\":", "\"onlyOnSundays\":true,\"network\":", 1);
    assert!(matches!(later.job(), Err(OrderError::Document { .. })), "{:?}", later.job());
    let mut version = resource(&secret_job());
    version.spec.order.document = version.spec.order.document.replace("order/v1", "order/v2");
    assert!(version.job().expect_err("another version").to_string().contains("version"));
}

/// People and selectors read the summary; the engine acts on the document.
#[test]
fn a_summary_that_says_something_else_is_refused() {
    type Change = fn(&mut ComputeJob);
    let changes: [(&str, Change); 7] = [
        ("readsLocal", |job| job.spec.order.reads_local = !job.spec.order.reads_local),
        ("readsStore", |job| job.spec.order.reads_store = !job.spec.order.reads_store),
        ("environment", |job| job.spec.order.environment = "other".to_owned()),
        ("queue", |job| job.spec.order.queue = "other".to_owned()),
        ("inputs", |job| job.spec.order.inputs.clear()),
        ("algorithm", |job| job.spec.order.algorithm.image = "python".to_owned()),
        ("metadata.name", |job| job.metadata.name = Some("0".repeat(32))),
    ];
    for (expected, change) in changes {
        let mut changed = resource(&secret_job());
        change(&mut changed);
        assert!(
            matches!(changed.job(), Err(OrderError::Contradiction { field, .. }) if field == expected),
            "{expected}: {:?}",
            changed.job()
        );
    }
}

#[test]
fn an_order_has_a_bound() {
    let mut large = secret_job();
    large.terms.admitted = (0..5000)
        .map(|number| cloister_model::AdmittedDataset {
            did: format!("d{number}").parse().expect("a DID"),
            service: "compute".to_owned(),
            by: cloister_model::AdmittedBy::AllowRawAlgorithm,
            files_checksums: None,
        })
        .collect();
    let error = Order::of(&large, payload()).expect_err("too large");
    assert!(matches!(error, OrderError::TooLarge(bytes) if bytes > MOST_DOCUMENT_BYTES), "{error}");
    // A hundred datasets fit.
    let mut many = secret_job();
    let one = cloister_testkit::recorded_dataset("d", "bob", false);
    many.record.datasets = vec![one; 100];
    many.inputs = (0..100)
        .map(|number| JobInput { did: format!("{number:064}").parse().expect("a DID"), ..many.inputs[0].clone() })
        .collect();
    many.terms = terms();
    assert!(Order::of(&many, payload()).is_ok());
}

#[test]
fn a_status_of_every_phase_is_read_as_it_was_written() {
    for phase in Phase::ALL {
        let mut written = resource(&secret_job());
        let id = written.id().expect("an id");
        let mut status = status_in(phase, id, Timestamp::from_unix_ms(1_795_363_289_021));
        status.labels = secret_job().labels;
        written.status = Some(ComputeJobStatus::of(&status, None, Some(1)));
        let text = serde_json::to_string(&written).expect("json");
        let read: ComputeJob = serde_json::from_str(&text).expect("a resource");
        let found = read.status().expect("a status");
        assert_eq!(found.seen(), written.status().expect("a status").seen());
        status.revision = found.revision;
        assert_eq!(found, status);
        let stored = read.status.expect("a status");
        assert_eq!((stored.over, stored.code), (phase.has_ended(), phase.code()));
        let holds = |kind: &str| {
            Condition::of(&stored.conditions, kind).is_some_and(|condition| condition.status == ConditionStatus::True)
        };
        assert_eq!(holds("Complete"), phase == Phase::Finished);
        assert_eq!(holds("Failed"), phase.has_ended() && phase != Phase::Finished);
    }
}

#[test]
fn a_decision_of_a_reviewer_counts_as_soon_as_it_is_stored() {
    let mut job = resource(&secret_job());
    let id = job.id().expect("an id");
    let at = Timestamp::from_unix_ms(1_795_363_290_000);
    let by = "bob".to_owned();
    for (phase, verdict, expected) in [
        (Phase::InReview, Verdict::Approve, Some(true)),
        (Phase::InReview, Verdict::Refuse, Some(false)),
        // It expired first.
        (Phase::Expired, Verdict::Approve, None),
    ] {
        let status = status_in(phase, id, Timestamp::from_unix_ms(1_795_363_289_021));
        job.status = Some(ComputeJobStatus::of(&status, None, Some(1)));
        let before = job.status().expect("a status").seen();
        job.spec.review = Some(ReviewDecision { verdict, reason: None, by: by.clone(), at: at.into() });
        let shown = job.status().expect("a status");
        assert_eq!(shown.review.as_ref().map(|review| review.approved), expected);
        assert_eq!(shown.seen() != before, expected.is_some());
        job.spec.review = None;
    }
}

/// Who has released a log stands beside the status, and counts as soon as it is stored.
#[test]
fn a_log_is_released_by_all_who_withhold_it() {
    let mut ordered = secret_job();
    let dataset = |did: &str, publisher: &str| {
        let dataset = cloister_testkit::recorded_dataset(did, publisher, false);
        cloister_model::RecordedDataset { log_bytes: 0, ..dataset }
    };
    ordered.record.datasets = vec![dataset("a", "alice"), dataset("b", "bob")];
    let mut job = resource(&ordered);
    let mut status = status_in(Phase::AlgorithmFailed, job.id().expect("an id"), Timestamp::from_unix_ms(5));
    status.withheld_log = Some(WithheldLog::by(ordered.record.withholding_log()));
    job.status = Some(ComputeJobStatus::of(&status, None, Some(1)));
    let mut seen = job.status().expect("a status").seen();
    for (by, missing, bytes) in [("bob", 1, 0), ("alice", 0, u64::MAX)] {
        job.spec.log_releases.push(LogDecision { by: by.to_owned(), at: Timestamp::from_unix_ms(9).into() });
        let found = job.status().expect("a status");
        let log = found.withheld_log.as_ref().expect("a withheld log");
        assert_eq!((log.missing.len(), log.bytes, log.releases.len()), (missing, bytes, 2 - missing));
        assert_ne!(found.seen(), seen);
        seen = found.seen();
    }
}

#[test]
fn a_wait_for_the_result_store_ends_when_its_attempt_is_asked_for() {
    let (mut job, at) = (resource(&secret_job()), Timestamp::from_unix_ms);
    let why = "it is away".to_owned();
    let wait = StoreWait { since: at(10), failures: 2, next: at(99_000), until: at(200_000), why };
    let publishing = status_in(Phase::Publishing, job.id().expect("an id"), at(5));
    let status = JobStatus { store_wait: Some(wait.clone()), ..publishing };
    let attempts = Attempts { publishing: 3, store_away: 2, ..Attempts::default() };
    job.status = Some(ComputeJobStatus { attempts, ..ComputeJobStatus::of(&status, None, Some(1)) });
    let read = |job: &ComputeJob| job.status().expect("a status").store_wait.expect("it waits");
    assert_eq!(read(&job), wait);
    for (attempt, next) in [(2, 99_000), (3, 50_000), (4, 50_000)] {
        job.spec.publish = Some(PublishRequest { at: at(50_000).into(), by: "alice".to_owned(), attempt });
        assert_eq!(read(&job), StoreWait { next: at(next), ..wait.clone() }, "{attempt}");
    }
    // Edited by hand.
    let stored = job.status.as_mut().and_then(|status| status.store_wait.as_mut()).expect("it waits");
    stored.why = "\u{1b}[31m".repeat(300);
    let why = read(&job).why;
    assert!(why.chars().count() <= 500 && !why.contains('\u{1b}'), "{why}");
}

#[test]
fn a_job_that_no_controller_has_seen_is_queued_and_may_be_asked_to_stop() {
    let mut job = resource(&secret_job());
    assert_eq!(job.status().expect("a status").phase, Phase::Queued);
    let at = Timestamp::from_unix_ms(1_795_363_290_000);
    job.spec.stop = Some(StopRequest { at: at.into(), by: "alice".to_owned() });
    let asked = job.status().expect("a status");
    assert_eq!(asked.stop_requested, Some(at));
    // A follower sees that; what the service notes for itself wakes no follower.
    job.spec.stop = None;
    assert_ne!(job.status().expect("a status").seen(), asked.seen());
    let before = job.status().expect("a status").seen();
    job.metadata.annotations = Some([("cloister.dev/audit-pending".to_owned(), "[]".to_owned())].into());
    assert_eq!(job.status().expect("a status").seen(), before);
}
