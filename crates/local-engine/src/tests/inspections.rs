//! Looking at files that lie elsewhere.

use super::{Place, close, run};
use crate::testing;
use cloister_model::{ByteRange, FileDigest, Inspection, Inspections as _, Phase, Sources, StoreError};
use cloister_testkit::account;
use serde_json::{Value, json};
use std::{fs, net::TcpListener, time::Duration};

const LONG: Duration = Duration::from_secs(60);

fn sources_of(files: Value) -> Sources {
    serde_json::from_value(files).expect("sources")
}

fn inline(text: &str) -> Sources {
    sources_of(json!([{"type": "inline", "content": text}]))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_described_and_can_be_read() {
    let place = Place::new();
    let engine = place.open().await;
    let found = engine.inspect(account("alice"), inline("a,b\n"), LONG).await.expect("inspected");
    let Inspection::Ready(files) = &found else { panic!("{found:?}") };
    let [FileDigest { sha256, bytes: 4 }] = files.as_slice() else { panic!("{files:?}") };
    let range = ByteRange { offset: 2, at_most: 9 };
    assert_eq!(engine.read_inspected(*sha256, range).await, Ok(b"b\n".to_vec()));
    assert_eq!(engine.inspect(account("alice"), inline("a,b\n"), Duration::ZERO).await, Ok(found), "remembered");
    let missing = cloister_model::Sha256::from_bytes([9; 32]);
    assert_eq!(engine.read_inspected(missing, range).await, Err(StoreError::Missing));
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_reported_and_the_next_call_starts_over() {
    let place = Place::new();
    let file = place.directory.path().join("shared/data.csv");
    fs::create_dir(place.directory.path().join("shared")).expect("made");
    let mut options = place.options();
    options.sources.local_roots = vec![place.directory.path().join("shared")];
    let engine = place.open_with(options).await;
    let sources = || sources_of(json!([{"type": "local", "path": file}]));
    let found = engine.inspect(account("alice"), sources(), LONG).await.expect("inspected");
    assert!(matches!(found, Inspection::Failed(_)), "{found:?}");
    fs::write(&file, "a").expect("written");
    let found = engine.inspect(account("alice"), sources(), LONG).await.expect("inspected");
    assert!(matches!(found, Inspection::Ready(_)), "{found:?}");
    close(engine).await;
}

/// Sources that never answer hold up the inspections of the account that named them, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn slow_inspections_hold_up_no_job_and_no_other_account() {
    let place = Place::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    fs::create_dir(place.directory.path().join("shared")).expect("made");
    let file = place.directory.path().join("shared/data.csv");
    fs::write(&file, "a,b\n").expect("written");
    let mut options = place.options();
    options.sources.allow_networks = vec!["127.0.0.0/8".parse().expect("a network")];
    options.sources.local_roots = vec![place.directory.path().join("shared")];
    options.sources.parallel = 1;
    let engine = place.open_with(options).await;
    let slow = |number: u32| sources_of(json!([{"type": "url", "url": format!("http://{address}/{number}")}]));
    for _ in 0..2 {
        for number in 0..4 {
            let found = engine.inspect(account("alice"), slow(number), Duration::ZERO).await;
            assert_eq!(found, Ok(Inspection::Pending), "asking again continues the same inspection");
        }
    }
    let found = engine.inspect(account("alice"), slow(4), Duration::ZERO).await;
    assert!(matches!(found, Err(StoreError::Full(_))), "{found:?}");
    // This reads a file, as a fetch does, unlike a source whose content stands in it.
    let local = || json!([{"type": "local", "path": file}]);
    let found = engine.inspect(account("bob"), sources_of(local()), LONG).await;
    assert!(matches!(found, Ok(Inspection::Ready(_))), "{found:?}");

    let mut job = place.job(&engine, super::guests::TRIVIAL).await;
    job.inputs[0].source = testing::source(local());
    assert_eq!(run(&engine, &job).await.phase, Phase::Finished);
    close(engine).await;
}
