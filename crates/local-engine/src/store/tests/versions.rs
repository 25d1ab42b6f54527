//! Databases of the last versions: the one of the present version is kept so that the next one can be tested with it.

use crate::{
    store::{
        DbError, Durability, Fail, Store, Write, assets, audit, claims, claims::Holder, forms::AssetForm, jobs, keys,
        migrate::MIGRATIONS, receipts, uploads,
    },
    testing,
    testing::{at, event, job, report},
};
use cloister_lifecycle::Transition;
use cloister_model::{
    Account, ApiKey, Asset, AssetKind, AuditAction, AuditRecord, CheckedSource, Claim, Ddo, Event, FileDigest, JobId,
    JobSpec, JobStatus, LastCheck, Opening, Phase, Report, ResultFile, ResultKind, Review, Role, Secret, Sha256,
    SourceOutcome, StoredReceipt, Upload, UploadQuery,
};
use rusqlite::{Connection, OpenFlags, params};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Writes the database anew. Only until its version is released: afterwards it is what folders in use look like.
const BLESS: &str = "CLOISTERDEV_BLESS";

const TO_REVIEW: &[Event] =
    &[Event::Accept, Event::Configure, Event::Provisioned, Event::Run, Event::Succeeded, Event::ReviewAsked];

/// The versions whose databases hold what [`fill`] writes. The last one is the present version.
const VERSIONS: [usize; 5] = [2, 3, 4, 5, 6];

fn fixture(version: usize) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{version}/cloister.db"))
}

fn account() -> Account {
    "alice".parse().expect("an account")
}

fn sha256() -> Sha256 {
    Sha256::from_bytes([7; 32])
}

fn released() -> JobSpec {
    JobSpec { created: at(1000), ..job(1) }
}

fn reviewed() -> JobSpec {
    JobSpec { created: at(1001), ..job(2) }
}

fn queued() -> JobSpec {
    JobSpec { created: at(1002), ..job(3) }
}

fn files() -> Vec<ResultFile> {
    vec![ResultFile { name: "a.csv".to_owned(), kind: ResultKind::Output, bytes: 4, sha256: sha256() }]
}

fn asset() -> Asset {
    let ddo = json!({"id": "did:op:a", "metadata": {"type": "dataset", "name": "a"}});
    Asset {
        ddo: Ddo::from_value(ddo).expect("a DDO"),
        owner: account(),
        name: "a".to_owned(),
        created: at(1),
        updated: at(1),
        revision: 1,
        withdrawn: None,
        files: Some(vec![FileDigest { sha256: sha256(), bytes: 4 }]),
    }
}

fn last_check() -> LastCheck {
    let source = |n: usize, outcome| CheckedSource {
        field: format!("services[0].files[{n}]"),
        place: "https://example.org".to_owned(),
        outcome,
    };
    let sources = vec![
        source(0, SourceOutcome::Found { bytes: Some(4), sha256: Some(sha256()) }),
        source(1, SourceOutcome::Found { bytes: None, sha256: None }),
        source(2, SourceOutcome::Failed("it answered 404".to_owned())),
        source(3, SourceOutcome::Skipped),
    ];
    LastCheck { at: at(5), revision: 1, sources, others: 7 }
}

fn key() -> ApiKey {
    ApiKey {
        id: "00000000000000aa".parse().expect("an id"),
        account: account(),
        role: Role::Publisher,
        label: "laptop".to_owned(),
        sha256: sha256(),
        created: at(1),
        expires: Some(at(2)),
        revoked: None,
    }
}

fn upload() -> Upload {
    Upload { file: FileDigest { sha256: sha256(), bytes: 4 }, owner: account(), created: at(1) }
}

fn receipt() -> StoredReceipt {
    let opening = Opening::new(&[1; 32], "/parameters", json!({"bins": 20}));
    StoredReceipt { text: "{}".to_owned(), openings: Secret::new(vec![opening]), record: released().record }
}

fn review() -> Review {
    Review { approved: true, by: account(), at: at(3000), first: None }
}

fn claims() -> [Claim; 2] {
    [Claim::agreement("x"), Claim::nonce(&account(), "1", at(4_102_444_800_000))]
}

