//! Schemathesis reads the description of the API that is served, and asks for all that it allows and forbids.

use crate::people::Town;
use cloister_tests::service::tool;
use std::{
    fs,
    process::{Command, Stdio},
};

/// No lies about what is answered: statuses, media types, bodies, headers; and nothing that makes the service fail.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
response_headers_conformance,unsupported_method,use_after_free,ignored_auth";

#[test]
fn what_is_served_is_what_is_described() {
    let town = Town::new();
    let service = &town.service;
    // Something to ask for.
    let (dataset, algorithm) = (town.penguins(), town.column_stats());
    town.allow(&dataset, &algorithm);
    let folder = service.folder().join("schemathesis");
    fs::create_dir(&folder).expect("made");
    let output = Command::new(tool("schemathesis"))
        .args(["run", &format!("{}/openapi.json", service.url())])
        .args(["--header", &format!("Authorization: Bearer {}", town.alice.key)])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--max-examples", "12", "--seed", "20", "--workers", "1", "--continue-on-failure"])
        .args(["--request-timeout", "60", "--suppress-health-check", "all", "--no-color"])
        .args(["--generation-database", "none"])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .expect("Schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // It was here, and the service still is.
    assert!(said.contains("passed") || said.contains("No issues found"), "{said}");
    let _ = service.get(&town.carol, "/v1/whoami").expect(200);
}
