//! Where inputs come from, and what goes wrong there: servers that break off, lie, stall and point elsewhere; stores with
//! keys; files larger than memory.

mod addresses;
mod broken;
mod ipfs;
mod large;
mod s3;
mod secrets;

use crate::scenario::Scenario;
use cloister_model::Phase;
use cloister_tests::service::{NOTHING, Setup, phase, text};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::atomic::{AtomicU32, Ordering};

/// A scenario whose service may fetch from this machine.
fn scenario() -> Scenario {
    Scenario::with(near())
}

fn near() -> Setup {
    Setup::new().set("sources.allow_networks", "127.0.0.0/8")
}

/// Runs a job on a dataset of this one file: what arrived (its digest and size), or the job if it failed.
fn fetch(scenario: &Scenario, file: &Value) -> Result<(String, u64), Value> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("source-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let spec = json!({"files": [file], "compute": {"allowRawAlgorithm": true}});
    let dataset = scenario.service.publish_dataset(&scenario.alice, &name, &spec);
    let ended = scenario.service.run(&scenario.carol, &scenario.raw_job(&dataset, NOTHING));
    if phase(&ended) != Phase::Finished {
        return Err(ended);
    }
    let receipt =
        scenario.service.get(&scenario.carol, &format!("/v1/jobs/{}/receipt", text(&ended, "id"))).expect_json(200);
    let openings = receipt["openings"].as_array().expect("openings");
    let files =
        openings.iter().find(|opening| opening["pointer"] == "/datasets/0/files").expect("the files of the dataset");
    let file = &files["value"][0];
    Ok((text(file, "sha256"), file["bytes"].as_u64().expect("a size")))
}

/// Asserts that the file does not arrive, that its publisher is told why in these words, and that the service goes on.
#[track_caller]
fn assert_fails(scenario: &Scenario, file: &Value, words: &[&str]) -> Value {
    let ended = fetch(scenario, file).expect_err("it should not arrive");
    assert_eq!(phase(&ended), Phase::DataProvisioningFailed, "{file}: {ended:#}");
    let reason = reason_for_publisher(scenario, &ended);
    for word in words {
        assert!(reason.contains(&word.to_lowercase()), "{file}: no `{word}` in: {reason}");
    }
    ended
}

/// Why a job failed, as the publisher of its dataset is told, in lower case. Its consumer is told only which file did not
/// arrive, and whom to ask.
fn reason_for_publisher(scenario: &Scenario, ended: &Value) -> String {
    let id = ended["id"].as_str().expect("an id");
    let told = scenario.service.get(&scenario.alice, &format!("/v1/jobs/{id}/explain")).expect_json(200);
    let detail = told["detail"].as_str().unwrap_or_default();
    format!("{} {detail}", crate::scenario::reason(ended)).to_lowercase()
}

/// Asserts that exactly these bytes arrive.
#[track_caller]
fn assert_arrives(scenario: &Scenario, file: &Value, bytes: &[u8]) {
    match fetch(scenario, file) {
        Ok(arrived) => assert_eq!(arrived, (digest(bytes), bytes.len() as u64), "{file}"),
        Err(ended) => panic!("{file}: {ended:#}"),
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes in which every part is different.
fn content(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut all = Vec::with_capacity(bytes + 8);
    while all.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend_from_slice(&state.to_le_bytes());
    }
    all.truncate(bytes);
    all
}