/// One row of everything.
fn fill(write: &mut Write<'_>) -> Result<(), Fail<DbError>> {
    let failed = |what: &'static str| move |error: String| Fail::Db(DbError::Other(format!("{what}: {error}")));
    for spec in [released(), reviewed(), queued()] {
        jobs::insert(write, jobs::NewJob::of(&spec)?)?;
        audit::record(write, event(AuditAction::JobAllowed))?;
    }
    let [agreement, nonce] = claims();
    claims::take(write, &agreement, Holder::Job(queued().id))?;
    claims::take(write, &nonce, Holder::Other)?;
    let (first, second) = (released().id, reviewed().id);
    for id in [first, second] {
        testing::step(write, id, TO_REVIEW, at(2000), None).map_err(|e| failed("step")(format!("{e:?}")))?;
        jobs::put_report(write, id, &report())?;
        jobs::put_outgoing(write, id, &files())?;
    }
    let approved = Transition { review: Some(review()), ..testing::transition(&[Event::Approved], None) };
    testing::apply(write, first, &approved, review().at).map_err(|e| failed("review")(format!("{e:?}")))?;
    assets::put(write, &asset(), None).map_err(|e| failed("asset")(format!("{e:?}")))?;
    assets::put_check(write, asset().ddo.id(), &last_check()).map_err(|e| failed("check")(format!("{e:?}")))?;
    jobs::put_results(write, first, &files(), Some(asset().ddo.id()))?;
    receipts::put(write, first, &receipt())?;
    testing::step(write, first, &[Event::Published], at(4000), None).map_err(|e| failed("end")(format!("{e:?}")))?;
    keys::put(write, &key()).map_err(|e| failed("key")(format!("{e:?}")))?;
    uploads::put(write, &upload(), &100_u64.into()).map_err(|e| failed("upload")(format!("{e:?}")))?;
    Ok(())
}

