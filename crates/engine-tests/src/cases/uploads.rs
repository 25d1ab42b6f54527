//! `Uploads`, and `Inspections::read_inspected` of what was uploaded.

use crate::{
    Conditions, Trial,
    trial::{ALL, digest},
};
use cloister_model::{ByteRange, FileDigest, StoreError, Timestamp, Upload};
use cloister_testkit::{OWNER, account};

const AT: Timestamp = Timestamp::from_unix_ms(1000);

async fn begin(trial: &Trial) -> u64 {
    trial.engine().begin_upload().await.expect("an upload begins")
}

async fn append(trial: &Trial, upload: u64, bytes: &[u8]) -> Result<(), StoreError> {
    trial.engine().append_upload(upload, bytes.to_vec()).await
}

async fn finish(trial: &Trial, upload: u64, owner: &str) -> Result<Upload, StoreError> {
    trial.engine().finish_upload(upload, account(owner), AT).await
}

async fn send(trial: &Trial, bytes: &[u8], owner: &str) -> Result<Upload, StoreError> {
    let upload = begin(trial).await;
    append(trial, upload, bytes).await?;
    finish(trial, upload, owner).await
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

/// The same file again changes nothing, and two senders of one file both have it.
pub async fn the_same_file_again_changes_nothing(trial: &mut Trial) {
    let first = send(trial, b"same", OWNER).await.expect("sent");
    let upload = begin(trial).await;
    append(trial, upload, b"same").await.expect("appended");
    let again = trial.engine().finish_upload(upload, account(OWNER), Timestamp::from_unix_ms(9000)).await;
    assert_eq!(again.expect("sent again").file, first.file);
    assert_eq!(trial.engine().upload(first.file.sha256, account(OWNER)).await, Ok(Some(first.clone())));
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
/// limit of their own.
pub async fn an_account_has_so_many_bytes(trial: &mut Trial) {
    trial.reopen(Conditions { upload_bytes_per_account: 10, ..Conditions::default() }).await;
    let full = |answer: Result<Upload, StoreError>| matches!(answer, Err(StoreError::Full(_)));
    assert!(full(send(trial, &[0; 11], OWNER).await));
    assert!(send(trial, &[1; 6], OWNER).await.is_ok());
    assert!(send(trial, &[1; 6], OWNER).await.is_ok(), "the same file again");
    assert!(full(send(trial, &[2; 5], OWNER).await));
    assert_eq!(trial.engine().upload(digest(&[2; 5]), account(OWNER)).await, Ok(None));
    trial.restart().await;
    assert!(full(send(trial, &[2; 5], OWNER).await));
    assert!(send(trial, &[2; 5], "bob").await.is_ok());
    assert!(send(trial, &[3; 4], OWNER).await.is_ok());
    assert!(full(send(trial, &[4; 1], OWNER).await));
}

/// What was sent to one process can be named and read at every other one at once, by its sender only. Its number is the
/// receiving process's own.
pub async fn an_upload_is_known_to_every_process(trial: &mut Trial) {
    let processes = trial.processes();
    for (number, receiver) in processes.iter().enumerate() {
        let content = format!("sent to process {number}").into_bytes();
        let upload = receiver.begin_upload().await.expect("an upload begins");
        receiver.append_upload(upload, content.clone()).await.expect("appended");
        let sent = receiver.finish_upload(upload, account(OWNER), AT).await.expect("sent");
        for process in &processes {
            assert_eq!(process.upload(sent.file.sha256, account(OWNER)).await, Ok(Some(sent.clone())));
            assert_eq!(process.upload(sent.file.sha256, account("bob")).await, Ok(None));
            assert_eq!(process.read_inspected(sent.file.sha256, ALL).await, Ok(content.clone()));
            assert_eq!(process.finish_upload(upload, account(OWNER), AT).await, Err(StoreError::Missing));
        }
    }
}

/// An account that sends many files at once, to all processes, gets no more than its limit. What was refused can be sent
/// again as far as there is room.
pub async fn many_uploads_at_once_stay_within_the_limit(trial: &mut Trial) {
    const LIMIT: u64 = 100;
    trial.reopen(Conditions { upload_bytes_per_account: LIMIT, ..Conditions::default() }).await;
    let processes = trial.processes();
    let mut tasks = Vec::new();
    for number in 0..24_u8 {
        let process = processes[usize::from(number) % processes.len()].clone();
        tasks.push(tokio::spawn(async move {
            let upload = process.begin_upload().await.expect("an upload begins");
            process.append_upload(upload, vec![number; 30]).await.expect("appended");
            process.finish_upload(upload, account(OWNER), AT).await
        }));
    }
    let mut kept = 0;
    for task in tasks {
        match task.await.expect("an answer") {
            Ok(sent) => kept += sent.file.bytes,
            Err(error) => assert!(matches!(error, StoreError::Full(_)), "{error}"),
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
        assert!(send(trial, &[100 + u8::try_from(kept).expect("small"); 30], OWNER).await.is_ok());
        kept += 30;
    }
    assert!(matches!(send(trial, &[99; 30], OWNER).await, Err(StoreError::Full(_))));
}
