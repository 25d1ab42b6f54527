//! `Uploads`, and `Inspections::read_inspected` of what was uploaded.

use crate::{
    Trial,
    trial::{ALL, digest},
};
use cloister_model::{
    ByteRange, FileDigest, Quota, QuotaExceeded, StoreError, StrangerLimit, Timestamp, Upload, UploadLimits,
    UploadQuery,
};
use cloister_testkit::{OWNER, account};
use std::{collections::BTreeMap, sync::Arc};

const AT: Timestamp = Timestamp::from_unix_ms(1000);

async fn begin(trial: &Trial) -> u64 {
    trial.engine().begin_upload().await.expect("an upload begins")
}

async fn append(trial: &Trial, upload: u64, bytes: &[u8]) -> Result<(), StoreError> {
    trial.engine().append_upload(upload, bytes.to_vec()).await
}

/// Bytes that an account may have, where a case does not say so.
const MOST: u64 = 1 << 20;

async fn finish(trial: &Trial, upload: u64, owner: &str) -> Result<Upload, StoreError> {
    trial.engine().finish_upload(upload, account(owner), AT, MOST.into()).await
}

async fn send(trial: &Trial, bytes: &[u8], owner: &str) -> Result<Upload, StoreError> {
    send_at(trial, bytes, owner, AT, MOST).await
}

async fn send_at(trial: &Trial, bytes: &[u8], owner: &str, at: Timestamp, most: u64) -> Result<Upload, StoreError> {
    let upload = begin(trial).await;
    append(trial, upload, bytes).await?;
    trial.engine().finish_upload(upload, account(owner), at, most.into()).await
}

fn file(bytes: &[u8]) -> FileDigest {
    FileDigest { sha256: digest(bytes), bytes: bytes.len() as u64 }
}

/// An upload is its parts in their order, and is found by its sender, also after a restart.
pub async fn an_upload_is_its_parts_in_their_order(trial: &mut Trial) {
    let upload = begin(trial).await;
    for part in [&[1; 10][..], &[], &[2; 10]] {
        assert_eq!(append(trial, upload, part).await, Ok(()));
    }
    let whole = [[1; 10], [2; 10]].concat();
    let expected = Upload { file: file(&whole), owner: account(OWNER), created: AT };
    assert_eq!(trial.engine().upload(expected.file.sha256, account(OWNER)).await, Ok(None), "not ended yet");
    assert_eq!(finish(trial, upload, OWNER).await, Ok(expected.clone()));
    for _ in 0..2 {
        let sha256 = expected.file.sha256;
        assert_eq!(trial.engine().upload(sha256, account(OWNER)).await, Ok(Some(expected.clone())));
        assert_eq!(trial.engine().upload(sha256, account("bob")).await, Ok(None), "bob sent no such file");
        for (offset, at_most, part) in [(0, 20, &whole[..]), (8, 4, &[1, 1, 2, 2]), (18, 9, &[2, 2]), (20, 1, &[])] {
            let range = ByteRange { offset, at_most };
            assert_eq!(trial.engine().read_inspected(sha256, range).await, Ok(part.to_vec()));
        }
        trial.restart().await;
    }
    let absent = cloister_model::Sha256::from_bytes([0; 32]);
    assert_eq!(trial.engine().read_inspected(absent, ALL).await, Err(StoreError::Missing));
}

/// The same file again costs nothing and counts as sent then, and two senders of one file both have it.
pub async fn the_same_file_again_costs_nothing(trial: &mut Trial) {
    let first = send(trial, b"same", OWNER).await.expect("sent");
    let later = Timestamp::from_unix_ms(9000);
    let again = Upload { created: later, ..first.clone() };
    assert_eq!(send_at(trial, b"same", OWNER, later, 4).await, Ok(again.clone()));
    assert_eq!(trial.engine().upload(first.file.sha256, account(OWNER)).await, Ok(Some(again)));
    assert_eq!(trial.engine().upload_bytes(account(OWNER)).await, Ok(4));
    let bobs = send(trial, b"same", "bob").await.expect("sent");
    assert_eq!((bobs.file, &bobs.owner), (first.file, &account("bob")));
    assert_eq!(trial.engine().upload(first.file.sha256, account("bob")).await, Ok(Some(bobs)));
}

/// An empty file is a file.
pub async fn an_empty_file_is_a_file(trial: &mut Trial) {
    let upload = begin(trial).await;
    let sent = finish(trial, upload, OWNER).await.expect("sent");
    assert_eq!(sent.file, file(b""));
    assert_eq!(trial.engine().read_inspected(sent.file.sha256, ALL).await, Ok(vec![]));
}

