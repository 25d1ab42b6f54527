//! The JSON that leaves the program, for those who read it with other tools: `schemas/` says what it looks like, real
//! reports keep to it, and it never changes by accident.

use cloister_model::{Limits, OutputContract, ReleaseRules, Report};
use cloister_tests::{Trial, root};
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fs;

#[expect(clippy::panic, reason = "a helper of tests fails them by panicking")]
fn committed(name: &str) -> Value {
    let path = root().join("schemas").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Compares a committed schema with its type, or writes it anew when asked to.
fn is_current<T: JsonSchema>(name: &str) -> bool {
    let text = serde_json::to_string_pretty(&schema_for!(T)).expect("JSON") + "\n";
    let path = root().join("schemas").join(name);
    if std::env::var_os("CLOISTERDEV_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(root().join("schemas")).expect("a directory");
        fs::write(&path, &text).expect("written");
    }
    fs::read_to_string(&path).is_ok_and(|committed| committed == text)
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let changed: Vec<&str> = [
        ("report.v1.json", is_current::<Report>("report.v1.json")),
        ("output-contract.v1.json", is_current::<OutputContract>("output-contract.v1.json")),
        ("limits.v1.json", is_current::<Limits>("limits.v1.json")),
        ("release-rules.v1.json", is_current::<ReleaseRules>("release-rules.v1.json")),
    ]
    .iter()
    .filter_map(|(name, current)| (!current).then_some(*name))
    .collect();
    assert!(
        changed.is_empty(),
        "{changed:?} below schemas/ are not what the types say. Others read this JSON: a field that is removed or changes \
         its meaning needs a new version, one that is added does not break them. If the change is meant, write them anew \
         with CLOISTERDEV_BLESS=1 cargo test --release -p cloister-tests --test report_schema"
    );
}

#[track_caller]
fn assert_valid(schema: &str, value: &Value) {
    let validator = jsonschema::validator_for(&committed(schema)).expect("a schema");
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
}

const FAILS: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 7))))"#;

#[test]
fn real_reports_match_the_schema() {
    let start =
        |body: &str| Trial::wat(&format!(r#"(module (memory (export "memory") 1) (func (export "_start") {body}))"#));
    for (trial, code, result) in [
        (start(""), 0, "succeeded"),
        (start("").dataset("not a did", b""), 2, ""),
        (Trial::wat(FAILS), 1, "algorithm-failed"),
        (start("unreachable"), 1, "crashed"),
        (start("(loop (br 0))").with(&["--limits", "wall=300ms"]), 3, "limit-exceeded"),
        (start("(loop (br 0))").with(&["--limits", "fuel=1000"]), 3, "limit-exceeded"),
        (Trial::wat(r#"(module (import "env" "system" (func)))"#), 4, "refused"),
        (Trial::bytes(b"#!/bin/sh\n"), 4, "refused"),
        (start("").with(&["--profile", "standard"]), 0, "succeeded"),
        (start("").with_file("--contract", r#"{"names":["*.csv"],"maxFiles":1}"#), 0, "succeeded"),
    ] {
        let ended = trial.run();
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        let path = ended.directory.path().join("report.json");
        if result.is_empty() {
            // A job that never began has no report, not an empty one.
            assert!(!path.exists());
            continue;
        }
        let report: Value = serde_json::from_slice(&fs::read(path).expect("a report")).expect("JSON");
        assert_eq!(report["outcome"]["result"], result);
        assert_valid("report.v1.json", &report);
        // What a reader of this program's types gets is the whole of it.
        let read: Report = serde_json::from_value(report.clone()).expect("a report");
        assert_eq!(serde_json::to_value(read).expect("JSON"), report);
        let validator = jsonschema::validator_for(&committed("report.v1.json")).expect("a schema");
        for (pointer, wrong) in
            [("/outcome/result", json!("fine")), ("/usage/wallMs", json!(-1)), ("/inputs", json!({}))]
        {
            let mut changed = report.clone();
            *changed.pointer_mut(pointer).expect("a field") = wrong;
            assert!(!validator.is_valid(&changed), "{pointer} may be anything");
        }
        let mut changed = report;
        changed["extra"] = json!(1);
        assert!(!validator.is_valid(&changed));
    }
}

#[test]
fn a_printed_report_is_the_written_one() {
    let ended = Trial::wat(FAILS).with(&["--json"]).run();
    let written = fs::read_to_string(ended.directory.path().join("report.json")).expect("a report");
    assert_eq!(ended.stdout, written);
}

/// What the schema takes, the program takes, and the other way round.
#[track_caller]
fn assert_agrees<T: DeserializeOwned>(schema: &str, value: &Value, good: bool) {
    let validator = jsonschema::validator_for(&committed(schema)).expect("a schema");
    assert_eq!(validator.is_valid(value), good, "{schema}: {value}");
    assert_eq!(serde_json::from_value::<T>(value.clone()).is_ok(), good, "{value}");
}

#[test]
fn schemas_and_parsers_agree() {
    for (value, good) in [
        (json!({}), true),
        (serde_json::to_value(OutputContract::default()).expect("JSON"), true),
        (json!({"maxBytes": 1, "names": ["a/*.csv", "**"]}), true),
        (json!({"maxBytes": -1}), false),
        (json!({"maxBytes": "1 MiB"}), false),
        (json!({"names": "*.csv"}), false),
        (json!({"names": [1]}), false),
        (json!({"maxbytes": 1}), false),
    ] {
        assert_agrees::<OutputContract>("output-contract.v1.json", &value, good);
    }
    for (value, good) in [
        (json!({}), true),
        (serde_json::to_value(Limits::default()).expect("JSON"), true),
        (json!({"fuel": null, "compile": {"wallMs": 5}}), true),
        (json!({"fuel": -1}), false),
        (json!({"memoryBytes": 1.5}), false),
        (json!({"compile": {"wall": 5}}), false),
        (json!({"memory": 1}), false),
    ] {
        assert_agrees::<Limits>("limits.v1.json", &value, good);
    }
}
