use super::{Place, close, ended, guests, remove, review, run, soon, stop, submit, until};
use crate::testing;
use cloister_model::{
    Backend as _, EngineError, Inspections as _, JobQuery, Jobs as _, Keyring as _, LogPart, LogScope, Outputs as _,
    Phase, ReviewVerdict, StoreError, Uploads as _,
};
use std::time::Duration;

/// The sandbox program is gone for a while: nothing that waits is lost.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_can_run_nothing_holds_its_queue_and_says_why() {
    let place = Place::new();
    let program = place.directory.path().join("sandbox");
    std::fs::copy(super::sandbox(), &program).expect("copied");
    let engine = place.open_with(crate::Options { sandbox: program.clone(), ..place.options() }).await;
    engine.ready().await.expect("ready");
    let gone = place.directory.path().join("gone");
    std::fs::rename(&program, &gone).expect("moved");
    while engine.ready().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let error = engine.ready().await.expect_err("it can run nothing").to_string();
    assert!(error.contains("sandbox program"), "{error}");
    let job = place.job(&engine, super::guests::TRIVIAL).await;
    submit(&engine, job.clone()).await.expect("taken");
    let explained = engine.explain(job.id).await.expect("explained");
    assert!(explained.text.contains("sandbox program"), "{}", explained.text);
    assert_eq!(engine.status(job.id).await.expect("a job").phase, Phase::Queued);
    std::fs::rename(&gone, &program).expect("moved");
    super::until(&engine, job.id, |status| status.phase == Phase::Finished).await;
    close(engine).await;
}

/// A disk without the room that a job needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_holds_the_queue() {
    let place = Place::new();
    let mut options = place.options();
    options.environment.min_free_bytes = u64::MAX;
    let engine = place.open_with(options).await;
    let error = engine.ready().await.expect_err("no room").to_string();
    assert!(error.contains("make room"), "{error}");
    let job = place.job(&engine, super::guests::TRIVIAL).await;
    submit(&engine, job.clone()).await.expect("taken");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(engine.status(job.id).await.expect("a job").phase, Phase::Queued);
    // It is stopped, so that the operator can make room.
    super::stop(&engine, job.id).await.expect("stopped");
    close(engine).await;
}

