//! The rules that outputs meet before they leave.

use crate::scenario::{Scenario, reason};
use cloister_model::Phase;
use cloister_tests::service::{phase, printing, text, writing};
use serde_json::{Value, json};

/// Runs a program whose outputs have to be kept back under a contract; gives the reason.
fn refused(scenario: &Scenario, contract: &Value, wat: &str) -> String {
    let name = format!(
        "c{}",
        scenario.service.get(&scenario.alice, "/v1/datasets?limit=100").expect_json(200)["items"]
            .as_array()
            .map_or(0, Vec::len)
    );
    let dataset = scenario.dataset_with_contract(&name, contract);
    let ended = scenario.service.run(&scenario.carol, &scenario.raw_job(&dataset, wat));
    assert_eq!(phase(&ended), Phase::OutputRefused, "{contract}: {ended:#}");
    let id = text(&ended, "id");
    assert_eq!(scenario.service.results(&scenario.carol, &id), Vec::<Value>::new());
    for index in 0..3 {
        scenario.service.get(&scenario.carol, &format!("/v1/jobs/{id}/results/{index}")).problem(404);
    }
    assert!(!scenario.service.home().join("results").join(&id).exists());
    reason(&ended).to_owned()
}

const CSV: &str = "group,count,mean\na,12,1.5\nb,7,2.5\n";

