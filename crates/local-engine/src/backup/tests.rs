use super::*;
use crate::store::Store;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// A service's folder with something of everything.
fn place() -> (TempDir, ToSave) {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    for path in
        ["results/ab", "logs", "uploads", "cache", "sandbox", "jobs/j1/outputs/a", "jobs/j1/data", "jobs/j1/checks/0"]
    {
        fs::create_dir_all(home.join(path)).expect("made");
    }
    for path in [
        "results/ab/0",
        "logs/j0",
        "uploads/aa",
        "cache/c",
        "sandbox/s",
        "receipt.key",
        "jobs/j1/claim",
        "jobs/j1/data/x",
    ] {
        fs::write(home.join(path), path).expect("written");
    }
    fs::write(home.join("jobs/j1/outputs/a/odd\nname\\"), "x").expect("written");
    std::os::unix::fs::symlink("/etc/passwd", home.join("results/link")).expect("a link");
    drop(Store::open(&home.join("cloister.db"), Arc::new(|_, _| ())).expect("a store"));
    let files = vec![
        (home.join("receipt.key"), "receipt.key".to_owned()),
        (home.join("cloister.toml"), "cloister.toml".to_owned()),
    ];
    let what =
        ToSave { home, files, results: true, created: "2026-01-01T00:00:00Z".to_owned(), program: "1".to_owned() };
    (folder, what)
}

fn saved() -> (TempDir, PathBuf, ToSave) {
    let (folder, what) = place();
    let into = folder.path().join("backup");
    back_up(&what, &into).expect("a backup");
    (folder, into, what)
}

#[test]
fn what_is_kept_comes_back_and_what_can_be_made_again_does_not() {
    let (folder, into, _) = saved();
    let home = folder.path().join("elsewhere");
    let restored = restore(&into, &home).expect("restored");
    assert!(restored.results && restored.created == "2026-01-01T00:00:00Z");
    for path in ["results/ab/0", "logs/j0", "uploads/aa", "receipt.key", "jobs/j1/claim"] {
        assert_eq!(fs::read_to_string(home.join(path)).expect("a file"), path);
    }
    assert_eq!(fs::read(home.join("jobs/j1/outputs/a/odd\nname\\")).expect("a file"), b"x");
    for path in ["cache/c", "sandbox/s", "jobs/j1/data", "jobs/j1/checks", "results/link", ".restore", "cloister.toml"]
    {
        assert!(fs::symlink_metadata(home.join(path)).is_err(), "{path}");
    }
    drop(Store::open(&home.join("cloister.db"), Arc::new(|_, _| ())).expect("a store"));
}

#[test]
fn no_other_user_can_read_a_backup() {
    let (folder, into, _) = saved();
    let home = folder.path().join("elsewhere");
    restore(&into, &home).expect("restored");
    let mut open = vec![into, home];
    while let Some(path) = open.pop() {
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
    }
}

#[test]
fn coreutils_verifies_a_backup() {
    let (_folder, into, _) = saved();
    let check = || {
        let mut command = std::process::Command::new("sha256sum");
        command.args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(&into).output().expect("sha256sum")
    };
    let output = check();
    assert!(output.status.success(), "{output:?}");
    fs::write(into.join("home/logs/j0"), "other").expect("written");
    assert!(!check().status.success());
}

#[test]
fn nothing_is_written_over_what_is_there() {
    let (folder, into, what) = saved();
    assert!(matches!(back_up(&what, &into), Err(BackupError::NotEmpty(_))));
    assert!(matches!(restore(&into, &what.home), Err(BackupError::NotEmpty(_))));
    assert!(matches!(back_up(&what, &what.home.join("logs/backup")), Err(BackupError::Inside(_))));
    assert!(!what.home.join("logs/backup").exists());
    let elsewhere = ToSave { home: folder.path().join("nowhere"), ..what };
    assert!(matches!(back_up(&elsewhere, &folder.path().join("b")), Err(BackupError::NoService(_))));
}

