//! A file that is not a database of this program is not touched.

use super::store;
use crate::{
    store::{DatabaseError, DbError, Durability, Store, audit, jobs},
    testing::{at, job},
};
use cloister_model::{AuditAction, AuditEvent, EngineError};
use rusqlite::Connection;
use std::{fs, path::Path, sync::Arc};

fn refused(path: &Path) -> DatabaseError {
    let before = fs::read(path).expect("a file");
    let error = Store::open(path, Arc::new(|_, _| ())).expect_err("refused");
    assert_eq!(fs::read(path).expect("a file"), before, "{error}: touched");
    assert!(error.to_string().contains("cloister.db"), "{error}");
    error
}

#[test]
fn other_files_are_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    for text in ["short".to_owned(), "not a database at all ".repeat(100)] {
        fs::write(&path, text).expect("written");
        assert!(matches!(refused(&path), DatabaseError::Foreign(_)));
    }
    fs::remove_file(&path).expect("removed");
    Connection::open(&path).expect("a database").execute_batch("CREATE TABLE theirs (x);").expect("made");
    assert!(matches!(refused(&path), DatabaseError::Foreign(_)));
}

fn made(path: &Path) {
    drop(crate::store::schema::open(path).expect("made"));
    for log in ["db-wal", "db-shm"] {
        assert!(!path.with_extension(log).exists(), "closed");
    }
}

#[test]
fn a_newer_or_damaged_database_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    made(&path);
    let good = fs::read(&path).expect("a file");

    Connection::open(&path).expect("open").execute_batch("PRAGMA user_version = 99;").expect("changed");
    assert!(matches!(refused(&path), DatabaseError::Newer { found: 99, .. }));

    fs::write(&path, &good[..good.len() - 4096]).expect("cut");
    assert!(matches!(refused(&path), DatabaseError::Damaged { .. }));
    fs::write(&path, &good[..600]).expect("cut");
    assert!(matches!(refused(&path), DatabaseError::Damaged { .. }));

    let mut bad = good.clone();
    bad[100..2000].fill(0xff);
    fs::write(&path, &bad).expect("overwritten");
    assert!(matches!(refused(&path), DatabaseError::Damaged { .. }));

    fs::write(&path, &good).expect("whole again");
    Connection::open(&path).expect("open").execute_batch("DROP TABLE label;").expect("changed");
    let error = refused(&path).to_string();
    assert!(error.contains("`label` is missing"), "{error}");
}

#[test]
fn an_incomplete_draft_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    fs::write(path.with_extension("db.new"), "half").expect("written");
    fs::write(&path, "").expect("nothing");
    made(&path);
    assert!(!path.with_extension("db.new").exists());
    made(&path);
}

#[test]
fn a_lock_of_another_program_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    made(&path);
    let other = Connection::open(&path).expect("open");
    other.execute_batch("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE t (x);").expect("locked");
    let error = Store::open(&path, Arc::new(|_, _| ())).expect_err("locked");
    assert!(matches!(error, DatabaseError::Locked(_)), "{error}");
}

#[tokio::test]
async fn a_full_disk_fails_the_operation_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, heard) = store(&directory.path().join("cloister.db"));
    let event = AuditEvent {
        at: at(1),
        actor: "alice".to_owned(),
        action: AuditAction::JobAllowed,
        subject: "s".to_owned(),
        detail: "x".repeat(1000),
    };
    let limit = |pages: u64| {
        store.write::<_, DbError, _>(Durability::Process, move |write| {
            Ok(write.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
        })
    };
    limit(1).await.expect("as small as it is");
    let mut refused = 0;
    for number in 0..50 {
        let (event, spec) = (event.clone(), job(number));
        let put = store.write::<_, EngineError, _>(Durability::Disk, move |write| {
            jobs::insert(write, jobs::NewJob::of(&spec)?)?;
            audit::record(write, event)?;
            Ok(())
        });
        if let Err(error) = put.await {
            assert!(error.to_string().contains("disk is full"), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 0);
    limit(1_000_000).await.expect("room");
    let (event, spec) = (event.clone(), job(99));
    let put = move |write: &mut crate::store::Write<'_>| {
        jobs::insert(write, jobs::NewJob::of(&spec)?)?;
        Ok(audit::record(write, event)?)
    };
    store.write::<_, EngineError, _>(Durability::Disk, put).await.expect("goes on");
    let records = store.read(|db| audit::records(db, 0, 1000)).expect("records");
    let mut last = None;
    for record in &records {
        record.verify(last).expect("a chain");
        last = Some((record.sequence, record.hash));
    }
    assert_eq!(records.len(), 51 - refused);
    let tally = store.read(jobs::tally).expect("counted");
    assert_eq!(
        (heard.lock().expect("a lock").0, tally.of(cloister_model::Phase::Queued)),
        (tally, 51 - refused as u64)
    );
}