/// Every job whose results a dataset needs, with the dataset.
fn kept(db: &Connection) -> Result<Vec<(JobId, String)>, DbError> {
    let mut statement = db.prepare("SELECT job, did FROM kept ORDER BY job, did")?;
    let rows = statement.query_map([], |row| Ok((JobId::from_bytes(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

async fn bless() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    let store = Store::open(&path, Arc::new(|_, _| ())).expect("a store");
    store.write::<_, DbError, _>(Durability::Disk, fill).await.expect("filled");
    let fixture = fixture(MIGRATIONS.len());
    fs::create_dir_all(fixture.parent().expect("a folder")).expect("made");
    let _ = fs::remove_file(&fixture);
    let db = Connection::open(&path).expect("open");
    db.execute("VACUUM INTO ?1", [fixture.to_str().expect("text")]).expect("kept");
}

/// A new version needs a database of its own here before it is released.
#[test]
fn the_present_version_has_a_database() {
    assert_eq!(VERSIONS.last(), Some(&MIGRATIONS.len()));
    for version in VERSIONS {
        let db = Connection::open_with_flags(fixture(version), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("open");
        let found: usize = db.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
        assert_eq!(found, version);
    }
}

#[tokio::test]
async fn databases_are_read_as_they_were_written() {
    if std::env::var_os(BLESS).is_some() {
        bless().await;
    }
    for version in VERSIONS {
        is_read_as_it_was_written(version).await;
    }
}

async fn is_read_as_it_was_written(version: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    fs::copy(fixture(version), &path).expect("copied");
    let store = Store::open(&path, Arc::new(|_, _| ())).expect("a store");
    let read = store.read(|db| {
        let id = released().id;
        for spec in [released(), reviewed(), queued()] {
            assert_eq!(jobs::spec(db, spec.id)?, Some(spec.clone()));
            assert_eq!(jobs::card(db, spec.id)?, Some(spec.card()));
        }
        let status: JobStatus = jobs::status(db, id)?.expect("a job");
        assert_eq!((status.phase, &status.review, status.ended), (Phase::Finished, &Some(review()), Some(at(4000))));
        assert_eq!(jobs::results(db, id)?, Some(files()));
        assert_eq!(jobs::report(db, id)?, Some(Some(Report { ..report() })));
        assert_eq!(kept(db)?, [(id, asset().ddo.id().to_string())]);
        assert_eq!(receipts::get(db, id)?, Some(receipt()));
        let status: JobStatus = jobs::status(db, reviewed().id)?.expect("a job");
        assert_eq!((status.phase, &status.review), (Phase::InReview, &None));
        assert_eq!(jobs::outgoing(db, reviewed().id)?, Some(Some(files())));
        assert_eq!(assets::get(db, asset().ddo.id())?, Some(asset()));
        assert_eq!(assets::named(db, &account(), AssetKind::Dataset, "a")?, Some(asset()));
        // Versions before the fifth kept none.
        assert_eq!(assets::last_check(db, asset().ddo.id())?, (version > 4).then(last_check));
        let summaries: Vec<String> =
            db.prepare("SELECT summary FROM asset")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        assert_eq!(summaries, [assets::summary_text(&asset())?]);
        assert_eq!(keys::get(db, &key().id)?, Some(key()));
        assert_eq!(uploads::get(db, &sha256(), &account())?, Some(upload()));
        let query = |at| UploadQuery { owner: None, sent_before: Some(at), after: None, at_most: 9 };
        assert_eq!((uploads::list(db, &query(at(1)))?, uploads::list(db, &query(at(2)))?), (vec![], vec![upload()]));
        assert_eq!(jobs::result_bytes(db, &released().record.owner)?, 4);
        assert_eq!(assets::count(db, &account())?, 1);
        audit::records(db, 0, 10)
    });
    let records: Vec<AuditRecord> = read.expect("read");
    assert_eq!(records.len(), 3);
    let mut last = None;
    for record in &records {
        record.verify(last).expect("a chain");
        last = Some((record.sequence, record.hash));
    }
    let name = Claim::asset_name(&account(), AssetKind::Dataset, "a");
    let taken = store.write::<_, DbError, _>(Durability::Process, move |write| {
        let [agreement, nonce] = claims();
        Ok([&agreement, &nonce, &name].map(|claim| claims::take(write, claim, Holder::Other)))
    });
    assert_eq!(taken.await, Ok([Ok(false), Ok(false), Ok(false)]));
}

/// Version 5 took note of a job whose results a dataset needs only if the job had registered the dataset. Those that were published are
/// noted by this version, as far as the job is there, and a withdrawn one is not.
#[tokio::test]
async fn results_that_datasets_of_version_5_name_are_kept_from_now_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloister.db");
    fs::copy(fixture(5), &path).expect("copied");
    let named = |did: &str, job: JobId, withdrawn| {
        let ddo = json!({"id": did, "metadata": {"type": "dataset", "name": did}, "services": [{
            "id": "compute", "type": "compute",
            "files": [{"type": "inline", "content": "x"}, {"type": "result", "job": job, "index": 0}]
        }]});
        Asset { ddo: Ddo::from_value(ddo).expect("a DDO"), name: did.to_owned(), withdrawn, ..asset() }
    };
    let first = released().id;
    {
        let db = Connection::open(&path).expect("open");
        let sql = "INSERT INTO asset (did, kind, owner, name, revision, withdrawn, asset)
            VALUES (?1, 0, 'alice', ?1, 1, ?2, ?3)";
        for (did, job, withdrawn) in [
            ("did:op:b", first, None),
            ("did:op:c", reviewed().id, None),
            ("did:op:d", queued().id, Some(at(3))),
            ("did:op:e", job(9).id, None),
        ] {
            let text = serde_json::to_string(&AssetForm::from(&named(did, job, withdrawn))).expect("json");
            db.execute(sql, params![did, withdrawn.map(|_| 3), text]).expect("inserted");
        }
    }
    let store = Store::open(&path, Arc::new(|_, _| ())).expect("a store");
    let noted = |job: JobId, did: &str| (job, did.to_owned());
    let mut expected = vec![noted(first, "did:op:a"), noted(first, "did:op:b"), noted(reviewed().id, "did:op:c")];
    expected.sort();
    assert_eq!(store.read(kept), Ok(expected));
}
