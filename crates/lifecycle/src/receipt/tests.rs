use super::*;
use crate::testing::*;
use cloister_model::{Event, Fault, Outcome};

const SECRET: [u8; 32] = [5; 32];

fn finished() -> JobStatus {
    status(&[RUNNING.as_slice(), &[Event::Succeeded, Event::Passed, Event::Published]].concat())
}

fn made(status: &JobStatus, report: Option<&Report>, released: &[ResultFile]) -> StoredReceipt {
    receipt(&EndedJob { spec: &spec(), status, report, released, rule: None }, &SECRET).expect("a receipt")
}

fn opening<'a>(receipt: &'a StoredReceipt, pointer: &str) -> Option<&'a Opening> {
    receipt.openings.expose().iter().find(|opening| opening.pointer == pointer)
}

#[test]
fn every_opening_opens_its_value_and_no_sealed_value_stands_in_the_text() {
    let report = report(Outcome::Succeeded);
    let receipt = made(&finished(), Some(&report), &checked());
    let text: Value = serde_json::from_str(&receipt.text).expect("JSON");
    let openings = receipt.openings.expose();
    assert_eq!(openings.len(), 3);
    assert!(openings.iter().all(|opening| opening.opens(&text)));
    let sha256 = |bytes: &[u8]| json!({"sha256": Sha256::of(bytes)});
    let parameters = &opening(&receipt, "/parameters").expect("parameters").value;
    assert_eq!(*parameters, sha256(br#"{"bins":20}"#));
    let stored = serde_json::to_vec(&report).expect("JSON");
    assert_eq!(opening(&receipt, "/report").expect("a report").value, sha256(&stored));
    let files = &opening(&receipt, "/datasets/0/files").expect("files").value;
    let digest = |byte| Sha256::from_bytes([byte; 32]);
    let expected = json!([
        {"path": "0", "bytes": 3, "sha256": digest(1)},
        {"path": "1", "bytes": 3, "sha256": digest(2)},
    ]);
    assert_eq!(*files, expected);
    for hidden in [digest(1).to_string(), digest(2).to_string(), parameters["sha256"].to_string()] {
        assert!(!receipt.text.contains(hidden.trim_matches('"')), "{hidden}");
    }
    assert_eq!(text["outputs"]["files"][0]["name"], "a.csv");
    assert_eq!((text["created"].as_str(), text["code"].as_u64()), (Some("1970-01-01T00:00:01.000Z"), Some(70)));
}

#[test]
fn a_job_that_never_ran_says_so() {
    let stopped = status(&[Event::Stop]);
    let mut without = spec();
    without.parameters = None;
    let receipt =
        receipt(&EndedJob { spec: &without, status: &stopped, report: None, released: &[], rule: None }, &SECRET);
    let receipt = receipt.expect("a receipt");
    let text: Value = serde_json::from_str(&receipt.text).expect("JSON");
    let absent = json!({"state": "absent"});
    for pointer in ["/parameters", "/report", "/datasets/0/files"] {
        assert_eq!(text.pointer(pointer), Some(&absent), "{pointer}");
    }
    for pointer in ["/outcome", "/algorithmSha256", "/engine", "/isolation", "/review"] {
        assert_eq!(text.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
    assert_eq!(text["outputs"], json!({"state": "nothing-released"}));
    assert!(receipt.openings.expose().is_empty());
}

/// The report of a refused job names its outputs; the receipt must not.
#[test]
fn outputs_that_were_not_released_do_not_stand_in_a_receipt() {
    let mut report = report(Outcome::Succeeded);
    let sha256 = Sha256::from_bytes([0xcd; 32]);
    let path = "a-name-that-says-too-much".to_owned();
    report.outputs.push(cloister_model::FileReport { path: path.clone(), bytes: 1, sha256 });
    let refused = status(&[RUNNING.as_slice(), &[Event::Succeeded, Event::Refused]].concat());
    // The consumer is told the name, because the log may leave as it is.
    let reason = Reason::new("the outputs may not leave: csv-rows: `a-name-that-says-too-much`", Fault::Algorithm);
    let quoting = JobStatus { reason: Some(reason), ..refused.clone() };
    let facts =
        EndedJob { spec: &spec(), status: &quoting, report: Some(&report), released: &[], rule: Some("csv-rows") };
    let text = super::receipt(&facts, &SECRET).expect("a receipt").text;
    assert!(text.contains("csv-rows") && !text.contains("a-name-that-says-too-much"), "{text}");
    // Even if the caller passes files.
    let receipt = made(&refused, Some(&report), &checked());
    for hidden in [path, sha256.to_string(), "a.csv".to_owned()] {
        assert!(!receipt.text.contains(&hidden), "{hidden}");
        assert!(!serde_json::to_string(receipt.openings.expose()).expect("JSON").contains(&hidden), "{hidden}");
    }
}

#[test]
fn the_same_facts_give_the_same_text_and_another_secret_other_commitments() {
    let report = report(Outcome::Succeeded);
    let first = made(&finished(), Some(&report), &checked());
    assert_eq!(first, made(&finished(), Some(&report), &checked()));
    let facts =
        EndedJob { spec: &spec(), status: &finished(), report: Some(&report), released: &checked(), rule: None };
    let other = receipt(&facts, &[6; 32]).expect("a receipt");
    assert_ne!(first.text, other.text);
}

#[test]
fn a_job_that_has_not_ended_has_no_receipt() {
    let facts = EndedJob { spec: &spec(), status: &running(), report: None, released: &[], rule: None };
    assert!(matches!(receipt(&facts, &SECRET), Err(NoReceipt::NotEnded)));
}

#[test]
fn moments_are_rfc_3339() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (u64::MAX, "9999-12-30T22:00:00.999Z"),
    ] {
        assert_eq!(rfc3339(at(ms)), text);
    }
}
