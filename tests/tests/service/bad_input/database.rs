//! A database that is locked, damaged, newer than the program, or another program's.

use crate::scenario::Scenario;
use cloister_tests::service::{NOTHING, Python, Setup, text};
use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// A home that a service has used, and its database's bytes.
fn used_home() -> (TempDir, Vec<u8>) {
    let folder = TempDir::new().expect("a folder");
    let home = folder.path().join("home");
    let mut scenario = Scenario::with(Setup::new().home(&home));
    let dataset = scenario.service.open_dataset(&scenario.alice, "d");
    let _ = scenario.service.finish(&scenario.carol, &scenario.raw_job(&dataset, NOTHING));
    assert!(scenario.service.stop().success());
    // As a backup would: what is in the log beside it belongs to it.
    let program =
        "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.execute('PRAGMA wal_checkpoint(TRUNCATE)')";
    let _ = Python::run(program, &[&home.join("cloister.db").display().to_string()]);
    let database = fs::read(home.join("cloister.db")).expect("a database");
    (folder, database)
}

/// Starts in an unusable home: how the program ended, and what it printed.
fn refused(folder: &TempDir) -> (i32, String) {
    Setup::new().home(&folder.path().join("home")).refused(folder.path())
}

#[test]
fn a_second_service_on_the_same_folder_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let scenario = Scenario::with(Setup::new().home(&folder.path().join("home")));
    let (code, said) = refused(&folder);
    assert!(code != 0 && said.contains("is used by a running service"), "{code}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    // The first one goes on.
    let dataset = scenario.service.open_dataset(&scenario.alice, "d");
    let _ = scenario.service.finish(&scenario.carol, &scenario.raw_job(&dataset, NOTHING));
}

#[test]
fn a_broken_database_is_left_as_it_is() {
    let (folder, good) = used_home();
    let path = folder.path().join("home/cloister.db");
    let mut overwritten = good.clone();
    let from = overwritten.len() / 4;
    overwritten[from..].fill(0xa5);
    let page = usize::from(u16::from_be_bytes([good[16], good[17]])).max(512);
    let mut root_page = good.clone();
    root_page[100..page].fill(0xff);
    for (what, bytes) in [
        ("not a database", b"this is no database at all, but a text of some length".repeat(100)),
        ("zeros", vec![0x11; good.len()]),
        ("cut", good[..good.len() / 3].to_vec()),
        ("overwritten", overwritten),
        ("its first page", root_page),
    ] {
        fs::write(&path, &bytes).expect("written");
        for beside in ["cloister.db-wal", "cloister.db-shm"] {
            drop(fs::remove_file(folder.path().join("home").join(beside)));
        }
        let (code, said) = refused(&folder);
        assert!(code != 0, "{what}: {said}");
        assert!(said.contains("cloister.db") && said.contains("; "), "which file, and what to do, {what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert!(fs::read(&path).expect("a file") == bytes, "{what}: it was changed");
    }
    // The right one is taken again.
    fs::write(&path, &good).expect("written");
    let scenario = Setup::new().home(&folder.path().join("home")).start();
    let jobs = scenario.get(&scenario.operator, "/v1/jobs").expect_json(200);
    assert_eq!(jobs["items"].as_array().map(Vec::len), Some(1), "{jobs:#}");
}

#[test]
fn a_newer_database_is_not_touched() {
    let (folder, _) = used_home();
    let path = folder.path().join("home/cloister.db");
    let program =
        "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.execute('PRAGMA user_version = 999')\ndb.commit()";
    let _ = Python::run(program, &[&path.display().to_string()]);
    let before = fs::read(&path).expect("a database");
    let (code, said) = refused(&folder);
    assert!(code != 0 && (said.contains("newer") || said.contains("999")), "{code}: {said}");
    assert!(fs::read(&path).expect("a database") == before, "it was changed");
}

#[test]
fn a_removed_receipt_key_is_not_replaced_silently() {
    let (folder, _) = used_home();
    let key = folder.path().join("home/receipt.key");
    let before = fs::read(&key).expect("a key");
    fs::remove_file(&key).expect("removed");
    let (code, said) = refused(&folder);
    assert!(code != 0 && said.contains("receipt.key") && said.contains("--new-receipt-key"), "{code}: {said}");
    assert!(!key.exists(), "none was made");
    fs::write(&key, before).expect("restored");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("private");
    drop(Setup::new().home(&folder.path().join("home")).start());
}

/// Holds the database as a backup program might.
const HOLD: &str = r"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('BEGIN EXCLUSIVE')
print('held', flush=True)
sys.stdin.read()
db.execute('ROLLBACK')
";

#[test]
fn a_locked_database_is_retried_and_then_reported() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let dataset = service.open_dataset(&scenario.alice, "d");
    let job = scenario.raw_job(&dataset, NOTHING);
    let mut holder = Command::new(cloister_tests::service::tool("python"))
        .args(["-c", HOLD, &service.home().join("cloister.db").display().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut said = [0; 4];
    std::io::Read::read_exact(holder.stdout.as_mut().expect("a pipe"), &mut said).expect("it holds it");
    // Nothing hangs for ever, nothing is taken that is not stored.
    let answer =
        service.request("POST", "/v1/jobs").by(&scenario.carol).json(&job).patience(Duration::from_secs(90)).send();
    let taken = answer.status == 201;
    if !taken {
        answer.problem(503);
    }
    // The process ends with its input.
    let mut pipe = holder.stdin.take().expect("a pipe");
    drop(pipe.write_all(b""));
    drop(pipe);
    assert!(holder.wait().expect("it ended").success());
    if taken {
        let _ = service.ended(&scenario.carol, &text(&answer.json(), "id"));
    } else {
        assert_eq!(service.get(&scenario.carol, "/v1/jobs").expect_json(200)["items"], serde_json::json!([]));
    }
    let _ = service.finish(&scenario.carol, &job);
    let _ = service.request("GET", "/readyz").send().expect(200);
}

#[test]
fn invalid_settings_are_reported_in_one_line() {
    let folder = TempDir::new().expect("a folder");
    for (key, value, said) in [
        ("engine.max_job", "1", "engine.max_jobs"),
        ("listen", "nowhere", "listen"),
        ("sources.max_file", "much", "sources.max_file"),
        ("results.url", "ftp://x/y", "results"),
        ("sandbox", "/does/not/exist", "sandbox"),
        ("sources.local_roots", "alice=relative", "local_roots"),
        ("auth.oidc", "[{\"issuer\": \"x\"}]", "oidc"),
        ("operator.providers", "nobody", "operator.providers"),
    ] {
        let (code, line) = Setup::new().set(key, value).refused(folder.path());
        assert_eq!(code, 2, "{key}: {line}");
        assert!(line.contains(said) && !line.contains("panicked"), "{key}: {line}");
    }
}
