use super::*;
use crate::failure::code_of;
use cloister_model::{Archived, AuditAction, AuditEvent, Timestamp};
use std::fs;
use tempfile::TempDir;

fn event(n: u64, action: AuditAction, detail: String) -> AuditEvent {
    let at = Timestamp::from_unix_ms(n);
    AuditEvent { at, actor: "a".to_owned(), action, subject: "s".to_owned(), detail }
}

fn push(records: &mut Vec<AuditRecord>, action: AuditAction, detail: String) {
    let last = records.last().map(|record| (record.sequence, record.hash));
    records.push(AuditRecord::next(last, event(records.len() as u64, action, detail)));
}

fn chain(length: u64) -> Vec<AuditRecord> {
    let mut records = Vec::new();
    (0..length).for_each(|_| push(&mut records, AuditAction::JobDenied, "{}".to_owned()));
    records
}

/// Ten records, and one that says that the first so many were archived.
fn archived(through: usize) -> Vec<AuditRecord> {
    let mut records = chain(10);
    let said = Archived { through: through as u64, hash: records[through - 1].hash };
    push(&mut records, AuditAction::AuditArchived, serde_json::to_string(&said).expect("json"));
    records
}

fn lines(records: &[AuditRecord]) -> String {
    let line = |record: &AuditRecord| {
        let AuditRecord { sequence, event, previous, hash } = record;
        let AuditEvent { at, actor, action, subject, detail } = event;
        json!({"sequence": sequence, "at": "then", "atMs": at.unix_ms(), "actor": actor, "action": action,
            "subject": subject, "detail": detail, "previous": previous, "hash": hash})
        .to_string()
            + "\n"
    };
    records.iter().map(line).collect()
}

/// A folder with archives of these records, in files of so many.
fn folder(records: &[AuditRecord], each: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for part in records.chunks(each) {
        let (first, last) = (part[0].sequence, part[part.len() - 1].sequence);
        fs::write(folder.path().join(format!("audit-{first:020}-{last:020}.jsonl")), lines(part)).expect("written");
    }
    folder
}

fn verify_with(archives: Option<&TempDir>, log: &[AuditRecord], head: Option<Sha256>) -> anyhow::Result<Verified> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(lines(log).as_bytes()).expect("written");
    let mut chain = Chain::new(head);
    if let Some(folder) = archives {
        for segment in Segment::all(folder.path())? {
            segment.add_to(&mut chain)?;
        }
        chain.continue_with_log();
    }
    each_of_file(file.path(), &mut |record| chain.add(&record))?;
    chain.conclude()
}

fn verify(log: &[AuditRecord], head: Option<Sha256>) -> anyhow::Result<Verified> {
    verify_with(None, log, head)
}

