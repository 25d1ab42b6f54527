//! Workflows of Ocean's API that are no jobs. What an honest Provider does is tried in `ocean`.

use crate::scenario::Scenario;
use serde_json::{Value, json};

#[test]
fn requests_without_a_listed_provider_are_refused() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let compute = "/api/v1/operator/compute";
    for body in [
        json!({}),
        json!({"workflow": {"stages": []}}),
        json!({"workflow": {"stages": [{}, {}]}, "owner": "0x0", "nonce": "1", "providerSignature": "0x00"}),
        json!([]),
        Value::Null,
    ] {
        let answer = service.request("POST", compute).json(&body).send();
        assert!((400..500).contains(&answer.status), "{body}: {}", answer.shown());
        assert!(answer.json()["error"].is_string(), "{}", answer.shown());
    }
    for method in ["GET", "PUT", "DELETE"] {
        let answer =
            service.request(method, &format!("{compute}?owner=0x0&jobId=x&nonce=1&providerSignature=0x00")).send();
        assert!((400..500).contains(&answer.status), "{method}: {}", answer.shown());
    }
    for path in ["runningjobs", "list", "info", "logs"] {
        let answer = service.request("GET", &format!("/api/v1/operator/{path}")).send();
        assert!(matches!(answer.status, 400 | 401 | 403 | 404), "{path}: {}", answer.shown());
    }
    assert_eq!(service.get(&service.operator, "/v1/jobs").expect_json(200)["items"], json!([]));
    // The routes that need no authentication.
    let _ = service.request("GET", "/").send().expect(200);
    let environments = service.request("GET", "/api/v1/operator/environments").send().expect_json(200);
    assert_eq!(environments.as_array().map(Vec::len), Some(1), "{environments:#}");
}
