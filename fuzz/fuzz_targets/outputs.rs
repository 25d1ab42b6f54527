//! Files that a guest wrote, against rules about CSV and JSON. Whatever the bytes are, there is an answer; and what may leave
//! as JSON or CSV is JSON or CSV to other readers, too.

#![no_main]

use cloister_files::digest_of;
use cloister_model::{FileReport, FilterOrder, JobId, Limits, OutputContract, ReleaseRules, StepVersion};
use cloister_release::check_outputs;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use std::{fs, sync::LazyLock};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

/// Columns and depth that may leave.
const MOST: usize = 5;

fuzz_target!(|bytes: &[u8]| {
    for name in ["a.json", "a.csv"] {
        let may_leave = may_leave(name, bytes);
        if may_leave && name == "a.json" {
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok(), "it left as JSON and is not");
        }
        if may_leave && name == "a.csv" {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
            for record in reader.byte_records() {
                assert!(record.expect("it left as CSV").len() <= MOST, "it left with more columns");
            }
        }
    }
});

fn may_leave(name: &str, bytes: &[u8]) -> bool {
    let path = FOLDER.path().join(name);
    fs::write(&path, bytes).expect("written");
    let file = digest_of(bytes);
    let rules = json!({"csv": {"maxColumns": MOST, "maxRows": 1000}, "json": {"maxDepth": MOST, "maxTextBytes": 100}});
    let order = FilterOrder {
        version: StepVersion::V1,
        job: JobId::from_bytes([0; 16]),
        contract: OutputContract::default(),
        release: serde_json::from_value::<ReleaseRules>(rules).expect("rules"),
        check_limits: Limits::default(),
        outputs: vec![FileReport { path: name.to_owned(), bytes: file.bytes, sha256: file.sha256 }],
        output_directories: 0,
        unreported: false,
    };
    let passed = check_outputs(FOLDER.path(), &order).is_ok();
    fs::remove_file(path).expect("removed");
    passed
}
