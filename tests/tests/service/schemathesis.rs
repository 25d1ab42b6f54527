//! Schemathesis reads the description of the API that is served, and asks for all that it allows and forbids.

use crate::scenario::Scenario;
use cloister_model::Phase;
use cloister_tests::service::{text, tool, writing};
use serde_json::json;
use std::{
    fs,
    process::{Command, Stdio},
};

/// No lies about what is answered: statuses, media types, bodies, headers; and nothing that makes the service fail.
const CHECKS: [&str; 8] = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "use_after_free",
    "ignored_auth",
];

fn checks(left_out: &[&str]) -> String {
    let checks = CHECKS.iter().filter(|check| !left_out.contains(check));
    let checks: String = checks.map(|check| format!("{check}.enabled = true\n")).collect();
    format!("[checks]\nenabled = false\n{checks}\n")
}

/// What is there, for requests that only ask: Schemathesis cannot guess names.
fn things_to_ask_for(scenario: &Scenario) -> String {
    let Scenario { service, alice, .. } = scenario;
    let program = service.raw(alice, &writing(&[("a.csv", "n\n12\n")]));
    let open = json!({"services": [
        {"id": "open", "type": "access", "files": [{"type": "inline", "content": "x"}]},
        {"id": "closed", "type": "compute", "files": [{"type": "inline", "content": "x"}], "compute": {"allowRawAlgorithm": true}}
    ]});
    let open = service.publish_dataset(alice, "open", &open);
    let reviewed = scenario.dataset_with_contract("reviewed", &json!({"review": true}));
    let files = json!([{"type": "upload", "sha256": service.upload(alice, b"a script")}]);
    let spec = json!({"services": [{"id": "open", "type": "access", "files": files}]});
    let algorithm = service.publish_algorithm(alice, "open", &spec);
    let job = |dataset: &str| json!({"datasets": [dataset], "algorithm": program});
    let finished = service.finish(alice, &job(&open));
    let in_review = text(&service.submit(alice, &job(&reviewed)), "id");
    let _ = service.job_in(alice, &in_review, Phase::InReview);
    let operations = |path: &str, parameters: &str| {
        format!(
            "[[operations]]\ninclude-path-regex = '^{path}'\ninclude-method = 'GET'\nparameters = {{ {parameters} }}\n\n"
        )
    };
    // Schemathesis compares each event with a schema that is meant for the whole stream: a text.
    let events = format!(
        "[[operations]]\ninclude-path = '/v1/jobs/{{id}}/events'\nparameters = {{ 'path.id' = '{finished}' }}\n\
         checks = {{ response_schema_conformance = {{ enabled = false }} }}\n\n"
    );
    events
        + &operations(
            "/v1/jobs/[^/]+(/(events|explain|log|report|receipt|results).*)?$",
            &format!("'path.id' = '{finished}', 'path.index' = [0, 1]"),
        )
        + &operations("/v1/jobs/[^/]+/review", &format!("'path.id' = '{in_review}', 'path.index' = [0, 1]"))
        + &operations("/v1/datasets/", &format!("'path.did' = '{open}', 'path.n' = 0"))
        + &operations("/v1/algorithms/", &format!("'path.did' = '{algorithm}', 'path.n' = 0"))
}

#[test]
fn the_service_behaves_as_its_openapi_description_says() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let folder = service.folder().join("schemathesis");
    fs::create_dir(&folder).expect("made");
    let things = things_to_ask_for(&scenario);
    // From one address, 60 requests in a minute may have credentials that are no good: each operation is asked so once, and not in
    // every phase.
    let mut said = String::new();
    for (phases, left_out) in [("coverage", [].as_slice()), ("examples,fuzzing,stateful", &["ignored_auth"])] {
        fs::write(folder.join("schemathesis.toml"), checks(left_out) + &things).expect("written");
        let output = Command::new(tool("schemathesis"))
            .args(["run", &format!("{}/openapi.json", service.url())])
            .args(["--header", &format!("Authorization: Bearer {}", scenario.alice.key)])
            .args(["--phases", phases])
            .args(["--max-examples", "12", "--seed", "20", "--workers", "1", "--continue-on-failure"])
            .args(["--request-timeout", "60", "--suppress-health-check", "all", "--no-color"])
            .args(["--generation-database", "none"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .expect("Schemathesis starts");
        said += &String::from_utf8_lossy(&output.stdout);
        said += &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    // It was here, and the service still is.
    assert!(said.contains("passed") || said.contains("No issues found"), "{said}");
    let _ = service.get(&scenario.carol, "/v1/whoami").expect(200);
}
