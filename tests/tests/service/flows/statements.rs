//! What the service says of a job afterwards: report, receipt, explanation.

use crate::people::Town;
use cloister_tests::{
    root,
    service::{Python, text, writing},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;

#[test]
fn the_report_matches_the_committed_schema() {
    let town = Town::new();
    let Town { service, alice, carol, .. } = &town;
    let dataset = service.open_dataset(alice, "d");
    let job = service.finish(carol, &town.raw_job(&dataset, &writing(&[("a.txt", "b")])));
    let schema = fs::read_to_string(root().join("schemas/report.v1.json")).expect("a schema");
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).expect("JSON")).expect("a schema");
    // Its consumer, the publisher of its dataset and the operator read the same.
    let report = service.get(carol, &format!("/v1/jobs/{job}/report")).expect_json(200);
    for who in [alice, &service.operator] {
        assert_eq!(service.get(who, &format!("/v1/jobs/{job}/report")).expect_json(200), report);
    }
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(report["outcome"]["result"], "succeeded", "{report:#}");
    assert_eq!(report["outputs"][0]["path"], "a.txt");
    let walls = report["isolation"].as_object().expect("walls");
    assert!(!walls.is_empty() && walls.values().all(|wall| wall["state"] == "enforced"), "{walls:#?}");
}

/// Another library checks the signature, over a text that it writes itself.
const VERIFY: &str = r#"
import base64, json, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
document = json.loads(sys.argv[1])
text = json.dumps(document["receipt"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
key = Ed25519PublicKey.from_public_bytes(base64.b64decode(document["publicKey"]))
try:
    key.verify(base64.b64decode(document["signature"]), text.encode())
    print("good")
except InvalidSignature:
    print("bad")
"#;

#[test]
fn a_receipt_can_be_verified_by_anybody() {
    let mut town = Town::new();
    let (dataset, algorithm) = (town.penguins(), town.column_stats());
    town.allow(&dataset, &algorithm);
    let Town { service, carol, alice, .. } = &town;
    let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}, "parameters": {"groupBy": "island"}});
    let job = service.finish(carol, &job);
    let document = service.get(carol, &format!("/v1/jobs/{job}/receipt")).expect_json(200);
    assert_eq!(Python::run(VERIFY, &[&document.to_string()]).trim(), "good", "{document:#}");
    // The publisher's says the same, but for what the consumer's parameters were.
    let hers = service.get(alice, &format!("/v1/jobs/{job}/receipt")).expect_json(200);
    assert_eq!(Python::run(VERIFY, &[&hers.to_string()]).trim(), "good", "{hers:#}");
    let mut expected = document["receipt"].clone();
    (expected["parametersSha256"], expected["reportSha256"]) = (Value::Null, hers["receipt"]["reportSha256"].clone());
    assert_eq!(hers["receipt"], expected);

    // It says what ran on what, and what came out.
    let receipt = &document["receipt"];
    assert_eq!((&receipt["job"], &receipt["phase"]), (&json!(job), &json!("Finished")));
    assert_eq!((&receipt["datasets"][0]["did"], &receipt["algorithm"]["did"]), (&json!(dataset), &json!(algorithm)));
    let digest = hex(&Sha256::digest(crate::people::penguins()));
    assert_eq!(text(&receipt["datasets"][0]["files"][0], "sha256"), digest, "{receipt:#}");
    let statistics = service.result(carol, &job, "statistics.json");
    let outputs = receipt["outputs"].as_array().expect("outputs");
    let output = outputs.iter().find(|output| output["name"] == "statistics.json").expect("the output");
    assert_eq!(text(output, "sha256"), hex(&Sha256::digest(statistics)));

    // A changed word is seen.
    for (pointer, value) in [("/receipt/job", json!("0".repeat(32))), ("/receipt/outputs/0/bytes", json!(1))] {
        let mut changed = document.clone();
        *changed.pointer_mut(pointer).expect(pointer) = value;
        assert_eq!(Python::run(VERIFY, &[&changed.to_string()]).trim(), "bad", "{pointer}");
    }
    // The key stays: who noted it once can check every later receipt.
    let key = text(&document, "publicKey");
    assert!(town.service.stop().success());
    town.service.restart();
    let later = town.service.get(&town.carol, &format!("/v1/jobs/{job}/receipt")).expect_json(200);
    assert_eq!((text(&later, "publicKey"), &later["receipt"]), (key, &document["receipt"]));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_ended_job_is_explained_with_its_decision() {
    let town = Town::new();
    let (dataset, algorithm) = (town.penguins(), town.column_stats());
    town.allow(&dataset, &algorithm);
    let Town { service, carol, alice, .. } = &town;
    let job = service.finish(carol, &json!({"datasets": [dataset], "algorithm": {"did": algorithm}}));
    for who in [carol, alice, &service.operator] {
        let explained: Value = service.get(who, &format!("/v1/jobs/{job}/explain")).expect_json(200);
        assert_eq!(explained["phase"], "Finished", "{explained:#}");
        assert!(explained["text"].as_str().is_some_and(|text| !text.is_empty()), "{explained:#}");
        assert!(explained.to_string().contains("trusted-algorithm"), "which rule admitted it: {explained:#}");
    }
}
