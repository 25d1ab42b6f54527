//! Taking archived records out of the audit log.

use crate::test_service::{TestService, service, service_with};
use serde_json::{Value, json};
use std::time::Duration;

async fn records(service: &TestService) -> Vec<Value> {
    let list = service.get("olga", "/v1/audit?limit=1000").await.expect(200).json();
    list["items"].as_array().expect("records").clone()
}

fn place(record: &Value) -> Value {
    json!({"through": record["sequence"], "hash": record["hash"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_take_archived_records_out_and_that_stays_on_record() {
    let service = service_with(|settings| settings.audit_keep = Duration::ZERO).await;
    let before = records(&service).await;
    assert!(before.len() > 3);
    for who in ["alice", "bob", "mallory"] {
        service.post(who, "/v1/audit/archive", &place(&before[2])).await.expect(403);
    }
    // Not what the log has.
    let mut other = place(&before[2]);
    other["hash"] = before[1]["hash"].clone();
    for wrong in [other, json!({"through": 99_999, "hash": before[0]["hash"]})] {
        let problem = service.post("olga", "/v1/audit/archive", &wrong).await.expect(409).json();
        assert_eq!(problem["type"], "https://cloister.dev/problems/no-such-record", "{problem:#}");
    }
    for wrong in
        [json!({"through": -1, "hash": before[0]["hash"]}), json!({"through": 1}), json!({"through": 1, "hash": "x"})]
    {
        service.post("olga", "/v1/audit/archive", &wrong).await.expect(422);
    }
    assert_eq!(records(&service).await, before, "a refusal changes nothing");
    service.post("olga", "/v1/audit/archive", &place(&before[2])).await.expect(204);
    let left = records(&service).await;
    assert_eq!(left[..left.len() - 1], before[3..]);
    let said = left.last().expect("a record");
    assert_eq!((&said["action"], &said["actor"]), (&json!("audit-archived"), &json!("olga")));
    let detail: Value = serde_json::from_str(said["detail"].as_str().expect("a text")).expect("JSON");
    assert_eq!(detail, place(&before[2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn young_records_stay_in_the_log() {
    let service = service().await;
    let before = records(&service).await;
    let problem = service.post("olga", "/v1/audit/archive", &place(&before[0])).await.expect(409).json();
    assert_eq!(problem["type"], "https://cloister.dev/problems/record-too-young", "{problem:#}");
    assert_eq!(records(&service).await, before);
}
