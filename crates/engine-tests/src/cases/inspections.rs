//! `Inspections`: looking at files that lie elsewhere.

use crate::{
    Trial,
    trial::{ALL, digest},
};
use cloister_model::{ByteRange, FileDigest, Inspection, JobSource, Phase, StoreError};
use cloister_testkit::{OWNER, SourceServer, account, guests, inline, url};
use serde_json::Value;
use std::time::Duration;

/// Long enough for whatever answers.
const LONG: Duration = Duration::from_secs(60);
/// Too short for anything.
const SHORT: Duration = Duration::from_millis(1);

async fn inspect(trial: &Trial, owner: &str, all: &[JobSource], patience: Duration) -> Result<Inspection, StoreError> {
    let files = |source| serde_json::to_value(source).expect("json")["files"].as_array().cloned().unwrap_or_default();
    let sources = Value::Array(all.iter().flat_map(files).collect());
    let sources = serde_json::from_value(sources).expect("sources");
    trial.engine().inspect(account(owner), sources, patience).await
}

/// Asks until the inspection has ended.
async fn inspected(trial: &Trial, owner: &str, all: &[JobSource]) -> Inspection {
    let mut last = Inspection::Pending;
    for _ in 0..10 {
        last = inspect(trial, owner, all, LONG).await.expect("an inspection");
        if last != Inspection::Pending {
            break;
        }
    }
    last
}

fn file(bytes: &[u8]) -> FileDigest {
    FileDigest { sha256: digest(bytes), bytes: bytes.len() as u64 }
}

/// An inspection gives digests and sizes in the order of the sources, and the files can be read.
pub async fn files_are_described_in_their_order(trial: &mut Trial) {
    let server = SourceServer::start().expect("a server");
    let served = SourceServer::CONTENT.as_bytes();
    let all = [inline("second\n"), trial.source(&server, "/data.csv"), inline("first\n")];
    let expected = [file(b"second\n"), file(served), file(b"first\n")];
    for _ in 0..2 {
        assert_eq!(inspected(trial, OWNER, &all).await, Inspection::Ready(expected.to_vec()));
    }
    for (file, text) in expected.iter().zip([b"second\n", served, b"first\n"]) {
        assert_eq!(trial.engine().read_inspected(file.sha256, ALL).await, Ok(text.to_vec()));
        let range = ByteRange { offset: 2, at_most: 3 };
        assert_eq!(trial.engine().read_inspected(file.sha256, range).await, Ok(text[2..5].to_vec()));
    }
}

/// A source that the engine may not or cannot read fails, and the text holds no secret of it.
pub async fn a_source_that_cannot_be_read_is_a_failure(trial: &mut Trial) {
    // Link-local addresses, where clouds keep credentials, are never a source.
    let refused = url("http://169.254.169.254/x?token=SECRET");
    for _ in 0..2 {
        match inspected(trial, OWNER, &[inline("fine\n"), refused.clone()]).await {
            Inspection::Failed(text) => assert!(!text.contains("SECRET") && !text.is_empty(), "{text}"),
            other => unreachable!("it was read: {other:?}"),
        }
    }
    assert_eq!(inspected(trial, OWNER, &[inline("fine\n")]).await, Inspection::Ready(vec![file(b"fine\n")]));
}

/// An inspection that takes long is pending, and asking again does not start another one.
pub async fn an_inspection_goes_on_when_it_is_asked_for_again(trial: &mut Trial) {
    let server = SourceServer::start().expect("a server");
    let stalled = [trial.source(&server, "/stalled")];
    assert_eq!(inspect(trial, OWNER, &stalled, SHORT).await, Ok(Inspection::Pending));
    trial.eventually("the source is asked", async || server.stalled() > 0).await;
    for _ in 0..20 {
        assert_eq!(inspect(trial, OWNER, &stalled, SHORT).await, Ok(Inspection::Pending));
    }
    assert_eq!(server.stalled(), 1, "one inspection asks its source once");
}

/// Inspections of stalled sources, as many as one account may have, delay neither jobs nor their sources.
pub async fn stalled_inspections_delay_no_job(trial: &mut Trial) {
    let server = SourceServer::start().expect("a server");
    let mut under_way = 0;
    loop {
        let stalled = [trial.source(&server, &format!("/stalled/{under_way}"))];
        match inspect(trial, OWNER, &stalled, SHORT).await {
            Ok(Inspection::Pending) => under_way += 1,
            Err(StoreError::Full(_)) => break,
            other => unreachable!("neither pending nor refused: {other:?}"),
        }
        assert!(under_way < 1000, "an account may have any number of inspections");
    }
    assert!(under_way > 0);
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let mut job = trial.job(guests::WRITES).await;
        job.inputs[0].source = trial.source(&server, "/data.csv");
        trial.submit(&job).await;
        jobs.push(job.id);
    }
    for job in jobs {
        assert_eq!(trial.ended(job).await.phase, Phase::Finished);
    }
    // The limit is one account's own.
    let other = inspect(trial, "bob", &[inline("bob's\n")], SHORT).await;
    assert!(!matches!(other, Err(StoreError::Full(_))), "{other:?}");
}

/// A file that was neither inspected nor uploaded cannot be read.
pub async fn a_file_that_was_not_inspected_is_missing(trial: &mut Trial) {
    assert_eq!(trial.engine().read_inspected(digest(b"never seen"), ALL).await, Err(StoreError::Missing));
}
