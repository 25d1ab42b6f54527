//! Ocean's operator API, as a Provider uses it: honest, and otherwise.

use crate::scenario::Scenario;
use cloister_tests::{
    root,
    service::{Setup, tool},
};
use serde_json::Value;
use std::process::{Command, Stdio};

/// A Provider's key: a test key, published in Ocean's own documentation.
const KEY: &str = "0x2222222222222222222222222222222222222222222222222222222222222222";
const ADDRESS: &str = "0x1563915e194D8CfBA1943570603F7606A3115508";
/// Its consumer.
const OWNER: &str = "0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE1";

/// Runs the Provider of `tests/conformance` against a service: whether all its checks held, and what it printed.
fn provider(scenario: &Scenario, more: &[&str]) -> (bool, String) {
    let (dataset, algorithm) = (scenario.penguins(), scenario.column_stats());
    scenario.allow(&dataset, &algorithm);
    let output = Command::new(tool("python"))
        .arg(root().join("tests/conformance/provider.py"))
        .args([&scenario.service.url(), KEY, &dataset, &algorithm, "--owner", OWNER])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// The checks that failed.
fn failed(said: &str) -> Vec<Value> {
    let checks = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    checks.filter(|check| check["ok"] != true).collect()
}

#[test]
fn a_provider_is_served_as_by_oceans_own_service_and_a_forged_request_is_refused() {
    let scenario = Scenario::with(Setup::new().set("operator.providers", ADDRESS));
    let (good, said) = provider(&scenario, &["--parameters", r#"{"groupBy": "species"}"#]);
    assert!(good, "{:#?}\n{said}", failed(&said));
    assert!(said.lines().count() > 50, "it does check: {said}");
    // The jobs are the consumer's, decided and recorded as all others.
    let audit = scenario.service.get(&scenario.service.operator, "/v1/audit?limit=1000").expect(200).text();
    assert!(audit.contains(&OWNER.to_lowercase()) && audit.contains("job-allowed"), "{audit}");
}

#[test]
fn another_provider_is_refused() {
    let scenario = Scenario::with(Setup::new().set("operator.providers", "0x0000000000000000000000000000000000000001"));
    let (good, said) = provider(&scenario, &[]);
    assert!(!good, "{said}");
    let jobs = scenario.service.get(&scenario.service.operator, "/v1/jobs").expect_json(200);
    assert_eq!(jobs["items"], serde_json::json!([]));
}

/// Ocean's own suite signs what no rule verifies. A switch, said twice, lets it in, and every answer says so.
#[test]
fn oceans_own_suite_passes_behind_the_switch_for_it() {
    let setup = Setup::new()
        .set("operator.providers", ADDRESS)
        .set("operator.unverified_signatures", "true")
        .set("operator.unverified_signatures_insist", "true");
    let scenario = Scenario::with(setup);
    let (good, said) = provider(&scenario, &["--unverified"]);
    let allowed = good || failed(&said).iter().all(|check| check["check"] == "running jobs");
    assert!(allowed, "{:#?}\n{said}", failed(&said));
    assert!(scenario.service.logs().contains("unverified_signatures"), "it is said at the start");
    // The native API knows no such switch.
    scenario.service.request("GET", "/v1/whoami").send().problem(401);
}