/// More than the uploads of these tests have.
const MOST: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_upload_leaves_the_disk_with_its_last_owner() {
    let place = Place::new();
    let engine = place.open().await;
    let [alice, bob] = ["alice", "bob"].map(|name| name.parse::<cloister_model::Account>().expect("an account"));
    let mut sha256 = None;
    for owner in [&alice, &bob] {
        let number = engine.begin_upload().await.expect("begun");
        engine.append_upload(number, vec![1; 10]).await.expect("added");
        let upload = engine.finish_upload(number, owner.clone(), testing::at(1), MOST.into()).await.expect("finished");
        sha256 = Some(upload.file.sha256);
    }
    let sha256 = sha256.expect("sent");
    let path = place.home().join("uploads").join(sha256.to_string());
    engine.remove_upload(sha256, alice.clone(), None).await.expect("deleted");
    assert!(path.exists(), "bob has it");
    assert_eq!(engine.remove_upload(sha256, alice, None).await, Err(StoreError::Missing));
    engine.remove_upload(sha256, bob, None).await.expect("deleted");
    assert!(!path.exists());
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_complete_or_absent() {
    let place = Place::new();
    let engine = place.open().await;
    let owner: cloister_model::Account = "alice".parse().expect("an account");
    let number = engine.begin_upload().await.expect("begun");
    engine.append_upload(number, vec![1; 10]).await.expect("added");
    engine.append_upload(number, vec![2; 10]).await.expect("added");
    let upload = engine.finish_upload(number, owner.clone(), testing::at(1), MOST.into()).await.expect("finished");
    assert_eq!(upload.file.bytes, 20);
    assert_eq!(engine.append_upload(number, vec![1]).await, Err(StoreError::Missing));
    let range = cloister_model::ByteRange { offset: 8, at_most: 4 };
    assert_eq!(engine.read_inspected(upload.file.sha256, range).await.expect("read"), [1, 1, 2, 2]);
    let found = engine.upload(upload.file.sha256, owner.clone()).await.expect("asked");
    assert_eq!(found, Some(upload.clone()));
    assert_eq!(engine.upload(upload.file.sha256, "bob".parse().expect("an account")).await, Ok(None));

    let number = engine.begin_upload().await.expect("begun");
    engine.append_upload(number, vec![0; 100]).await.expect("added");
    let refused = engine.finish_upload(number, owner.clone(), testing::at(1), 119_u64.into()).await;
    assert!(matches!(refused, Err(StoreError::Quota(exceeded)) if exceeded.used == 20), "{refused:?}");
    assert_eq!(
        engine.finish_upload(number, owner.clone(), testing::at(1), MOST.into()).await,
        Err(StoreError::Missing)
    );
    let number = engine.begin_upload().await.expect("begun");
    engine.append_upload(number, vec![3; 10]).await.expect("added");
    close(engine).await;

    let engine = place.open().await;
    let files: Vec<_> = std::fs::read_dir(place.home().join("uploads")).expect("a folder").collect();
    assert_eq!(files.len(), 1, "what was cut off is gone");
    assert_eq!(engine.finish_upload(number, owner, testing::at(1), MOST.into()).await, Err(StoreError::Missing));
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_revoked_at_once() {
    let place = Place::new();
    let engine = place.open().await;
    let id: cloister_model::KeyId = "00000000000000aa".parse().expect("an id");
    let key = cloister_model::ApiKey {
        id: id.clone(),
        account: "alice".parse().expect("an account"),
        role: cloister_model::Role::Consumer,
        label: String::new(),
        sha256: cloister_model::Sha256::from_bytes([1; 32]),
        created: testing::at(1),
        expires: None,
        revoked: None,
    };
    assert_eq!(engine.key(id.clone()).await, Ok(None));
    let record = || testing::event(cloister_model::AuditAction::KeyCreated);
    engine.put_key(key.clone(), record()).await.expect("kept");
    assert_eq!(engine.put_key(key.clone(), record()).await, Err(cloister_model::StoreError::Conflict));
    for _ in 0..2 {
        assert_eq!(engine.key(id.clone()).await, Ok(Some(key.clone())));
    }
    for ms in [2, 3] {
        let record = testing::event(cloister_model::AuditAction::KeyRevoked);
        engine.revoke_key(id.clone(), testing::at(ms), record).await.expect("revoked");
    }
    // What changed nothing is not on record.
    let actions = cloister_model::AuditLog::records(&*engine, 0, 9)
        .await
        .expect("records")
        .into_iter()
        .map(|record| record.event.action);
    let expected = [cloister_model::AuditAction::KeyCreated, cloister_model::AuditAction::KeyRevoked];
    assert_eq!(actions.collect::<Vec<_>>(), expected);
    assert_eq!(engine.key(id).await.expect("asked").and_then(|key| key.revoked), Some(testing::at(2)));
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_those_of_the_database_after_a_restart() {
    let place = Place::new();
    let engine = place.open().await;
    for _ in 0..3 {
        let job = place.job(&engine, guests::FAILS).await;
        run(&engine, &job).await;
    }
    let before = engine.environments().await.expect("one").remove(0).phases;
    close(engine).await;
    let engine = place.open().await;
    assert_eq!(engine.environments().await.expect("one").remove(0).phases, before);
    assert_eq!(before.get(&Phase::AlgorithmFailed), Some(&3));
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_stopped_leaves_its_database_in_one_file() {
    let place = Place::new();
    let engine = place.open().await;
    submit(&engine, testing::job(1)).await.expect("submitted");
    engine.shutdown().await;
    let log = place.home().join("cloister.db-wal");
    assert!(std::fs::metadata(&log).map_or(0, |log| log.len()) == 0, "the file alone is a backup");
    drop(engine);
    assert!(
        matches!(place.open().await.list(JobQuery { at_most: 9, ..JobQuery::default() }).await, Ok(jobs) if jobs.len() == 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_files_cannot_be_removed_holds_up_no_other() {
    let place = Place::new();
    let engine = place.open().await;
    let jobs = [place.job(&engine, guests::FAILS).await, place.job(&engine, guests::FAILS).await];
    let log = |job: &cloister_model::JobSpec| place.home().join("logs").join(job.id.to_string());
    for job in &jobs {
        run(&engine, job).await;
        assert!(log(job).is_file());
    }
    let [stuck, other] = &jobs;
    std::fs::remove_file(log(stuck)).expect("removed");
    std::fs::create_dir(log(stuck)).expect("a folder is not removed as a file");
    for job in &jobs {
        remove(&engine, job.id).await.expect("removed");
    }
    soon("the other log goes", || !log(other).exists()).await;
    assert!(log(stuck).exists());
    close(engine).await;
}

/// Nothing stops at a row that cannot be read: not the start, not the jobs that go on, and not the removal of those whose time is
/// over.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_jobs_hold_up_neither_the_start_nor_the_removal_of_others() {
    let place = Place::new();
    let engine = place.open().await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(place.job(&engine, guests::FAILS).await);
        run(&engine, &jobs[jobs.len() - 1]).await;
    }
    let held = place.job(&engine, guests::ENDLESS).await;
    submit(&engine, held.clone()).await.expect("submitted");
    until(&engine, held.id, |status| status.phase == Phase::Running).await;
    stop(&engine, held.id).await.expect("asked");
    ended(&engine, held.id).await;
    close(engine).await;

    let db = rusqlite::Connection::open(place.home().join("cloister.db")).expect("opened");
    // The first two are damaged, and one of them looks as if it had not ended. The time of all but the last is over.
    for job in &jobs[..2] {
        db.execute("UPDATE job SET status = '{}' WHERE id = ?1", [job.id.as_bytes()]).expect("damaged");
    }
    db.execute("UPDATE job SET phase = 40 WHERE id = ?1", [jobs[0].id.as_bytes()]).expect("damaged");
    for (number, job) in (1..).zip(&jobs) {
        let sql = "UPDATE job SET expires = ?1 WHERE id = ?2";
        db.execute(sql, rusqlite::params![number, job.id.as_bytes()]).expect("changed");
    }
    drop(db);

    let engine = place.open().await;
    let log = |job: &cloister_model::JobSpec| place.home().join("logs").join(job.id.to_string());
    soon("the third goes", || !log(&jobs[2]).exists()).await;
    assert_eq!(engine.status(jobs[2].id).await, Err(EngineError::NoSuchJob(jobs[2].id)));
    for damaged in &jobs[..2] {
        assert!(matches!(engine.status(damaged.id).await, Err(EngineError::Unavailable { .. })));
        assert!(log(damaged).exists(), "what belongs to a damaged job stays");
    }
    let next = place.job(&engine, guests::FAILS).await;
    assert_eq!(run(&engine, &next).await.phase, Phase::AlgorithmFailed);
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_says_how_long_it_is_and_whether_it_is_complete() {
    let place = Place::new();
    let engine = place.open().await;
    let read = async |job: &cloister_model::JobSpec, offset, at_most| {
        engine.log(job.id, LogScope::Readable, cloister_model::ByteRange { offset, at_most }).await.expect("a log")
    };
    let part = |text: &str, total, ended| LogPart { bytes: text.as_bytes().to_vec(), total, ended };
    let failed = place.job(&engine, guests::FAILS).await;
    let mut short = place.job(&engine, guests::FAILS).await;
    short.terms.output_contract.max_log_bytes = 2;
    for job in [&failed, &short] {
        run(&engine, job).await;
    }
    assert_eq!(read(&failed, 0, 100).await, part("a,b\n", 4, true));
    assert_eq!(read(&failed, 2, 1).await, part("b", 4, true));
    assert_eq!(read(&failed, 9, 1).await, part("", 4, true));
    assert_eq!(read(&short, 1, 100).await, part(",", 2, true));

    let endless = place.job(&engine, guests::ENDLESS).await;
    submit(&engine, endless.clone()).await.expect("submitted");
    let log = place.folder(endless.id).join("log");
    soon("something is printed", || log.metadata().is_ok_and(|log| log.len() > 0)).await;
    assert_eq!(read(&endless, 0, 100).await, part("a,b\n", 4, false));
    stop(&engine, endless.id).await.expect("asked");
    ended(&engine, endless.id).await;
    assert_eq!(read(&endless, 0, 100).await, part("a,b\n", 4, true));

    let mut held = place.job(&engine, guests::WRITES).await;
    held.terms.release.review = true;
    submit(&engine, held.clone()).await.expect("submitted");
    until(&engine, held.id, |status| status.phase == Phase::InReview).await;
    assert_eq!(read(&held, 0, 100).await, part("", 0, false));
    review(&engine, held.id, ReviewVerdict::Refuse("no".to_owned())).await.expect("refused");
    assert_eq!(read(&held, 0, 100).await, part("", 0, true));
    close(engine).await;
}