/// Tries to restore a backup that was changed: what it says, and that the folder stays empty.
fn refused(into: &Path) -> BackupError {
    let home = into.with_file_name("refused");
    let error = restore(into, &home).expect_err("damaged");
    assert!(fs::read_dir(&home).map_or(0, Iterator::count) == 0, "{error}: something was left");
    error
}

#[test]
fn a_damaged_backup_is_named_and_leaves_nothing() {
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 9] = [
        ("home/results/ab/0", |into| fs::write(into.join("home/results/ab/0"), "results/ab/1").expect("written")),
        ("home/receipt.key", |into| fs::remove_file(into.join("home/receipt.key")).expect("removed")),
        ("home/cloister.db", |into| {
            let path = into.join("home/cloister.db");
            let mut bytes = fs::read(&path).expect("read");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).expect("written");
        }),
        ("home/added", |into| fs::write(into.join("home/added"), "x").expect("written")),
        ("SHA256SUMS", |into| {
            let text = fs::read(into.join(SUMS)).expect("read");
            fs::write(into.join(SUMS), &text[..text.len() - 10]).expect("written");
        }),
        ("backup.json", |into| fs::write(into.join(DESCRIPTION), "{}").expect("written")),
        ("home/logs/j0", |into| {
            fs::remove_file(into.join("home/logs/j0")).expect("removed");
            std::os::unix::fs::symlink("/etc/passwd", into.join("home/logs/j0")).expect("a link");
        }),
        ("SHA256SUMS", |into| fs::write(into.join(SUMS), format!("{}  ../../x\n", "a".repeat(64))).expect("written")),
        ("home/cloister.db", |into| {
            fs::remove_file(into.join("home/cloister.db")).expect("removed");
            let text = fs::read_to_string(into.join(SUMS)).expect("read");
            let rest: String =
                text.lines().filter(|line| !line.ends_with(".db")).map(|line| format!("{line}\n")).collect();
            fs::write(into.join(SUMS), rest).expect("written");
        }),
    ];
    for (name, damage) in damages {
        let (_folder, into, _) = saved();
        damage(&into);
        let error = refused(&into);
        assert!(matches!(&error, BackupError::Damaged { path, .. } if path.ends_with(name)), "{name}: {error}");
    }
    let (_folder, into, _) = saved();
    fs::remove_file(into.join(SUMS)).expect("removed");
    assert!(matches!(refused(&into), BackupError::Incomplete(_)));
}

/// Writes the digests again, as the program that made a backup would have.
fn sum_again(into: &Path) {
    let (files, _) = copy::walk(into).expect("files");
    let digests = files.into_iter().filter(|path| path != Path::new(SUMS)).map(|path| {
        let mut file = fs::File::open(into.join(&path)).expect("a file");
        (path, cloister_files::hash_reader(&mut file).expect("read").sha256)
    });
    fs::write(into.join(SUMS), sums::Sums(digests.collect()).write()).expect("written");
}

#[test]
fn a_backup_of_another_version_is_refused() {
    let (_folder, into, _) = saved();
    let later = r#"{"version": "cloister.dev/backup/v2\u001b[31m", "parts": 7}"#;
    fs::write(into.join(DESCRIPTION), later).expect("written");
    sum_again(&into);
    let error = refused(&into);
    assert!(matches!(&error, BackupError::Version { found } if found.contains("v2")), "{error}");
    assert!(!error.to_string().contains('\u{1b}'), "{error}");

    let (_folder, into, _) = saved();
    let db = rusqlite::Connection::open(into.join("home/cloister.db")).expect("a database");
    db.execute_batch("PRAGMA user_version = 999").expect("a version");
    drop(db);
    sum_again(&into);
    assert!(matches!(refused(&into), BackupError::Database(DatabaseError::Newer { found: 999, .. })));
}
