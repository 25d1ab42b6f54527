//! Databases of earlier versions, opened by this program. `tests/fixtures/README.md` says what is in them.

use super::{Place, close, stop};
use crate::{LocalEngine, testing};
use cloister_model::{
    AssetKind, AssetQuery, AuditAction, AuditLog as _, ByteRange, Claim, Claims as _, Did, JobId, JobQuery, Jobs as _,
    Keyring as _, LogPart, LogScope, Outcome, Outputs as _, Phase, Registry as _, ResultKind, ResultSet, Sha256,
    StoreError, Timestamp, Uploads as _,
};
use cloister_testkit::account;
use std::{fs, path::Path, sync::Arc};

const FINISHED: &str = "51b0b6f49b9f4f620a165be18b4b1755";
const FAILED: &str = "372a017a66294ce3963ab73669a81df6";
const IN_REVIEW: &str = "ec6024ab710fb65f68feb770de2f95cd";
const QUEUED: &str = "4b0fabbb671e8dc4e275b77d68262f9a";
const PENGUINS: &str = "did:op:bc56d1e42e9df373c1b91fe9df8bf5bce52ec5b155cc2bd8adc54b757a1de1c8";
const COLUMN_STATS: &str = "did:op:e0451a881b375e74e5a8a9460f1027cb2246020941b735d8e711030e1da73300";
const DERIVED: &str = "did:op:5d117601403b65cfca2986ec7ae0a1e243602b18d5f531490fd638715a2d5fd9";
const LAST_RECORD: (u64, &str) = (24, "48940be1be7418e8562a9642110ce865a726dec591db4cfe192241d323c49f74");

fn id(text: &str) -> JobId {
    text.parse().expect("a job")
}

fn did(text: &str) -> Did {
    text.parse().expect("a DID")
}