/// The number of an upload is good until it is ended, dropped or the process ends, and no longer.
pub async fn an_upload_that_is_over_is_missing(trial: &mut Trial) {
    let (ended, dropped, cut_off) = (begin(trial).await, begin(trial).await, begin(trial).await);
    for upload in [ended, dropped, cut_off] {
        append(trial, upload, b"x").await.expect("appended");
    }
    finish(trial, ended, OWNER).await.expect("ended");
    trial.engine().drop_upload(dropped).await.expect("dropped");
    trial.engine().drop_upload(dropped).await.expect("dropped again");
    for upload in [ended, dropped, u64::MAX] {
        assert_eq!(append(trial, upload, b"x").await, Err(StoreError::Missing));
        assert_eq!(finish(trial, upload, "bob").await, Err(StoreError::Missing));
    }
    trial.restart().await;
    assert_eq!(append(trial, cut_off, b"x").await, Err(StoreError::Missing));
    assert_eq!(finish(trial, cut_off, "bob").await, Err(StoreError::Missing));
    assert_eq!(trial.engine().upload(digest(b"x"), account("bob")).await, Ok(None));
}

/// An account's uploads have a size in all. A file that it has sent before costs nothing, and other accounts have a
/// limit of their own. A refusal says what the limit is, and how much is used.
pub async fn an_account_has_so_many_bytes(trial: &mut Trial) {
    let full = |used| Err::<Upload, _>(StoreError::Quota(QuotaExceeded { quota: Quota::UploadBytes, limit: 10, used }));
    assert_eq!(send_at(trial, &[0; 11], OWNER, AT, 10).await, full(0));
    assert!(send_at(trial, &[1; 6], OWNER, AT, 10).await.is_ok());
    assert!(send_at(trial, &[1; 6], OWNER, AT, 10).await.is_ok(), "the same file again");
    assert_eq!(send_at(trial, &[2; 5], OWNER, AT, 10).await, full(6));
    assert_eq!(trial.engine().upload(digest(&[2; 5]), account(OWNER)).await, Ok(None));
    trial.restart().await;
    assert_eq!(send_at(trial, &[2; 5], OWNER, AT, 10).await, full(6));
    assert!(send_at(trial, &[2; 5], "bob", AT, 10).await.is_ok());
    assert!(send_at(trial, &[3; 4], OWNER, AT, 10).await.is_ok());
    assert_eq!(send_at(trial, &[4; 1], OWNER, AT, 10).await, full(10));
    assert!(send_at(trial, &[4; 1], OWNER, AT, 11).await.is_ok(), "the limit is raised");
    for (owner, bytes) in [(OWNER, 11), ("bob", 5), ("carol", 0)] {
        assert_eq!(trial.engine().upload_bytes(account(owner)).await, Ok(bytes), "{owner}");
    }
}

fn query(owner: Option<&str>, sent_before: Option<Timestamp>) -> UploadQuery {
    UploadQuery { owner: owner.map(account), sent_before, after: None, at_most: 100 }
}

/// An account's uploads are listed page after page, or those of all accounts that were sent before a moment. What is deleted is
/// gone, for its sender only.
pub async fn uploads_are_listed_and_deleted(trial: &mut Trial) {
    let mut sent = Vec::new();
    for number in 0..7_u8 {
        let at = Timestamp::from_unix_ms(1000 + u64::from(number));
        sent.push(send_at(trial, &[number; 3], OWNER, at, MOST).await.expect("sent"));
    }
    let bobs = send_at(trial, &[0; 3], "bob", AT, MOST).await.expect("sent");
    let by_digest = |uploads: Vec<Upload>| -> BTreeMap<_, _> {
        uploads.into_iter().map(|upload| ((upload.owner.clone(), upload.file.sha256), upload)).collect()
    };
    let all = by_digest(sent.clone());
    for _ in 0..2 {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let query = UploadQuery { after, at_most: 3, ..query(Some(OWNER), None) };
            let page = trial.engine().uploads(query).await.expect("a page");
            pages.push(page.len());
            let Some(last) = page.last() else { break };
            after = Some((last.owner.clone(), last.file.sha256));
            assert!(page.iter().all(|upload| all.get(&(account(OWNER), upload.file.sha256)) == Some(upload)));
        }
        assert_eq!(pages, [3, 3, 1, 0]);
        let before = |at| query(None, Some(Timestamp::from_unix_ms(at)));
        let found = trial.engine().uploads(before(1003)).await.expect("a page");
        let expected: Vec<Upload> = sent[..3].iter().chain([&bobs]).cloned().collect();
        assert_eq!(by_digest(found), by_digest(expected));
        assert_eq!(trial.engine().uploads(before(1000)).await, Ok(vec![]));
        trial.restart().await;
    }
    let sha256 = bobs.file.sha256;
    assert_eq!(trial.engine().remove_upload(sha256, account("carol"), None).await, Err(StoreError::Missing));
    assert_eq!(trial.engine().remove_upload(sha256, account(OWNER), None).await, Ok(()));
    assert_eq!(trial.engine().remove_upload(sha256, account(OWNER), None).await, Err(StoreError::Missing));
    for _ in 0..2 {
        assert_eq!(trial.engine().upload(sha256, account(OWNER)).await, Ok(None));
        assert_eq!(trial.engine().upload(sha256, account("bob")).await, Ok(Some(bobs.clone())));
        assert_eq!(trial.engine().read_inspected(sha256, ALL).await, Ok(vec![0; 3]));
        assert_eq!(trial.engine().uploads(query(Some(OWNER), None)).await.map(|page| page.len()), Ok(6));
        trial.restart().await;
    }
}

