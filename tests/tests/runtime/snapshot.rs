//! Interpreters that are initialised when they are installed: runs continue from a state that holds no data, and that is what the
//! manifest names.

use super::{Workshop, installed, said, sha256};
use cloister_model::Outcome;
use serde_json::{Value, json};
use std::fs;

/// A workshop whose interpreter has an initialisation.
fn workshop() -> Workshop {
    Workshop::with(
        "tests/fixtures/initialised.wat",
        |text| text,
        |manifest| {
            manifest["start"] = json!(["_initialize", "init", "run"]);
            manifest["trap"] = json!([]);
            manifest["environment"] = json!({ "ONE": "1" });
            manifest["snapshot"] = json!({
                "initialize": ["_initialize", "init"],
                "start": ["run"],
                "replace": { "old": "the text of the module, ", "new": "another text,          " },
                "files": [{ "guest": "/usr/share/preload", "lines": ["read", "before"] }],
                "sha256": sha256(b"unknown"),
            });
        },
    )
}

/// The manifest with the digest that the snapshot had when it was made here.
fn with_found_digest(workshop: &Workshop) -> Value {
    let added = workshop.add(&workshop.manifest);
    assert!(added.status.success(), "{}", said(&added));
    let text = said(&added);
    let found = text.split("it has sha256 ").nth(1).and_then(|rest| rest.get(..64));
    assert!(found.is_some(), "{text}");
    let mut manifest = workshop.manifest.clone();
    manifest["snapshot"]["sha256"] = json!(found.expect("asserted"));
    manifest
}

#[test]
fn runs_continue_from_the_state_of_an_initialisation_without_data() {
    let workshop = workshop();
    let manifest = with_found_digest(&workshop);
    let added = workshop.add(&manifest);
    assert!(added.status.success() && !said(&added).contains("slowly"), "{}", said(&added));
    for _ in 0..2 {
        let (_, report, log) = workshop.run("0");
        // The replaced text with its zeros, and the file that was there while the interpreter was initialised.
        assert_eq!(String::from_utf8_lossy(&log), "another text,          \0read\nbefore\n");
        let report = report.expect("a report");
        // Both calls, one environment variable, and no dataset.
        assert_eq!(report.outcome, Outcome::AlgorithmFailed { exit_code: 12 });
        let runtime = report.algorithm.runtime.expect("a runtime");
        assert_eq!(
            runtime.snapshot_sha256.map(|sha256| sha256.to_string()),
            manifest["snapshot"]["sha256"].as_str().map(str::to_owned)
        );
        assert_eq!(runtime.module_sha256.to_string(), manifest["module"]["sha256"]);
    }
}

/// The exports that start a run from a snapshot are other ones, and are checked too.
#[test]
fn a_snapshot_that_starts_at_no_export_is_not_installed() {
    let workshop = workshop();
    let mut manifest = with_found_digest(&workshop);
    let removed = workshop.sandbox(&["runtime", "remove", "tiny"]);
    assert!(removed.status.success(), "{}", said(&removed));
    manifest["snapshot"]["start"] = json!(["nosuch"]);
    let added = workshop.add(&manifest);
    assert!(added.status.code() == Some(2) && said(&added).contains("nosuch"), "{}", said(&added));
    assert_eq!(installed(&workshop.at("home")), Vec::<String>::new());
}

#[test]
fn the_same_interpreter_comes_to_the_same_state_in_another_home() {
    let manifests = [workshop(), workshop()].map(|workshop| with_found_digest(&workshop)["snapshot"].clone());
    assert_eq!(manifests[0], manifests[1]);
}

#[test]
fn a_snapshot_that_the_manifest_does_not_name_is_not_used() {
    let workshop = workshop();
    let added = workshop.add(&workshop.manifest);
    assert!(said(&added).contains("scripts will start slowly"), "{}", said(&added));
    assert!(!workshop.at("home/runtimes/tiny/snapshot.wasm").exists());
    let (_, report, log) = workshop.run("0");
    // The module as it was, initialised in the run: it sees the run's variables, and a dataset.
    assert_eq!(String::from_utf8_lossy(&log), "the text of the module, ");
    let report = report.expect("a report");
    assert!(matches!(report.outcome, Outcome::AlgorithmFailed { exit_code } if exit_code > 60), "{:?}", report.outcome);
    assert_eq!(report.algorithm.runtime.expect("a runtime").snapshot_sha256, None);
}

#[test]
fn a_snapshot_that_was_changed_is_not_run() {
    let workshop = workshop();
    assert!(workshop.add(&with_found_digest(&workshop)).status.success());
    let path = workshop.at("home/runtimes/tiny/snapshot.wasm");
    let mut module = fs::read(&path).expect("a snapshot");
    *module.last_mut().expect("not empty") ^= 1;
    fs::write(&path, module).expect("written");
    let (code, report, line) = workshop.run("0");
    assert_eq!((code, report.is_none()), (2, true));
    assert!(
        String::from_utf8_lossy(&line).contains("`snapshot.wasm` has changed"),
        "{}",
        String::from_utf8_lossy(&line)
    );
}

/// State outside memories and globals would be lost without a word, so an interpreter that may have such state has no snapshot.
#[test]
fn an_interpreter_whose_tables_may_change_has_no_snapshot() {
    let changes = |text: String| {
        text.replace(
            "(func (export \"run\")",
            "(func (drop (table.grow (ref.null func) (i32.const 1))))\n(func (export \"run\")",
        )
    };
    let workshop = Workshop::with("tests/fixtures/initialised.wat", changes, |manifest| {
        manifest["start"] = json!(["_initialize", "init", "run"]);
        manifest["snapshot"] =
            json!({ "initialize": ["_initialize", "init"], "start": ["run"], "sha256": sha256(b"unknown") });
    });
    let added = workshop.add(&workshop.manifest);
    assert!(added.status.success() && said(&added).contains("table"), "{}", said(&added));
    assert_eq!(workshop.run("0").1.expect("a report").algorithm.runtime.expect("a runtime").snapshot_sha256, None);
}

/// What fails is said with what the interpreter printed, escaped and bounded.
#[test]
fn an_initialisation_that_fails_is_said() {
    let fails = |text: String| {
        text.replace("(func (export \"init\")", "(func (export \"init\")\n(i32.store (i32.const 0) (i32.const 4096))\n(i32.store (i32.const 4) (i32.const 24))\n(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))\nunreachable")
    };
    let workshop = Workshop::with("tests/fixtures/initialised.wat", fails, |manifest| {
        manifest["snapshot"] =
            json!({ "initialize": ["_initialize", "init"], "start": ["run"], "sha256": sha256(b"unknown") });
    });
    let added = said(&workshop.add(&workshop.manifest));
    assert!(added.contains("scripts will start slowly") && added.contains("the text of the module"), "{added}");
}
