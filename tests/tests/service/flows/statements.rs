//! What the service says of a job afterwards: report, receipt, explanation.

use crate::scenario::Scenario;
use cloister_tests::{
    root,
    service::{Python, text, writing},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;

#[test]
fn the_report_matches_the_committed_schema() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = service.finish(carol, &scenario.raw_job(&dataset, &writing(&[("a.txt", "b")])));
    let schema = fs::read_to_string(root().join("schemas/report.v1.json")).expect("a schema");
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).expect("JSON")).expect("a schema");
    let report = service.get(carol, &format!("/v1/jobs/{job}/report")).expect_json(200);
    assert_eq!(service.get(&service.operator, &format!("/v1/jobs/{job}/report")).expect_json(200), report);
    // The publisher of its dataset reads the same but for the parameters, which are the consumer's.
    let parameters = "inputs/algoCustomData.json";
    let mut without = report.clone();
    let inputs = without["inputs"].as_array_mut().expect("a list");
    let all = inputs.len();
    inputs.retain(|file| file["path"] != parameters);
    assert_eq!(inputs.len() + 1, all, "{report:#}");
    assert_eq!(service.get(alice, &format!("/v1/jobs/{job}/report")).expect_json(200), without);
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(report["outcome"]["result"], "succeeded", "{report:#}");
    assert_eq!(report["outputs"][0]["path"], "a.txt");
    let walls = report["isolation"].as_object().expect("walls");
    assert!(!walls.is_empty() && walls.values().all(|wall| wall["state"] == "enforced"), "{walls:#?}");
}

/// Another library checks the signature, and that the openings open what they say.
const VERIFY: &str = r#"
import base64, hashlib, json, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
document = json.loads(sys.argv[1])
text = document["text"]
key = Ed25519PublicKey.from_public_bytes(base64.b64decode(document["publicKey"]))
def commitment(opening):
    value = json.dumps(opening["value"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.sha256()
    for part in [b"cloister.dev/commitment/v1", opening["pointer"].encode(), bytes.fromhex(opening["salt"]), value]:
        digest.update(len(part).to_bytes(8, "big") + part)
    return {"state": "committed", "commitment": digest.hexdigest()}
def sealed(pointer):
    value = document["receipt"]
    for name in pointer.split("/")[1:]:
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value
try:
    key.verify(base64.b64decode(document["signature"]), text.encode())
    opened = all(commitment(opening) == sealed(opening["pointer"]) for opening in document["openings"])
    print("good" if json.loads(text) == document["receipt"] and opened else "bad")
except InvalidSignature:
    print("bad")
"#;

#[test]
fn anyone_can_verify_a_receipt() {
    let mut scenario = Scenario::new();
    let (dataset, algorithm) = (scenario.penguins(), scenario.column_stats());
    scenario.allow(&dataset, &algorithm);
    let Scenario { service, carol, alice, .. } = &scenario;
    let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}, "parameters": {"groupBy": "island"}});
    let job = service.finish(carol, &job);
    let document = service.get(carol, &format!("/v1/jobs/{job}/receipt")).expect_json(200);
    assert_eq!(Python::run(VERIFY, &[&document.to_string()]).trim(), "good", "{document:#}");
    // Every reader gets the same text and signature; the publisher opens the files of their own dataset.
    for (who, pointers) in [
        (alice, vec!["/datasets/0/files"]),
        (&service.operator, vec!["/datasets/0/files", "/parameters", "/report"]),
        (carol, vec!["/datasets/0/files", "/parameters", "/report"]),
    ] {
        let theirs = service.get(who, &format!("/v1/jobs/{job}/receipt")).expect_json(200);
        assert_eq!(Python::run(VERIFY, &[&theirs.to_string()]).trim(), "good", "{theirs:#}");
        assert_eq!((&theirs["text"], &theirs["signature"]), (&document["text"], &document["signature"]));
        let openings = theirs["openings"].as_array().expect("openings");
        let mut seen: Vec<String> = openings.iter().map(|opening| text(opening, "pointer")).collect();
        seen.sort_unstable();
        assert_eq!(seen, pointers, "{theirs:#}");
    }

    // It says what ran on what, and what came out.
    let receipt = &document["receipt"];
    assert_eq!((&receipt["job"], &receipt["phase"]), (&json!(job), &json!("Finished")));
    assert_eq!((&receipt["datasets"][0]["did"], &receipt["algorithm"]), (&json!(dataset), &json!(algorithm)));
    let digest = hex(&Sha256::digest(crate::scenario::penguins()));
    let openings = document["openings"].as_array().expect("openings");
    let files = openings.iter().find(|opening| opening["pointer"] == "/datasets/0/files").expect("an opening");
    assert_eq!(text(&files["value"][0], "sha256"), digest, "{files:#}");
    let statistics = service.result(carol, &job, "statistics.json");
    let outputs = receipt["outputs"]["files"].as_array().expect("outputs");
    let output = outputs.iter().find(|output| output["name"] == "statistics.json").expect("the output");
    assert_eq!(text(output, "sha256"), hex(&Sha256::digest(statistics)));

    // A changed word is seen.
    let forged = text(&document, "text").replace("Finished", "Stopped");
    for (pointer, value) in [
        ("/receipt/job", json!("0".repeat(32))),
        ("/receipt/outputs/files/0/bytes", json!(1)),
        ("/text", json!(forged)),
        ("/openings/0/value", json!("another")),
    ] {
        let mut changed = document.clone();
        *changed.pointer_mut(pointer).expect(pointer) = value;
        assert_eq!(Python::run(VERIFY, &[&changed.to_string()]).trim(), "bad", "{pointer}");
    }
    // The key stays: who noted it once can check every later receipt.
    let key = text(&document, "publicKey");
    assert!(scenario.service.stop().success());
    scenario.service.restart();
    let later = scenario.service.get(&scenario.carol, &format!("/v1/jobs/{job}/receipt")).expect_json(200);
    assert_eq!((text(&later, "publicKey"), &later["receipt"]), (key, &document["receipt"]));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_ended_job_is_explained_with_its_decision() {
    let scenario = Scenario::new();
    let (dataset, algorithm) = (scenario.penguins(), scenario.column_stats());
    scenario.allow(&dataset, &algorithm);
    let Scenario { service, carol, alice, .. } = &scenario;
    let job = service.finish(carol, &json!({"datasets": [dataset], "algorithm": {"did": algorithm}}));
    for who in [carol, alice, &service.operator] {
        let explained: Value = service.get(who, &format!("/v1/jobs/{job}/explain")).expect_json(200);
        assert_eq!(explained["phase"], "Finished", "{explained:#}");
        assert!(explained["text"].as_str().is_some_and(|text| !text.is_empty()), "{explained:#}");
        assert!(explained.to_string().contains("trusted-algorithm"), "which rule admitted it: {explained:#}");
    }
}