/// A full quota is not for ever.
pub async fn a_deleted_upload_makes_room_and_can_be_sent_again(trial: &mut Trial) {
    let first = send_at(trial, &[1; 10], OWNER, AT, 10).await.expect("sent");
    assert!(send_at(trial, &[2; 10], OWNER, AT, 10).await.is_err());
    trial.engine().remove_upload(first.file.sha256, account(OWNER), None).await.expect("deleted");
    let second = send_at(trial, &[2; 10], OWNER, AT, 10).await.expect("there is room");
    trial.engine().remove_upload(second.file.sha256, account(OWNER), None).await.expect("deleted");
    let again = send_at(trial, &[1; 10], OWNER, AT, 10).await.expect("sent again");
    assert_eq!(trial.engine().upload(again.file.sha256, account(OWNER)).await, Ok(Some(again.clone())));
    assert_eq!(trial.engine().read_inspected(again.file.sha256, ALL).await, Ok(vec![1; 10]));
}

/// An upload whose time is over and that is sent again at that moment stays.
pub async fn what_was_sent_again_stays(trial: &mut Trial) {
    let (sent, again, later) = (AT, Timestamp::from_unix_ms(5000), Timestamp::from_unix_ms(5001));
    let upload = send_at(trial, b"x", OWNER, sent, MOST).await.expect("sent");
    let sha256 = upload.file.sha256;
    send_at(trial, b"x", OWNER, again, MOST).await.expect("sent again");
    let remove = |before| trial.engine().remove_upload(sha256, account(OWNER), Some(before));
    assert_eq!(remove(again).await, Err(StoreError::Missing));
    assert!(trial.engine().upload(sha256, account(OWNER)).await.expect("asked").is_some());
    assert_eq!(remove(later).await, Ok(()));
    assert_eq!(trial.engine().upload(sha256, account(OWNER)).await, Ok(None));
}

/// What was sent to one process can be named and read at every other one at once, by its sender only. Its number is the
/// receiving process's own.
pub async fn an_upload_is_known_to_every_process(trial: &mut Trial) {
    let processes = trial.processes();
    for (number, receiver) in processes.iter().enumerate() {
        let content = format!("sent to process {number}").into_bytes();
        let upload = receiver.begin_upload().await.expect("an upload begins");
        receiver.append_upload(upload, content.clone()).await.expect("appended");
        let sent = receiver.finish_upload(upload, account(OWNER), AT, MOST.into()).await.expect("sent");
        for process in &processes {
            assert_eq!(process.upload(sent.file.sha256, account(OWNER)).await, Ok(Some(sent.clone())));
            assert_eq!(process.upload(sent.file.sha256, account("bob")).await, Ok(None));
            assert_eq!(process.read_inspected(sent.file.sha256, ALL).await, Ok(content.clone()));
            assert_eq!(process.finish_upload(upload, account(OWNER), AT, MOST.into()).await, Err(StoreError::Missing));
        }
    }
}

