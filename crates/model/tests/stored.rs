//! What engines store is read again as it was, and shows no secret on the way.

use cloister_model::{JobSpec, JobStatus, Phase, Report, Secret, Timestamp};
use cloister_testkit::{job, job_id, report, status_in, url};
use serde_json::json;

const CREATED: Timestamp = Timestamp::from_unix_ms(1);

#[test]
fn a_job_is_stored_and_read_again_and_shows_no_secret() {
    let mut job = job(1, CREATED);
    job.inputs[0].ddo = Some(json!({"id": "did:op:d"}));
    job.inputs[0].source = url("https://example.org/data.csv?token=SECRET");
    job.algorithm.source = cloister_model::JobSource::Rawcode(Secret::new("SECRET".to_owned()));
    job.parameters = Some(Secret::new(json!({"token": "SECRET"})));
    assert!(!format!("{job:?}").contains("SECRET"));
    let card = serde_json::to_string(&job.card()).expect("json");
    assert!(!card.contains("SECRET"), "what leaves the engine: {card}");
    let json = serde_json::to_string(&job).expect("json");
    assert_eq!(json.matches("SECRET").count(), 3, "a secret was not stored");
    assert_eq!(serde_json::from_str::<JobSpec>(&json).expect("a job"), job);
}

#[test]
fn a_status_of_every_phase_is_stored_and_read_again() {
    for phase in Phase::ALL {
        let status = status_in(phase, job_id(1), CREATED);
        let json = serde_json::to_string(&status).expect("json");
        assert_eq!(serde_json::from_str::<JobStatus>(&json).expect("a status"), status);
    }
}

#[test]
fn a_report_is_stored_and_read_again() {
    let json = serde_json::to_string(&report()).expect("json");
    assert_eq!(serde_json::from_str::<Report>(&json).expect("a report"), report());
}