/// An engine that starts no job, over a copy of a database.
async fn opened(place: &Place, version: &str) -> Arc<LocalEngine> {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version).join("cloister.db");
    fs::create_dir_all(place.home()).expect("made");
    fs::copy(fixture, place.home().join("cloister.db")).expect("copied");
    let mut options = place.options();
    options.environment.max_jobs = 0;
    place.open_with(options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_version_1_are_whole() {
    let place = Place::new();
    let engine = opened(&place, "v1").await;
    let all = JobQuery { at_most: 100, ..JobQuery::default() };
    let jobs = engine.list(all).await.expect("a list");
    let phases: Vec<Phase> = jobs.iter().rev().map(|status| status.phase).collect();
    let expected = [
        Phase::Finished,
        Phase::AlgorithmFailed,
        Phase::AlgorithmFailed,
        Phase::InReview,
        Phase::Finished,
        Phase::OutputRefused,
        Phase::Queued,
    ];
    assert_eq!(phases, expected);
    for status in &jobs {
        assert_eq!(engine.status(status.id).await.as_ref(), Ok(status));
        assert_eq!(status.reason.is_some(), status.phase.has_ended());
        // Every job has its card, which version 1 did not store.
        let card = engine.card(status.id).await.expect("a card");
        assert_eq!((card.id, card.created), (status.id, status.created));
        assert_eq!(card.record.owner, account("consumer"));
        assert!(card.record.published_by(&account("publisher")));
        assert_eq!(engine.receipt(status.id).await, Ok(None), "version 1 stored none");
    }
    let card = engine.card(id(IN_REVIEW)).await.expect("a card");
    assert!(card.terms.release.review && card.record.reviewed_by(&account("publisher"), &card.terms));
    let card = engine.card(id(FINISHED)).await.expect("a card");
    assert_eq!(card.inputs, [did(PENGUINS)]);
    let algorithm = card.record.algorithm.expect("a published one");
    assert_eq!((algorithm.did, algorithm.revision), (did(COLUMN_STATS), 1));

    let report = engine.report(id(FINISHED)).await.expect("asked").expect("a report");
    assert_eq!(report.outcome, Outcome::Succeeded);
    let report = engine.report(id(FAILED)).await.expect("asked").expect("a report");
    assert_eq!(report.outcome, Outcome::AlgorithmFailed { exit_code: 1 });
    let results = engine.results(id(FINISHED), ResultSet::Released).await.expect("results");
    assert_eq!(results.last().map(|file| file.kind), Some(ResultKind::AlgorithmLog));
    assert!(results.len() > 1);
    let held = engine.results(id(IN_REVIEW), ResultSet::UnderReview).await.expect("files");
    assert!(held.iter().any(|file| file.kind == ResultKind::Output));
    let range = ByteRange { offset: 0, at_most: 10 };
    let log = engine.log(id(QUEUED), LogScope::Readable, range).await.expect("a log");
    assert_eq!(log, LogPart { bytes: Vec::new(), total: 0, ended: false });
    // A job that this version did not start can be stopped by it.
    let stopped = stop(&engine, id(QUEUED)).await.expect("stopped");
    assert_eq!(stopped.phase, Phase::Stopped);
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_keys_and_uploads_of_version_1_are_whole() {
    let place = Place::new();
    let engine = opened(&place, "v1").await;
    let query = |kind| AssetQuery { kind, owner: None, after: None, withdrawn: true, at_most: 100 };
    let datasets = engine.assets(query(AssetKind::Dataset)).await.expect("a list");
    let mut names: Vec<&str> = datasets.assets.iter().map(|asset| asset.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["derived", "penguins", "reviewed", "withdrawn"]);
    assert_eq!(engine.assets(query(AssetKind::Algorithm)).await.expect("a list").assets.len(), 1);
    let penguins = engine.asset(did(PENGUINS)).await.expect("asked").expect("an asset");
    assert_eq!((penguins.owner.as_str(), penguins.revision), ("publisher", 2));
    let trusted = serde_json::to_value(&penguins.ddo).expect("json").to_string();
    assert!(trusted.contains(COLUMN_STATS), "what was allowed is still allowed");
    let derived = engine.asset(did(DERIVED)).await.expect("asked").expect("an asset");
    assert_eq!(derived.owner, account("consumer"));
    assert!(derived.files.is_some_and(|files| !files.is_empty()));

    let keys = engine.keys(None).await.expect("a list");
    assert_eq!((keys.len(), keys.iter().filter(|key| key.revoked.is_some()).count()), (4, 1));
    for key in keys {
        assert_eq!(engine.key(key.id.clone()).await, Ok(Some(key)));
    }
    let program = engine.report(id(FINISHED)).await.expect("asked").expect("a report").algorithm;
    let upload = engine.upload(program.sha256, account("publisher")).await.expect("asked").expect("an upload");
    assert_eq!(upload.file.bytes, program.bytes);
    assert_eq!(engine.upload(Sha256::from_bytes([0; 32]), account("publisher")).await, Ok(None));
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_chain_of_version_1_is_continued() {
    let place = Place::new();
    let engine = opened(&place, "v1").await;
    engine.record(vec![testing::event(AuditAction::Released)]).await.expect("on record");
    let records = engine.records(0, 100).await.expect("records");
    let mut last = None;
    for record in &records {
        record.verify(last).expect("a chain");
        last = Some((record.sequence, record.hash));
    }
    let [.., before, _] = records.as_slice() else { panic!("records") };
    assert_eq!((before.sequence, before.hash.to_string().as_str()), LAST_RECORD);
    close(engine).await;
}

/// What version 1 kept by other means is claimed now: nonces, the names of assets, and names that jobs will register.
#[tokio::test(flavor = "multi_thread")]
async fn what_version_1_held_stays_taken() {
    let place = Place::new();
    let engine = opened(&place, "v1").await;
    let until = Timestamp::from_unix_ms(4_102_444_800_000);
    let address = "0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE1";
    for (who, nonce, free) in
        [("consumer", "1795898783000", false), (address, "1795898784000", false), ("consumer", "1795898784000", true)]
    {
        assert_eq!(engine.claim(Claim::nonce(&account(who), nonce, until)).await, Ok(free), "{who} {nonce}");
    }
    let derived = engine.asset(did(DERIVED)).await.expect("asked").expect("an asset");
    let put = |name: &str, number: u8| {
        let ddo =
            serde_json::json!({"id": format!("did:op:{number:064}"), "metadata": {"type": "dataset", "name": name}});
        let ddo = cloister_model::Ddo::from_value(ddo).expect("a DDO");
        let asset = cloister_model::Asset { ddo, name: name.to_owned(), revision: 1, ..derived.clone() };
        engine.put_asset(asset, u64::MAX, testing::event(AuditAction::AssetPublished))
    };
    assert_eq!(put("derived", 1).await, Err(StoreError::Conflict));
    assert_eq!(put("queued-results", 2).await, Err(StoreError::Conflict));
    // The end of the job that would have registered it frees the name.
    stop(&engine, id(QUEUED)).await.expect("stopped");
    put("queued-results", 2).await.expect("free");
    close(engine).await;
}