/// An account that sends many files at once, to all processes, gets no more than its limit. What was refused can be sent
/// again as far as there is room.
pub async fn many_uploads_at_once_stay_within_the_limit(trial: &mut Trial) {
    const LIMIT: u64 = 100;
    let processes = trial.processes();
    let mut tasks = Vec::new();
    for number in 0..24_u8 {
        let process = processes[usize::from(number) % processes.len()].clone();
        tasks.push(tokio::spawn(async move {
            let upload = process.begin_upload().await.expect("an upload begins");
            process.append_upload(upload, vec![number; 30]).await.expect("appended");
            process.finish_upload(upload, account(OWNER), AT, LIMIT.into()).await
        }));
    }
    let mut kept = 0;
    for task in tasks {
        match task.await.expect("an answer") {
            Ok(sent) => kept += sent.file.bytes,
            Err(error) => assert!(matches!(error, StoreError::Quota(_)), "{error}"),
        }
    }
    assert!(kept <= LIMIT, "{kept} bytes were kept");
    let mut named = 0;
    for number in 0..24_u8 {
        let found = trial.engine().upload(digest(&[number; 30]), account(OWNER)).await.expect("an answer");
        named += found.map_or(0, |found| found.file.bytes);
    }
    assert_eq!(named, kept, "what was refused cannot be named");
    // A refusal reserves nothing.
    while kept + 30 <= LIMIT {
        let content = [100 + u8::try_from(kept).expect("small"); 30];
        assert!(send_at(trial, &content, OWNER, AT, LIMIT).await.is_ok());
        kept += 30;
    }
    assert!(matches!(send_at(trial, &[99; 30], OWNER, AT, LIMIT).await, Err(StoreError::Quota(_))));
}

/// Anyone can make any number of accounts. Those that the operator has not named get no more together than their limit, however many send at
/// once, to all processes. Known accounts are not held up, and what they have does not count.
pub async fn strangers_together_have_so_many_bytes(trial: &mut Trial) {
    const LIMIT: u64 = 10 * StrangerLimit::LEAST_FILE;
    let address = |number: u8| format!("0x{}", format!("{number:02x}").repeat(20));
    let known = address(200);
    let limits = |account: u64| UploadLimits {
        account,
        strangers: Some(StrangerLimit { bytes: LIMIT, known: Arc::new([known.clone()].into()) }),
    };
    let content = |number: u8| vec![number; 3 * 4096];
    let send = async |trial: &Trial, number: u8, owner: &str, limits: UploadLimits| {
        let upload = begin(trial).await;
        append(trial, upload, &content(number)).await?;
        trial.engine().finish_upload(upload, account(owner), AT, limits).await
    };
    // It was a stranger once.
    send(trial, 200, &known, limits(MOST)).await.expect("sent");
    send(trial, 201, OWNER, MOST.into()).await.expect("sent");
    let processes = trial.processes();
    let mut tasks = Vec::new();
    for number in 0..12_u8 {
        let process = processes[usize::from(number) % processes.len()].clone();
        let (owner, limits, content) = (account(&address(number)), limits(MOST), content(number));
        tasks.push(tokio::spawn(async move {
            let upload = process.begin_upload().await.expect("an upload begins");
            process.append_upload(upload, content).await.expect("appended");
            process.finish_upload(upload, owner, AT, limits).await
        }));
    }
    let mut kept = 0;
    for task in tasks {
        match task.await.expect("an answer") {
            Ok(_) => kept += 1,
            Err(StoreError::Quota(QuotaExceeded { quota, limit, .. })) => {
                assert_eq!((quota, limit), (Quota::StrangerUploadBytes, LIMIT));
            }
            Err(error) => unreachable!("neither kept nor over the limit: {error}"),
        }
    }
    assert!(kept <= 3, "{kept} files of 3 blocks in a limit of 10");
    for number in kept..3 {
        send(trial, 50 + number, &address(50 + number), limits(MOST)).await.expect("there is room");
    }
    assert!(send(trial, 90, &address(90), limits(MOST)).await.is_err(), "there is room for one block");
    // A file of one byte takes a block of the disk.
    for (number, fits) in [(91, true), (92, false)] {
        let upload = begin(trial).await;
        append(trial, upload, &[number]).await.expect("appended");
        let sent = trial.engine().finish_upload(upload, account(&address(number)), AT, limits(MOST)).await;
        assert_eq!(sent.is_ok(), fits, "{number}: {sent:?}");
    }
    send(trial, 93, OWNER, MOST.into()).await.expect("a known account");
    // The limit of one account holds, too.
    let own = send(trial, 94, &address(94), limits(1)).await;
    assert!(matches!(own, Err(StoreError::Quota(QuotaExceeded { quota: Quota::UploadBytes, .. }))), "{own:?}");
}
