//! No effect without its record: every command and its audit event are one transaction.

use super::{Place, close, remove, review, stop, submit};
use crate::{
    LocalEngine,
    store::{DbError, Durability, Fail, Write, receipts},
    testing,
};
use cloister_lifecycle::{LogFate, StoreAway, Transition};
use cloister_model::{
    Account, ApiKey, Asset, AssetKind, AuditAction, AuditLog as _, Backend as _, Claim, Ddo, EngineError, Event, Fault,
    JobId, JobSpec, Jobs as _, Keyring as _, Opening, Outputs as _, Phase, Reason, Registry as _, ReviewVerdict, Role,
    Secret, Sha256, StoreError, StoredReceipt, Unavailability,
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

const REVIEWED: &[Event] =
    &[Event::Accept, Event::Configure, Event::Provisioned, Event::Run, Event::Succeeded, Event::ReviewAsked];

async fn sql(engine: &LocalEngine, sql: &'static str) {
    let run = move |write: &mut Write<'_>| Ok(write.db.execute_batch(sql)?);
    engine.core.store.write::<(), DbError, _>(Durability::Process, run).await.expect("done");
}

/// Takes a job to a phase as an engine that runs it would.
async fn advance(engine: &LocalEngine, job: JobId, events: &'static [Event]) {
    let step = move |write: &mut Write<'_>| {
        let step = crate::testing::step(write, job, events, crate::clock::now(), None);
        step.map(drop).map_err(|error| Fail::Db(DbError::Other(format!("{error:?}"))))
    };
    engine.core.store.write::<(), DbError, _>(Durability::Process, step).await.expect("a step");
}

/// Ends a running job whose log may not leave, as an engine that runs it would.
async fn end_withholding_log(engine: &LocalEngine, job: JobId) {
    let end = move |write: &mut Write<'_>| {
        let reason = Reason::new("it failed", Fault::Algorithm);
        let ended =
            Transition { log: LogFate::Withheld(Vec::new()), ..testing::transition(&[Event::Failed], Some(&reason)) };
        let step = testing::apply(write, job, &ended, crate::clock::now());
        step.map(drop).map_err(|error| Fail::Db(DbError::Other(format!("{error:?}"))))
    };
    engine.core.store.write::<(), DbError, _>(Durability::Process, end).await.expect("an end");
}

/// Lets a job wait for the result store, as an engine that found it away would.
async fn wait_for_store(engine: &LocalEngine, job: &JobSpec) {
    let away = StoreAway::of(job, &Reason::new("it is away", Fault::System));
    let waits = Transition { store_away: Some(away), ..testing::transition(&[], None) };
    let job = job.id;
    let step = move |write: &mut Write<'_>| {
        let step = testing::apply(write, job, &waits, crate::clock::now());
        step.map(drop).map_err(|error| Fail::Db(DbError::Other(format!("{error:?}"))))
    };
    engine.core.store.write::<(), DbError, _>(Durability::Process, step).await.expect("a wait");
}

/// Every row of every table.
fn rows(engine: &LocalEngine) -> BTreeMap<String, Vec<String>> {
    let read = |db: &rusqlite::Connection| {
        let mut tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")?;
        let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut found = BTreeMap::new();
        for table in tables {
            let mut statement = db.prepare(&format!("SELECT * FROM {table}"))?;
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                let row: Result<Vec<_>, _> =
                    (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column)).collect();
                Ok(format!("{:?}", row?))
            })?;
            found.insert(table, rows.collect::<Result<_, _>>()?);
        }
        Ok(found)
    };
    engine.core.store.read(read).expect("read")
}

async fn actions(engine: &LocalEngine) -> Vec<AuditAction> {
    let records = engine.records(0, 100).await.expect("records");
    records.into_iter().map(|record| record.event.action).collect()
}

/// An engine that starts no job by itself.
async fn idle(place: &Place) -> Arc<LocalEngine> {
    let mut options = place.options();
    options.environment.max_jobs = 0;
    place.open_with(options).await
}

fn account() -> Account {
    "alice".parse().expect("an account")
}

fn key() -> ApiKey {
    ApiKey {
        id: "00000000000000aa".parse().expect("an id"),
        account: account(),
        role: Role::Consumer,
        label: String::new(),
        sha256: Sha256::from_bytes([1; 32]),
        created: testing::at(1),
        expires: None,
        revoked: None,
    }
}