#[test]
fn outputs_that_break_a_rule_are_kept_back_and_the_rule_is_named() {
    let scenario = Scenario::new();
    let csv = writing(&[("table.csv", CSV)]);
    for (contract, wat, said) in [
        (json!({"mediaTypes": ["application/json"]}), &csv, "text/csv"),
        // A name does not make it one.
        (json!({"mediaTypes": ["text/csv"]}), &writing(&[("t.csv", "\u{89}PNG\r\n\u{1a}\nrest")]), "t.csv"),
        (json!({"csv": {"minimum": [{"column": "count", "least": 10}]}}), &csv, "count"),
        (json!({"csv": {"minimum": [{"column": "n", "least": 1}]}}), &csv, "n"),
        (json!({"csv": {"maxRows": 1}}), &csv, "rows"),
        (json!({"csv": {"columns": ["group", "count"]}}), &csv, "column"),
        (json!({"csv": {"maxCellBytes": 3}}), &csv, "bytes"),
        (json!({"json": {"maxDepth": 2}}), &writing(&[("a.json", r#"{"a": {"b": {"c": 1}}}"#)]), "deep"),
        (json!({"json": {"maxValues": 2}}), &writing(&[("a.json", "[1, 2, 3]")]), "values"),
        (
            json!({"json": {"minimum": [{"field": "n", "least": 10}]}}),
            &writing(&[("a.json", r#"[{"n": 12}, {"n": 9}]"#)]),
            "field `n` must be at least 10",
        ),
    ] {
        let reason = refused(&scenario, &contract, wat);
        assert!(reason.to_lowercase().contains(said), "{contract}: {reason}");
        assert!(!reason.contains("2.5"), "a reason holds nothing of the data: {reason}");
    }
    // The same table under rules that it keeps.
    let contract = json!({"mediaTypes": ["text/*"], "csv": {
        "minimum": [{"column": "count", "least": 5}], "maxRows": 2, "maxColumns": 3, "columns": ["group", "count", "mean"]
    }});
    let dataset = scenario.dataset_with_contract("kept", &contract);
    let job = scenario.service.finish(&scenario.carol, &scenario.raw_job(&dataset, &csv));
    assert_eq!(scenario.service.result(&scenario.carol, &job, "table.csv"), CSV.as_bytes());
    // Who kept what back is on record.
    let audit = scenario.service.get(&scenario.service.operator, "/v1/audit?limit=100").expect_json(200).to_string();
    assert!(audit.contains("release-refused"));
}

#[test]
fn output_budgets_hold_while_outputs_are_written() {
    let scenario = Scenario::new();
    // A name that the contract forbids cannot be opened, and the program gives up on the error.
    for (name, contract, wat, ends, said) in [
        ("bytes", json!({"maxBytes": 10}), writing(&[("a", "12345678901")]), Phase::LimitExceeded, "output-bytes"),
        ("files", json!({"maxFiles": 1}), writing(&[("a", ""), ("b", "")]), Phase::LimitExceeded, "output-files"),
        ("names", json!({"names": ["*.csv"]}), writing(&[("a.txt", "x")]), Phase::AlgorithmFailed, "unreachable"),
    ] {
        let dataset = scenario.dataset_with_contract(name, &contract);
        let ended = scenario.service.run(&scenario.carol, &scenario.raw_job(&dataset, &wat));
        assert_eq!(phase(&ended), ends, "{name}: {ended:#}");
        assert!(reason(&ended).contains(said), "{name}: {ended:#}");
        assert_eq!(scenario.service.results(&scenario.carol, &text(&ended, "id")), Vec::<Value>::new());
    }
}

/// Agrees if the first output begins with `a`.
const BEGINS_WITH_A: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\80\00\00\00\01\00\00\00") ;; one byte at 128
  (data (i32.const 64) "data/inputs/outputs/0")
  (func (export "_start")
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 21) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)) (then (call $exit (i32.const 3))))
    (if (call $read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 20)) (then (call $exit (i32.const 4))))
    (if (i32.ne (i32.load8_u (i32.const 128)) (i32.const 97)) (then (call $exit (i32.const 5))))))"#;

#[test]
fn a_publishers_check_program_must_succeed() {
    let scenario = Scenario::new();
    let sha256 = scenario.service.upload(&scenario.alice, &wat::parse_str(BEGINS_WITH_A).expect("a WAT text"));
    let contract = json!({"checks": [{"name": "begins with a", "sha256": sha256}]});
    let dataset = scenario.dataset_with_contract("checked", &contract);
    let job = scenario.service.finish(&scenario.carol, &scenario.raw_job(&dataset, &writing(&[("x", "all is well")])));
    assert_eq!(scenario.service.result(&scenario.carol, &job, "x"), b"all is well");
    let ended = scenario.service.run(&scenario.carol, &scenario.raw_job(&dataset, &writing(&[("x", "bad")])));
    assert_eq!(phase(&ended), Phase::OutputRefused, "{ended:#}");
    assert!(reason(&ended).contains("begins with a"), "{ended:#}");
    // The log is an output like others: held back with them.
    let job = text(&scenario.service.submit(&scenario.carol, &scenario.raw_job(&dataset, &printing("secret"))), "id");
    let ended = scenario.service.ended(&scenario.carol, &job);
    assert_eq!(phase(&ended), Phase::OutputRefused, "there is no first output: {ended:#}");
    assert_eq!(scenario.service.get(&scenario.carol, &format!("/v1/jobs/{job}/log")).expect(200).text(), "");
}

#[test]
fn a_contract_that_names_a_missing_check_program_is_refused() {
    let scenario = Scenario::new();
    let contract = json!({"checks": [{"name": "c", "sha256": "ab".repeat(32)}]});
    let manifest = cloister_tests::service::manifest(
        "Dataset",
        "d",
        &json!({"files": [{"type": "inline", "content": "x"}], "compute": {"outputContract": contract}}),
    );
    let answer = scenario.service.post(&scenario.alice, "/v1/datasets", &manifest);
    assert_eq!(answer.status, 422, "{}", answer.shown());
}

#[test]
fn a_job_on_several_datasets_keeps_the_rules_of_each() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let few = scenario.dataset_with_contract("few", &json!({"maxFiles": 1, "names": ["*.csv", "*.json"]}));
    let typed =
        scenario.dataset_with_contract("typed", &json!({"mediaTypes": ["text/csv"], "names": ["*.csv", "*.txt"]}));
    let job = |wat: &str| json!({"datasets": [few, typed], "algorithm": service.raw(carol, wat)});
    let finished = service.finish(carol, &job(&writing(&[("t.csv", CSV)])));
    let receipt = service.get(carol, &format!("/v1/jobs/{finished}/receipt")).expect_json(200)["receipt"].clone();
    assert_eq!(receipt["outputContract"]["maxFiles"], 1);
    assert_eq!(receipt["outputContract"]["names"], json!(["*.csv"]));
    assert_eq!(receipt["releaseRules"]["mediaTypes"], json!(["text/csv"]));
    for (wat, ends, said) in [
        (writing(&[("a.csv", CSV), ("b.csv", CSV)]), Phase::LimitExceeded, "output-files"),
        (writing(&[("t.json", "{}")]), Phase::AlgorithmFailed, "unreachable"),
        (writing(&[("t.txt", "x")]), Phase::AlgorithmFailed, "unreachable"),
        (writing(&[("t.csv", "\u{89}PNG\r\n\u{1a}\nrest")]), Phase::OutputRefused, "media-type"),
    ] {
        let ended = service.run(carol, &job(&wat));
        assert_eq!(phase(&ended), ends, "{ended:#}");
        assert!(reason(&ended).contains(said), "{ended:#}");
    }
    // Contracts that have nothing in common let nothing run.
    let other = scenario.dataset_with_contract("other", &json!({"names": ["*.png"]}));
    let job = json!({"datasets": [typed, other], "algorithm": service.raw(carol, &writing(&[("a.png", "")]))});
    assert_eq!(service.denied(carol, &job), ["output-contract"]);
    // One dataset twice is a mistake, and one that forbids is enough.
    let closed = service.publish_dataset(alice, "closed", &json!({"files": [{"type": "inline", "content": "x"}]}));
    let raw = service.raw(carol, &writing(&[]));
    assert_eq!(service.denied(carol, &json!({"datasets": [few, few], "algorithm": raw})), ["dataset-twice"]);
    assert_eq!(service.denied(carol, &json!({"datasets": [few, closed], "algorithm": raw})), ["raw-algorithm"]);
}
