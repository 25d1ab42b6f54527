//! The description of the HTTP interface, for those who write clients: what is committed is what the program serves.

use cloister_tests::{
    root,
    service::{cloister, tool},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, process::Command};

fn printed() -> String {
    let output = Command::new(cloister()).arg("openapi").output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_committed_description_is_the_one_that_is_served() {
    let (path, text) = (root().join("schemas/openapi.json"), printed());
    if std::env::var_os("CLOISTERDEV_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, &text).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "schemas/openapi.json is not what `cloister openapi` prints. Clients are made from it: if the change is meant, run \
         CLOISTERDEV_BLESS=1 cargo test --release -p cloister-tests --test openapi"
    );
}

/// By rules that others wrote: those of OpenAPI 3.1 and of JSON Schema 2020-12.
#[test]
fn the_description_is_valid() {
    let output = Command::new(tool("openapi-spec-validator"))
        .args(["--schema", "3.1", "--validation-errors", "all"])
        .arg(root().join("schemas/openapi.json"))
        .output()
        .expect("the validator starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("OK"), "{said}");
}

#[test]
fn every_operation_says_what_it_does_and_what_can_go_wrong() {
    let description: Value = serde_json::from_str(&printed()).expect("JSON");
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut names = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let at = format!("{method} {path}");
            let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{at} has no operationId"));
            assert!(names.insert(name.to_owned()), "{at}: `{name}` is another's name");
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{at} says nothing");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.keys().any(|status| status.starts_with('2')), "{at} never succeeds");
            // The others have what the description says of all.
            let open = operation.get("security").is_some();
            assert!(open || !path.starts_with("/v1/") || responses.contains_key("401"), "{at} does not tell of a 401");
        }
    }
    assert!(names.len() > 30, "{names:?}");
}