fn asset() -> Asset {
    let ddo = json!({"id": "did:op:a", "metadata": {"type": "dataset", "name": "a"}});
    Asset {
        ddo: Ddo::from_value(ddo).expect("a DDO"),
        owner: account(),
        name: "a".to_owned(),
        created: testing::at(1),
        updated: testing::at(1),
        revision: 1,
        withdrawn: None,
        files: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_takes_effect_without_its_record() {
    let place = Place::new();
    let engine = idle(&place).await;
    let [queued, ended, approved, refused, running, unfit, silent, waiting] =
        [1, 2, 3, 4, 5, 6, 8, 9].map(testing::job);
    // Its publisher releases its log.
    let mut silent = silent;
    silent.record.datasets = vec![cloister_testkit::recorded_dataset("d", "alice", false)];
    let unfit = JobSpec { environment: "elsewhere".parse().expect("a name"), ..unfit };
    for job in [&queued, &ended, &approved, &refused, &running, &silent, &waiting] {
        submit(&engine, job.clone()).await.expect("submitted");
    }
    stop(&engine, ended.id).await.expect("stopped");
    for job in [&approved, &refused] {
        advance(&engine, job.id, REVIEWED).await;
    }
    advance(&engine, running.id, &[Event::Accept]).await;
    advance(&engine, silent.id, &[Event::Accept, Event::Configure, Event::Provisioned, Event::Run]).await;
    end_withholding_log(&engine, silent.id).await;
    advance(&engine, waiting.id, &REVIEWED[..5]).await;
    wait_for_store(&engine, &waiting).await;
    engine.put_key(key(), testing::event(AuditAction::KeyCreated)).await.expect("stored");

    let other_key = || ApiKey { id: "00000000000000bb".parse().expect("an id"), ..key() };
    let claims = || vec![Claim::agreement("x"), Claim::asset_name(&account(), AssetKind::Dataset, "b")];
    let allowed = || testing::event(AuditAction::JobAllowed);
    let refusal = || ReviewVerdict::Refuse("no".to_owned());
    // One statement for each command, so that the same list runs with and without a working audit log.
    macro_rules! every_command {
        ($check:ident) => {
            $check!("submit", engine.submit(testing::job(7), claims(), allowed()));
            $check!("submit what cannot run", engine.submit(unfit.clone(), Vec::new(), allowed()));
            $check!("stop a queued job", stop(&engine, queued.id));
            $check!("stop a running job", stop(&engine, running.id));
            $check!("publish again", engine.publish_again(waiting.id, testing::event(AuditAction::PublishingAsked)));
            $check!("remove", remove(&engine, ended.id));
            $check!("approve", review(&engine, approved.id, ReviewVerdict::Approve));
            $check!("refuse", review(&engine, refused.id, refusal()));
            $check!("release a log", engine.release_log(silent.id, testing::event(AuditAction::LogReleased)));
            $check!("put an asset", engine.put_asset(asset(), u64::MAX, testing::event(AuditAction::AssetPublished)));
            $check!("put a key", engine.put_key(other_key(), testing::event(AuditAction::KeyCreated)));
            $check!("revoke", engine.revoke_key(key().id, testing::at(2), testing::event(AuditAction::KeyRevoked)));
        };
    }

    sql(&engine, "CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no record'); END;").await;
    let before = rows(&engine);
    let tally = engine.core.active_jobs().tally();
    macro_rules! changes_nothing {
        ($what:literal, $command:expr) => {
            let error = $command.await.expect_err($what).to_string();
            assert!(error.contains("no record"), "{}: {error}", $what);
            assert_eq!(rows(&engine), before, "{}", $what);
        };
    }
    every_command!(changes_nothing);
    assert_eq!(engine.core.active_jobs().tally(), tally, "nor did it change what is known in memory");
    assert_eq!(engine.key(key().id).await, Ok(Some(key())));

    sql(&engine, "DROP TRIGGER no_audit").await;
    let mut on_record = actions(&engine).await.len();
    macro_rules! is_on_record {
        ($what:literal, $command:expr) => {
            $command.await.expect($what);
            let now = actions(&engine).await.len();
            // A refusal in review has a second record: the engine kept results back.
            assert_eq!(now, on_record + 1 + usize::from($what == "refuse"), "{}", $what);
            on_record = now;
        };
    }
    every_command!(is_on_record);
    assert_eq!(on_record, 22);
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_reported_without_a_change() {
    let place = Place::new();
    let engine = idle(&place).await;
    let before = rows(&engine);
    engine.ready().await.expect("ready");
    assert_eq!(rows(&engine), before);
    assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
    engine.shutdown().await;
    let error = engine.ready().await.expect_err("ending");
    assert!(matches!(error, EngineError::Unavailable { kind: Unavailability::Ending, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_changes_nothing_is_not_on_record() {
    let place = Place::new();
    let engine = idle(&place).await;
    let [job, other, running, waiting] = [1, 2, 3, 4].map(testing::job);
    for job in [&job, &job, &job, &other, &running, &waiting] {
        submit(&engine, job.clone()).await.expect("submitted");
    }
    advance(&engine, running.id, &[Event::Accept]).await;
    for job in [&job, &running] {
        let stopped = stop(&engine, job.id).await.expect("stopped");
        assert_eq!(stop(&engine, job.id).await, Ok(stopped), "stopping again changes nothing");
    }
    advance(&engine, waiting.id, &REVIEWED[..5]).await;
    let publish = |job| engine.publish_again(job, testing::event_at(AuditAction::PublishingAsked, crate::clock::now()));
    assert_eq!(publish(waiting.id).await, Err(EngineError::NotWaitingForStore(waiting.id)));
    wait_for_store(&engine, &waiting).await;
    let asked = publish(waiting.id).await.expect("asked");
    assert_eq!(publish(waiting.id).await, Ok(asked), "an attempt is under way");
    stop(&engine, waiting.id).await.expect("stopped");
    assert_eq!(publish(waiting.id).await, Err(EngineError::NotWaitingForStore(waiting.id)), "it is to end");
    let missing = JobId::from_bytes([9; 16]);
    assert_eq!(publish(missing).await, Err(EngineError::NoSuchJob(missing)));
    assert_eq!(stop(&engine, missing).await, Err(EngineError::NoSuchJob(missing)));
    assert_eq!(remove(&engine, missing).await, Err(EngineError::NoSuchJob(missing)));
    assert_eq!(remove(&engine, other.id).await, Err(EngineError::NotEnded(other.id)));
    let verdict = || ReviewVerdict::Approve;
    assert_eq!(review(&engine, other.id, verdict()).await, Err(EngineError::NotInReview(other.id)));
    assert_eq!(review(&engine, missing, verdict()).await, Err(EngineError::NoSuchJob(missing)));
    let different = JobSpec { queue: "bob".to_owned(), ..other.clone() };
    assert_eq!(submit(&engine, different).await, Err(EngineError::JobExists(other.id)));
    let stale = Asset { revision: 2, ..asset() };
    let put = engine.put_asset(stale, u64::MAX, testing::event(AuditAction::AssetPublished)).await;
    assert_eq!(put, Err(StoreError::Conflict));
    let stops = [AuditAction::JobStopped; 2];
    let expected = [AuditAction::JobAllowed; 4].into_iter().chain(stops);
    let expected = expected.chain([AuditAction::PublishingAsked, AuditAction::JobStopped]);
    assert_eq!(actions(&engine).await, expected.collect::<Vec<_>>());
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_belongs_to_one_unfinished_job() {
    let place = Place::new();
    let engine = idle(&place).await;
    let [first, second] = [1, 2].map(testing::job);
    let name = Claim::asset_name(&account(), AssetKind::Dataset, "a");
    let claims = || vec![Claim::agreement("x"), name.clone()];
    let record = || testing::event(AuditAction::JobAllowed);
    engine.submit(first.clone(), claims(), record()).await.expect("submitted");
    engine.submit(first.clone(), claims(), record()).await.expect("the same job again");
    for taken in [Claim::agreement("x"), name.clone()] {
        let wanted = vec![Claim::agreement("free"), taken.clone()];
        assert_eq!(engine.submit(second.clone(), wanted, record()).await, Err(EngineError::Claimed(taken)));
    }
    assert_eq!(engine.status(second.id).await, Err(EngineError::NoSuchJob(second.id)));
    let published = || testing::event(AuditAction::AssetPublished);
    assert_eq!(
        engine.put_asset(asset(), u64::MAX, published()).await,
        Err(StoreError::Conflict),
        "the job will register it"
    );
    stop(&engine, first.id).await.expect("stopped");
    // Also what the refused submissions had claimed before they were refused is free.
    let all = claims().into_iter().chain([Claim::agreement("free")]).collect();
    engine.submit(second.clone(), all, record()).await.expect("free");
    stop(&engine, second.id).await.expect("stopped");
    engine.put_asset(asset(), u64::MAX, published()).await.expect("free");
    let third = testing::job(3);
    assert_eq!(
        engine.submit(third, vec![name.clone()], record()).await,
        Err(EngineError::Claimed(name)),
        "an asset has it"
    );
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_says_who_reviewed_it() {
    let place = Place::new();
    let engine = idle(&place).await;
    for (number, verdict, approved) in
        [(1, ReviewVerdict::Approve, true), (2, ReviewVerdict::Refuse("no".to_owned()), false)]
    {
        let job = testing::job(number);
        submit(&engine, job.clone()).await.expect("submitted");
        advance(&engine, job.id, REVIEWED).await;
        let before = engine.status(job.id).await.expect("a job");
        assert_eq!((before.phase, &before.review), (Phase::InReview, &None));
        let status = review(&engine, job.id, verdict).await.expect("reviewed");
        let review = status.review.clone().expect("a review");
        assert_eq!((review.approved, &review.by), (approved, &account()));
        assert_ne!(status.seen(), before.seen());
        // The engine may have carried the job on by now: it goes to its next phase with the same review.
        let after = engine.status(job.id).await.expect("a job");
        assert_eq!(after.review, status.review);
        assert_ne!(after.phase, Phase::InReview);
    }
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_outlives_its_job_and_keeps_its_id() {
    let place = Place::new();
    let engine = idle(&place).await;
    let job = testing::job(1);
    assert_eq!(engine.receipt(job.id).await, Err(EngineError::NoSuchJob(job.id)));
    submit(&engine, job.clone()).await.expect("submitted");
    assert_eq!(engine.receipt(job.id).await, Ok(None));
    let receipt = |text: &str| {
        let openings = Secret::new(vec![Opening::new(&[1; 32], "/report", json!(1))]);
        StoredReceipt { text: text.to_owned(), openings, record: job.record.clone() }
    };
    for text in ["{}", "{\"another\": 1}"] {
        let (id, receipt) = (job.id, receipt(text));
        let put = move |write: &mut Write<'_>| Ok(receipts::put(write, id, &receipt)?);
        engine.core.store.write::<(), DbError, _>(Durability::Process, put).await.expect("stored");
    }
    stop(&engine, job.id).await.expect("stopped");
    remove(&engine, job.id).await.expect("removed");
    close(engine).await;
    let engine = idle(&place).await;
    assert_eq!(engine.receipt(job.id).await, Ok(Some(receipt("{}"))), "the first one counts");
    assert_eq!(submit(&engine, job.clone()).await, Err(EngineError::JobExists(job.id)));
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_damaged_job_keeps_no_other_from_going_on() {
    let place = Place::new();
    let engine = idle(&place).await;
    let [damaged, other] = [1, 2].map(testing::job);
    for job in [&damaged, &other] {
        submit(&engine, job.clone()).await.expect("submitted");
    }
    sql(&engine, "UPDATE spec SET spec = '{' WHERE seq = 1; UPDATE card SET card = '{' WHERE seq = 1;").await;
    close(engine).await;
    let engine = idle(&place).await;
    assert_eq!(engine.explain(other.id).await.map(|explanation| explanation.ahead), Ok(Some(0)));
    let figures = engine.figures().await.expect("figures");
    assert_eq!(figures.damaged_jobs, Some(1));
    let error = engine.card(damaged.id).await.expect_err("damaged");
    let EngineError::Unavailable { kind: Unavailability::Store, text } = &error else { panic!("{error:?}") };
    assert!(text.contains("backup"), "{text}");
    close(engine).await;
}