fn fails(verified: anyhow::Result<Verified>, words: &str) {
    let error = verified.expect_err(words);
    assert_eq!(code_of(&error), FAILED, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_complete_chain_is_accepted() {
    let records = chain(3);
    verify(&records, None).expect("complete");
    verify(&records, Some(records[1].hash)).expect("seen before");
    verify(&[], None).expect("empty");
}

#[test]
fn every_change_of_a_chain_is_found() {
    let records = chain(3);
    let mut changed = chain(3);
    changed[1].event.actor = "b".to_owned();
    for (broken, head) in [
        (changed, None),
        (vec![records[0].clone(), records[2].clone()], None),
        (records[1..].to_vec(), None),
        (records[..2].to_vec(), Some(records[2].hash)),
    ] {
        assert_eq!(code_of(&verify(&broken, head).expect_err("broken")), FAILED);
    }
}

/// Its hash is right. There is no number for the record after it.
#[test]
fn a_record_with_the_last_of_all_numbers_is_a_change() {
    let before = (u64::MAX - 1, Sha256::from_bytes([7; 32]));
    let last = AuditRecord::next(Some(before), event(1, AuditAction::JobDenied, "{}".to_owned()));
    fails(verify(&[last.clone(), last.clone()], None), "no record can follow");
    let archives = folder(std::slice::from_ref(&last), 1);
    fails(verify_with(Some(&archives), &[last], None), "no record can follow");
}

#[test]
fn without_its_archives_a_log_is_verified_and_says_what_it_cannot_see() {
    let records = archived(4);
    let head = Some(records[10].hash);
    assert_eq!(verify(&records[4..], None).expect("a chain"), Verified { records: 7, head, unseen: Some(4) });
    // An engine may keep some of those that were archived.
    assert_eq!(verify(&records[2..], None).expect("a chain"), Verified { records: 9, head, unseen: Some(2) });
    // More is missing than was archived, or something else was.
    fails(verify(&records[5..], None), "records 1 to 5 are missing");
    let mut other = chain(10);
    let said = Archived { through: 4, hash: other[4].hash };
    push(&mut other, AuditAction::AuditArchived, serde_json::to_string(&said).expect("json"));
    fails(verify(&other[4..], None), "records 1 to 4 are missing");
    fails(verify(&records[4..], Some(records[1].hash)), "were not read");
}

#[test]
fn archives_and_log_are_one_chain() {
    let records = archived(4);
    let whole = Verified { records: 11, head: Some(records[10].hash), unseen: None };
    for each in [1, 2, 3, 4] {
        let archives = folder(&records[..4], each);
        // Also if it was cut off before the records were taken out of the log, wholly or in part.
        for log in [&records[4..], &records[2..], &records[..]] {
            let verified = verify_with(Some(&archives), log, Some(records[1].hash)).expect("a chain");
            assert_eq!(verified, whole, "{each} {}", log.len());
        }
    }
    // Older archives are kept elsewhere.
    let some = folder(&records[2..4], 1);
    assert_eq!(verify_with(Some(&some), &records[4..], None).expect("a chain").unseen, Some(2));
}

#[test]
fn a_missing_archive_is_found() {
    let records = archived(6);
    let archives = folder(&records[..6], 2);
    fs::remove_file(archives.path().join(format!("audit-{:020}-{:020}.jsonl", 3, 4))).expect("removed");
    fails(verify_with(Some(&archives), &records[6..], None), "the archive of records 3 to 4 is missing");
    let archives = folder(&records[..6], 2);
    fs::remove_file(archives.path().join(format!("audit-{:020}-{:020}.jsonl", 5, 6))).expect("removed");
    fails(
        verify_with(Some(&archives), &records[6..], None),
        "records 5 to 6 are neither in the log nor in the archives",
    );
    // The log itself is short: the archives prove it.
    let archives = folder(&records[..6], 2);
    fails(verify_with(Some(&archives), &records[..3], None), "the log ends before record 6");
    fails(verify_with(Some(&archives), &[], None), "the log ends before record 7");
}

#[test]
fn a_tampered_archive_is_found() {
    let records = archived(6);
    let second = format!("audit-{:020}-{:020}.jsonl", 3, 4);
    let change = |content: &str| {
        let archives = folder(&records[..6], 2);
        fs::write(archives.path().join(&second), content).expect("written");
        verify_with(Some(&archives), &records[6..], None)
    };
    change(&lines(&records[2..4])).expect("as it was");
    fails(change(&lines(&records[2..4]).replace("\"a\"", "\"b\"")), "record 3 was changed");
    fails(change(&lines(&records[2..3])), "it ends before record 4");
    fails(change(&lines(&records[2..5])), "it goes on after record 4");
    fails(change(""), "it ends before record 3");
    // Written anew with hashes that fit each other: they do not fit what comes after.
    let mut forged = chain(2);
    push(&mut forged, AuditAction::Released, "{}".to_owned());
    push(&mut forged, AuditAction::Released, "{}".to_owned());
    fails(change(&lines(&forged[2..4])), "does not follow");
    // All of them written anew: the log does not follow from them.
    let mut forged = chain(5);
    push(&mut forged, AuditAction::Released, "{}".to_owned());
    let archives = folder(&forged, 2);
    fails(verify_with(Some(&archives), &records[6..], None), "does not follow");
    fails(verify_with(Some(&archives), &records[3..], None), "is another one than in the archives");
}

#[test]
fn archives_out_of_order_are_found() {
    let records = archived(6);
    let name = |first: u64, last: u64| format!("audit-{first:020}-{last:020}.jsonl");
    // Two files with each other's names.
    let archives = folder(&records[..6], 2);
    let path = |first, last| archives.path().join(name(first, last));
    fs::rename(path(1, 2), path(9, 9)).expect("moved");
    fs::rename(path(3, 4), path(1, 2)).expect("moved");
    fs::rename(path(9, 9), path(3, 4)).expect("moved");
    fails(verify_with(Some(&archives), &records[6..], None), "record 1 is expected, and there is record 3");
    // Two that overlap.
    let archives = folder(&records[..6], 2);
    fs::write(archives.path().join(name(2, 3)), lines(&records[1..3])).expect("written");
    fails(verify_with(Some(&archives), &records[6..], None), "overlap");
    // Two lines of one file.
    let archives = folder(&records[..6], 6);
    let mut swapped = records[..6].to_vec();
    swapped.swap(1, 2);
    fs::write(archives.path().join(name(1, 6)), lines(&swapped)).expect("written");
    fails(verify_with(Some(&archives), &records[6..], None), "record 2 is expected, and there is record 3");
    // What is not an archive is not read.
    let archives = folder(&records[..6], 2);
    for other in [".audit.part", "audit-1-2.jsonl", "notes.txt"] {
        fs::write(archives.path().join(other), "x").expect("written");
    }
    verify_with(Some(&archives), &records[6..], None).expect("a chain");
}

#[test]
fn days_and_moments_are_read() {
    for (text, expected) in [
        ("2026-01-31", Some("2026-01-31T00:00:00Z")),
        ("2026-01-31T12:00:00Z", Some("2026-01-31T12:00:00Z")),
        ("2026-01-31T12:00:00+02:00", Some("2026-01-31T10:00:00Z")),
        ("yesterday", None),
        ("", None),
    ] {
        let found = archive::moment(text).ok().map(|moment| moment.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }
}

/// Whoever may write to the folder puts a link, or a file that all may read, where an archive is being written.
#[cfg(unix)]
#[test]
fn an_archive_is_written_to_a_file_of_its_own() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let (part, elsewhere) = (folder.path().join(".audit.part"), folder.path().join("elsewhere"));
    fs::write(&elsewhere, "kept").expect("written");
    let place = (1, Sha256::from_bytes([1; 32]));
    let written = || {
        let mut draft = segment::Draft::begin(folder.path(), place).expect("begun");
        draft.add(place, &json!({"sequence": 1})).expect("written");
        draft.seal().expect("sealed");
        let path = folder.path().join(format!("audit-{:020}-{:020}.jsonl", 1, 1));
        fs::metadata(path).expect("an archive").permissions().mode() & 0o777
    };
    symlink(&elsewhere, &part).expect("a link");
    assert_eq!(written(), 0o600);
    assert_eq!(fs::read_to_string(&elsewhere).expect("a file"), "kept");
    fs::write(&part, "of another").expect("written");
    fs::set_permissions(&part, fs::Permissions::from_mode(0o666)).expect("a mode");
    assert_eq!(written(), 0o600);
}
