//! Results in a folder, and in an S3 store that `CLOISTERDEV_TEST_S3` names (`http://127.0.0.1:5000`; any keys, bucket
//! `results` is made by the test's starter).

mod stores;

use age::x25519::Identity;
use cloister_files::Watch;
use cloister_model::{
    AgeRecipient, ByteRange, Fault, FileDigest, JobId, Progress, PublishOrder, ResultFile, ResultKind, Sha256,
    StepFailure, StepResult, StepVersion,
};
use cloister_results::{Outgoing, PublishError, ResultStore, SealingKey, StoreConfig};
use proptest::prelude::*;
use sha2::Digest as _;
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;

fn recipient(identity: &Identity) -> AgeRecipient {
    identity.to_public().to_string().parse().expect("a recipient")
}

struct Case {
    home: TempDir,
    config: StoreConfig,
}

impl Case {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { config: stores::folder(home.path(), "results"), home }
    }

    fn s3(endpoint: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { config: stores::s3(endpoint, home.path(), ""), home }
    }

    fn store(&self) -> ResultStore {
        ResultStore::open(&self.config).expect("a store")
    }

    fn outgoing(&self, name: &str, content: &[u8]) -> Outgoing {
        let path = self.home.path().join(format!("outgoing-{}", Sha256::from_bytes(sha2::Sha256::digest(name).into())));
        fs::write(&path, content).expect("a file");
        let expected = cloister_files::digest_of(content);
        Outgoing { name: name.to_owned(), kind: ResultKind::Output, path, expected }
    }

    fn at(&self, job: JobId, rest: &str) -> PathBuf {
        self.home.path().join("results").join(job.to_string()).join(rest)
    }
}

fn job(byte: u8) -> JobId {
    JobId::from_bytes([byte; 16])
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

async fn whole(store: &ResultStore, job: JobId, index: u32) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let range = ByteRange { offset: all.len() as u64, at_most: 1 << 20 };
        let chunk = store.read(job, index, range).await.expect("a chunk");
        if chunk.is_empty() {
            return all;
        }
        all.extend(chunk);
    }
}

fn decrypted(identity: &Identity, bytes: &[u8]) -> Vec<u8> {
    let decryptor = age::Decryptor::new(bytes).expect("an age file");
    let mut plain = Vec::new();
    let mut reader = decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).expect("the recipient");
    reader.read_to_end(&mut plain).expect("whole");
    plain
}

/// A watch that cancels with the first bytes that go.
fn cut_at_once() -> Watch {
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    Watch { cancel, progress: Arc::new(move |_: Progress| token.cancel()) }
}

/// Publishes with one file missing: everything before it is complete then.
async fn cut_before(case: &Case, index: usize, files: &[Outgoing], encrypt_to: Option<&AgeRecipient>) {
    let mut broken = files.to_vec();
    broken[index].path = case.home.path().join("not there yet");
    let cut = case.store().publish(job(2), &broken, encrypt_to, &Watch::unwatched()).await;
    assert!(matches!(cut, Err(PublishError::File(_))), "{cut:?}");
}

async fn publishes_and_removes(case: &Case) {
    let store = case.store();
    let large: Vec<u8> = (0..251).cycle().take(20_000_000).collect();
    let files = [
        case.outgoing("../../etc/\u{1b}passwd", b"hello"),
        case.outgoing("empty", b""),
        case.outgoing("large", &large),
    ];
    assert_eq!(store.manifest(job(1)).await, Ok(None));
    assert_eq!(store.read(job(1), 0, ByteRange { offset: 0, at_most: 9 }).await, Err(PublishError::Missing(job(1))));
    let published = store.publish(job(1), &files, None, &Watch::unwatched()).await.expect("published");
    assert_eq!(
        published[0],
        ResultFile { name: files[0].name.clone(), kind: ResultKind::Output, bytes: 5, sha256: sha256(b"hello") }
    );
    assert_eq!(
        store.publish(job(1), &files, None, &Watch::unwatched()).await.as_ref(),
        Ok(&published),
        "once done, nothing changes"
    );
    let fresh = case.store();
    assert_eq!(fresh.manifest(job(1)).await, Ok(Some(published)));
    assert!(whole(&fresh, job(1), 2).await == large);
    assert_eq!(whole(&fresh, job(1), 1).await, b"");
    let read = |offset, at_most| fresh.read(job(1), 0, ByteRange { offset, at_most });
    assert_eq!(read(1, 2).await.expect("a part"), b"el");
    assert_eq!(read(3, 99).await.expect("a part"), b"lo");
    assert_eq!(read(5, 1).await.expect("the end"), b"");
    assert_eq!(read(u64::MAX, 1).await.expect("beyond"), b"");
    assert_eq!(fresh.read(job(1), 3, ByteRange { offset: 0, at_most: 1 }).await, Err(PublishError::Missing(job(1))));
    assert_eq!(fresh.jobs().await, Ok(vec![job(1)]));
    fresh.remove(job(1)).await.expect("removed");
    assert_eq!((fresh.manifest(job(1)).await, fresh.jobs().await), (Ok(None), Ok(vec![])));
    fresh.remove(job(1)).await.expect("removed again");
}

async fn cut_and_resumed(case: &Case, encrypt: bool) {
    let identity = Identity::generate();
    let recipient = encrypt.then(|| recipient(&identity));
    let first: Vec<u8> = vec![7; 1_500_000];
    let second: Vec<u8> = (0..249).cycle().take(2_500_000).collect();
    let files = [case.outgoing("first", &first), case.outgoing("second", &second)];
    let cut = case.store().publish(job(2), &files, recipient.as_ref(), &cut_at_once()).await;
    assert_eq!(cut, Err(PublishError::Cancelled));
    cut_before(case, 1, &files, recipient.as_ref()).await;
    assert_eq!(case.store().manifest(job(2)).await, Ok(None), "half a result is none");
    assert_eq!(case.store().jobs().await, Ok(vec![job(2)]));
    let published =
        case.store().publish(job(2), &files, recipient.as_ref(), &Watch::unwatched()).await.expect("published");
    let store = case.store();
    for (number, plain) in (0..).zip([first, second].iter()) {
        let stored = whole(&store, job(2), number).await;
        let index = usize::try_from(number).expect("small");
        assert_eq!((published[index].bytes, published[index].sha256), (stored.len() as u64, sha256(&stored)));
        assert_eq!(published[index].name.ends_with(".age"), encrypt);
        assert!(&(if encrypt { decrypted(&identity, &stored) } else { stored }) == plain);
    }
}

#[tokio::test]
async fn a_folder_keeps_results() {
    let case = Case::new();
    publishes_and_removes(&case).await;
    cut_and_resumed(&case, false).await;
    case.store().remove(job(2)).await.expect("removed");
    cut_and_resumed(&case, true).await;
}

#[tokio::test]
async fn an_s3_store_keeps_results() {
    let Ok(endpoint) = std::env::var("CLOISTERDEV_TEST_S3") else { return };
    let case = Case::s3(&endpoint);
    publishes_and_removes(&case).await;
    cut_and_resumed(&case, false).await;
    case.store().remove(job(2)).await.expect("removed");
    cut_and_resumed(&case, true).await;
}

#[tokio::test]
async fn what_was_complete_is_not_sent_again() {
    for encrypt in [false, true] {
        let case = Case::new();
        let recipient = encrypt.then(|| recipient(&Identity::generate()));
        let files = [case.outgoing("first", &vec![1; 1_500_000]), case.outgoing("second", &vec![2; 2_000_000])];
        cut_before(&case, 1, &files, recipient.as_ref()).await;
        let inode = |name: &str| {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(case.at(job(2), name)).map(|found| found.ino()).ok()
        };
        let before = inode("files/0").expect("the first is complete");
        assert_eq!(inode("files/1"), None, "the second has no name yet");
        case.store().publish(job(2), &files, recipient.as_ref(), &Watch::unwatched()).await.expect("published");
        assert_eq!(inode("files/0"), Some(before));
        assert_eq!(fs::read_dir(case.at(job(2), "parts")).expect("a folder").count(), 0);
        assert_eq!(fs::read_dir(case.at(job(2), "files")).expect("a folder").count(), 2, "no drafts");
    }
}

#[tokio::test]
async fn small_files_need_no_notes() {
    for encrypt in [false, true] {
        let case = Case::new();
        let identity = Identity::generate();
        let recipient = encrypt.then(|| recipient(&identity));
        let files = [case.outgoing("first", &vec![1; 900_000]), case.outgoing("second", b"two")];
        cut_before(&case, 1, &files, recipient.as_ref()).await;
        assert!(case.at(job(2), "files/0").exists(), "the first is complete");
        let published = case.store().publish(job(2), &files, recipient.as_ref(), &Watch::unwatched()).await;
        let published = published.expect("published");
        assert!(!case.at(job(2), "parts").exists(), "no note was written");
        let stored = whole(&case.store(), job(2), 0).await;
        assert_eq!(published[0].sha256, sha256(&stored), "the first was sent again, and is what the list says");
        assert_eq!(if encrypt { decrypted(&identity, &stored) } else { stored }, vec![1; 900_000]);
    }
}

#[tokio::test]
async fn a_file_that_changed_between_attempts_is_refused_until_it_was_checked_again() {
    let case = Case::new();
    let mut files = [case.outgoing("first", &vec![1; 2_000_000]), case.outgoing("second", b"x")];
    cut_before(&case, 1, &files, None).await;
    fs::write(&files[0].path, vec![3; 2_000_000]).expect("written");
    let refused = case.store().publish(job(2), &files, None, &Watch::unwatched()).await;
    assert_eq!(refused, Err(PublishError::Changed("first".to_owned())));
    files[0].expected = cloister_files::digest_of(&vec![3; 2_000_000]);
    let published = case.store().publish(job(2), &files, None, &Watch::unwatched()).await.expect("published");
    assert_eq!(published[0].sha256, sha256(&vec![3; 2_000_000]));
    assert_eq!(whole(&case.store(), job(2), 0).await, vec![3; 2_000_000]);
}

#[tokio::test]
async fn keys_are_indices_and_only_the_owner_reads() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new();
    let files = [case.outgoing("../../escape", b"x"), case.outgoing("manifest.json", b"y")];
    case.store().publish(job(1), &files, None, &Watch::unwatched()).await.expect("published");
    let mode = |path: PathBuf| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode(case.at(job(1), "files/0")), mode(case.at(job(1), "files"))), (0o600, 0o700));
    let manifest = fs::read_to_string(case.at(job(1), "manifest.json")).expect("a manifest");
    assert!(
        manifest
            .starts_with(r#"{"version":"cloister.dev/manifest/v1","encrypted":false,"files":[{"name":"../../escape""#),
        "{manifest}"
    );
    assert!(!Path::new(&format!("{}/escape", case.home.path().display())).exists());
}

#[tokio::test]
async fn two_at_once_agree() {
    let case = Case::new();
    let identity = Identity::generate();
    let recipient = recipient(&identity);
    let files = [case.outgoing("a", &vec![1; 1_000_000])];
    let store = case.store();
    let watch = Watch::unwatched();
    let (one, two) = tokio::join!(
        store.publish(job(1), &files, Some(&recipient), &watch),
        store.publish(job(1), &files, Some(&recipient), &watch)
    );
    assert_eq!(one, two);
    let stored = whole(&store, job(1), 0).await;
    assert_eq!(one.expect("published")[0].sha256, sha256(&stored));
    assert_eq!(decrypted(&identity, &stored), vec![1; 1_000_000]);
}

#[tokio::test]
async fn a_dropped_call_ends_and_can_be_repeated() {
    let case = Case::new();
    let recipient = recipient(&Identity::generate());
    let files = [case.outgoing("a", &vec![1; 8_000_000])];
    let store = case.store();
    let (started, first) = tokio::sync::oneshot::channel();
    let started = std::sync::Mutex::new(Some(started));
    let progress = move |_: Progress| {
        if let Some(started) = started.lock().expect("unpoisoned").take() {
            let _ = started.send(());
        }
    };
    let watch = Watch { cancel: CancellationToken::new(), progress: Arc::new(progress) };
    tokio::select! {
        biased;
        _ = first => {}
        _ = store.publish(job(1), &files, Some(&recipient), &watch) => {}
    }
    let published = store.publish(job(1), &files, Some(&recipient), &Watch::unwatched()).await.expect("published");
    assert_eq!(published[0].sha256, sha256(&whole(&store, job(1), 0).await));
}

/// A week in review is time enough for a file to be changed. Encrypted, the digest of what is stored says nothing of it.
#[tokio::test]
async fn what_was_not_checked_is_not_stored_encrypted_or_not() {
    let case = Case::new();
    let recipient = recipient(&Identity::generate());
    let (log, outputs) = (case.home.path().join("log"), case.home.path().join("outputs"));
    fs::create_dir_all(outputs.join("sub")).expect("a folder");
    fs::write(&log, "printed").expect("a log");
    fs::write(outputs.join("sub/a"), "checked").expect("a file");
    let file = |name: &str, kind, content: &[u8]| {
        let FileDigest { sha256, bytes } = cloister_files::digest_of(content);
        ResultFile { name: name.to_owned(), kind, bytes, sha256 }
    };
    let files = vec![
        file("sub/a", ResultKind::Output, b"checked"),
        file("algorithm.log", ResultKind::AlgorithmLog, b"printed"),
    ];
    let order = |encrypt_to: Option<&AgeRecipient>| PublishOrder {
        version: StepVersion::V1,
        job: job(1),
        files: files.clone(),
        encrypt_to: encrypt_to.cloned(),
    };
    for (changed, content) in [("sub/a", "Checked"), ("sub/a", "checked, and more"), ("sub/a", "")] {
        fs::write(outputs.join(changed), content).expect("a file");
        for order in [order(None), order(Some(&recipient))] {
            let report = case.store().carry_out(&order, &outputs, &log, &Watch::unwatched()).await;
            let StepResult::Failed { failure, reason, .. } = &report.result else { panic!("{report:?}") };
            assert_eq!((*failure, reason.fault()), (StepFailure::Results, Fault::System), "{content}");
            assert!(reason.text().contains("not what was checked: `sub/a`"), "{}", reason.text());
            assert_eq!(case.store().manifest(job(1)).await, Ok(None));
            assert!(!case.at(job(1), "files/0").exists(), "nothing of it is in the store");
        }
    }
    fs::write(outputs.join("sub/a"), "checked").expect("a file");
    for (order, ending) in [(order(Some(&recipient)), ".age"), (order(None), "")] {
        let report = case.store().carry_out(&order, &outputs, &log, &Watch::unwatched()).await;
        let StepResult::Published { files } = &report.result else { panic!("{report:?}") };
        let names: Vec<_> = files.iter().map(|file| file.name.clone()).collect();
        assert_eq!(names, [format!("sub/a{ending}"), format!("algorithm.log{ending}")]);
        assert_eq!(report.progress, Some(Progress { done_bytes: 14, total_bytes: Some(14) }));
        case.store().remove(job(1)).await.expect("removed");
    }
}

/// Every program that publishes can write to the store. A list that one of them has left there for a job does not become the list of that
/// job, and what it names does not become the job's results: of encrypted ones, nobody could tell them apart.
#[tokio::test]
async fn a_list_that_another_program_has_left_is_not_taken_for_the_results() {
    for encrypt in [false, true] {
        let case = Case::new();
        let identity = Identity::generate();
        let recipient = encrypt.then(|| recipient(&identity));
        let name = if encrypt { "a.age" } else { "a" };
        let forged =
            ResultFile { name: name.to_owned(), kind: ResultKind::Output, bytes: 6, sha256: sha256(b"forged") };
        let manifest =
            serde_json::json!({"version": "cloister.dev/manifest/v1", "encrypted": encrypt, "files": [forged]});
        fs::create_dir_all(case.at(job(1), "files")).expect("a folder");
        fs::write(case.at(job(1), "files/0"), "forged").expect("written");
        fs::write(case.at(job(1), "manifest.json"), manifest.to_string()).expect("written");
        let store = case.store();
        assert_eq!(store.manifest(job(1)).await, Ok(Some(vec![forged])), "it can be read");

        let files = [case.outgoing("a", b"checked")];
        let publish = async || store.publish(job(1), &files, recipient.as_ref(), &Watch::unwatched()).await;
        let published = publish().await.expect("published");
        assert_eq!(publish().await.as_ref(), Ok(&published), "once done, nothing changes");
        for store in [&store, &case.store()] {
            let stored = whole(store, job(1), 0).await;
            assert_eq!((published[0].bytes, published[0].sha256), (stored.len() as u64, sha256(&stored)));
            assert_eq!(if encrypt { decrypted(&identity, &stored) } else { stored }, b"checked");
            assert_eq!(store.manifest(job(1)).await.as_ref(), Ok(&Some(published.clone())));
        }
        // A link in the place of the list is none.
        let moved = case.home.path().join("moved");
        fs::rename(case.at(job(1), "manifest.json"), &moved).expect("moved");
        std::os::unix::fs::symlink(&moved, case.at(job(1), "manifest.json")).expect("a link");
        let store = case.store();
        let published = store.publish(job(1), &files, recipient.as_ref(), &Watch::unwatched()).await;
        assert_eq!(case.store().manifest(job(1)).await, published.map(Some));
    }
}

/// What is no list is none: it neither becomes the list of a job nor keeps the job from being published.
#[tokio::test]
async fn what_is_in_the_place_of_a_list_and_is_none_does_not_keep_a_job_from_being_published() {
    let of_later = r#"{"version": "cloister.dev/manifest/v999", "encrypted": false, "files": []}"#;
    for planted in ["", "SECRET", "[]", r#"{"version": "cloister.dev/manifest/v1"}"#, of_later, "\u{0}\u{1b}"] {
        for encrypt in [false, true] {
            let case = Case::new();
            let identity = Identity::generate();
            let recipient = encrypt.then(|| recipient(&identity));
            fs::create_dir_all(case.at(job(1), "")).expect("a folder");
            fs::write(case.at(job(1), "manifest.json"), planted).expect("written");
            let store = case.store();
            let error = store.manifest(job(1)).await.expect_err("no list");
            assert!(matches!(error, PublishError::Foreign) && !error.to_string().contains("SECRET"), "{error}");

            let files = [case.outgoing("a", b"checked")];
            let published = store.publish(job(1), &files, recipient.as_ref(), &Watch::unwatched()).await;
            assert!(published.is_ok(), "{planted:?}: {published:?}");
            assert_eq!(case.store().manifest(job(1)).await, published.map(Some), "{planted:?}");
            let stored = whole(&case.store(), job(1), 0).await;
            assert_eq!(if encrypt { decrypted(&identity, &stored) } else { stored }, b"checked");
        }
    }
}

/// Programs that publish can write to the store. What one of them puts in the place of a result leads a reader nowhere else.
#[tokio::test]
async fn links_and_pipes_in_the_store_are_not_followed() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::os::unix::fs::symlink;
    let case = Case::new();
    let home = |name: &str| case.home.path().join(name);
    let files = [case.outgoing("a", b"public")];
    case.store().publish(job(1), &files, None, &Watch::unwatched()).await.expect("published");
    case.store().keep_report(job(1), b"{}".to_vec()).await.expect("kept");
    let read = async || case.store().read(job(1), 0, ByteRange { offset: 0, at_most: 6 }).await;
    assert_eq!(read().await.expect("a result"), b"public");
    fs::create_dir(home("elsewhere")).expect("a folder");
    fs::write(home("elsewhere/0"), "SECRET").expect("a file");

    fs::remove_file(case.at(job(1), "files/0")).expect("removed");
    symlink(home("elsewhere/0"), case.at(job(1), "files/0")).expect("a link");
    assert!(matches!(read().await, Err(PublishError::Foreign)), "a link to a file");
    fs::remove_dir_all(case.at(job(1), "files")).expect("removed");
    symlink(home("elsewhere"), case.at(job(1), "files")).expect("a link");
    assert!(matches!(read().await, Err(PublishError::Foreign)), "a link to a folder");
    fs::rename(case.at(job(1), "manifest.json"), home("manifest.json")).expect("moved");
    symlink(home("manifest.json"), case.at(job(1), "manifest.json")).expect("a link");
    assert!(matches!(case.store().manifest(job(1)).await, Err(PublishError::Foreign)), "a link to a list");

    // What is removed is the link, and not what it leads to.
    symlink(home("elsewhere"), home("results").join(job(2).to_string())).expect("a link");
    case.store().remove(job(2)).await.expect("removed");
    assert!(home("elsewhere/0").exists(), "it was removed through a link");
    assert_eq!(case.store().jobs().await, Ok(vec![job(1)]));

    // Opened as a file is, a pipe would keep the reader waiting for ever.
    fs::remove_file(case.at(job(1), "report.json")).expect("removed");
    mkfifoat(CWD, case.at(job(1), "report.json"), Mode::RUSR | Mode::WUSR).expect("a pipe");
    assert!(matches!(case.store().report(job(1)).await, Err(PublishError::Foreign)), "a pipe");
}

/// What is written goes nowhere else either, and nothing else is removed: through no linked folder, and through no link in the place of a
/// draft.
#[tokio::test]
async fn nothing_is_written_or_removed_through_a_link() {
    use std::os::unix::fs::symlink;
    let (case, watch) = (Case::new(), Watch::unwatched());
    let home = |name: &str| case.home.path().join(name);
    let store = case.store();
    let files = [case.outgoing("a", b"checked")];
    let publish = async || store.publish(job(1), &files, None, &watch).await;
    let others = ["elsewhere/files/0", "elsewhere/manifest.json", "elsewhere/log"];
    fs::create_dir_all(home("elsewhere/files")).expect("folders");
    others.iter().for_each(|name| fs::write(home(name), "SECRET").expect("a file"));
    let is_untouched = || {
        let same = others.iter().all(|name| fs::read(home(name)).is_ok_and(|found| found == b"SECRET"));
        let count = |folder: &str| fs::read_dir(home(folder)).expect("a folder").count();
        same && (count("elsewhere"), count("elsewhere/files")) == (3, 1)
    };
    assert!(is_untouched());

    // The folder of the job.
    symlink(home("elsewhere"), home("results").join(job(1).to_string())).expect("a link");
    assert_eq!(publish().await, Err(PublishError::Foreign));
    assert_eq!(store.keep_report(job(1), b"{}".to_vec()).await, Err(PublishError::Foreign));
    store.remove_outputs(job(1)).await.expect("there are none");
    store.remove(job(1)).await.expect("the link is removed");
    assert!(is_untouched() && !home("results").join(job(1).to_string()).is_symlink());

    // The folder of its files.
    fs::create_dir(case.at(job(1), "")).expect("a folder");
    symlink(home("elsewhere/files"), case.at(job(1), "files")).expect("a link");
    assert_eq!(publish().await, Err(PublishError::Foreign));
    store.remove_outputs(job(1)).await.expect("the link is removed");
    assert!(is_untouched() && !case.at(job(1), "files").is_symlink());

    // Drafts of the job, and the places of its files.
    fs::create_dir(case.at(job(1), "files")).expect("a folder");
    for (target, link) in [
        ("elsewhere/files/0", "files/0.draft"),
        ("elsewhere/manifest.json", "manifest.draft"),
        ("elsewhere/log", "files/0"),
    ] {
        symlink(home(target), case.at(job(1), link)).expect("a link");
    }
    publish().await.expect("published");
    assert_eq!(whole(&case.store(), job(1), 0).await, b"checked");
    assert!(is_untouched());

    // Drafts of several processes.
    symlink(home("elsewhere"), home("results/drafts")).expect("a link");
    let archived = store.archive("a", b"records".to_vec(), &SealingKey::generate()).await;
    assert_eq!(archived, Err(PublishError::Foreign));
    assert!(is_untouched());
}

/// A folder in the place of a job is removed with all that another program has put into it.
#[tokio::test]
async fn a_job_is_removed_with_whatever_is_in_its_folder() {
    let case = Case::new();
    let store = case.store();
    fs::create_dir_all(case.at(job(1), "files/deep/deeper")).expect("folders");
    fs::write(case.at(job(1), "files/deep/deeper/0"), "planted").expect("a file");
    fs::write(case.home.path().join("outside"), "SECRET").expect("a file");
    std::os::unix::fs::symlink(case.home.path(), case.at(job(1), "files/deep/link")).expect("a link");
    store.remove(job(1)).await.expect("removed");
    assert_eq!(store.jobs().await, Ok(vec![]));
    assert!(case.home.path().join("outside").exists(), "it was removed through a link");
}

/// What is read as a whole is small. Something large in its place was put there to fill the memory of the reader.
#[tokio::test]
async fn what_is_too_large_for_a_list_is_not_read() {
    let case = Case::new();
    case.store().keep_report(job(1), b"{}".to_vec()).await.expect("kept");
    let report = fs::File::options().write(true).open(case.at(job(1), "report.json")).expect("a report");
    report.set_len(64 << 20).expect("as much as may be");
    assert_eq!(case.store().report(job(1)).await.map(|found| found.map(|text| text.len())), Ok(Some(64 << 20)));
    report.set_len((64 << 20) + 1).expect("a byte more");
    assert!(matches!(case.store().report(job(1)).await, Err(PublishError::Foreign)));
}

/// A store with this list of results: the first one never ends, the range of the second one has no end that is a number, and of the
/// third one it says at length that it may not be read. It does not end a list of its jobs either. It counts what is taken.
async fn lying_store(list: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    const MOST: usize = 256 << 20;
    const HEAD: &str = "ETag: \"1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let (list, counter) = (list.clone(), counter.clone());
            tokio::spawn(async move {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = connection.read_u8().await else { return };
                    asked.push(byte);
                }
                let asked = String::from_utf8_lossy(&asked).into_owned();
                let (status, range, bytes) = if asked.contains("manifest.json") {
                    ("200 OK", String::new(), list.len())
                } else if asked.contains("files/0") {
                    ("206 Partial Content", "Content-Range: bytes 0-5/6\r\n".to_owned(), MOST)
                } else if asked.contains("files/1") {
                    let range = format!("Content-Range: bytes 0-{}/{}\r\n", u64::MAX, u64::MAX);
                    ("206 Partial Content", range, 6)
                } else if asked.contains("files/2") {
                    ("403 Forbidden", String::new(), MOST)
                } else {
                    ("200 OK", String::new(), MOST)
                };
                let head = format!("HTTP/1.1 {status}\r\n{HEAD}{range}Content-Length: {bytes}\r\n\r\n");
                let body = if bytes == list.len() { list } else { vec![0; 64 << 10] };
                let _ = connection.write_all(head.as_bytes()).await;
                let mut left = bytes;
                while left > 0 {
                    let piece = left.min(body.len());
                    if connection.write_all(&body[..piece]).await.is_err() {
                        return;
                    }
                    counter.fetch_add(piece, Ordering::Relaxed);
                    left -= piece;
                }
            });
        }
    });
    (endpoint, taken)
}

#[tokio::test]
async fn a_store_that_sends_more_than_was_asked_for_fills_no_memory() {
    let honest = Case::new();
    let files = ["a", "b", "c"].map(|name| honest.outgoing(name, b"public"));
    honest.store().publish(job(1), &files, None, &Watch::unwatched()).await.expect("published");
    let (endpoint, taken) = lying_store(fs::read(honest.at(job(1), "manifest.json")).expect("a list")).await;
    let store = Case::s3(&endpoint).store();
    let read = async |index| store.read(job(1), index, ByteRange { offset: 0, at_most: 6 }).await;
    let endless = read(0).await;
    assert!(matches!(endless, Err(PublishError::Foreign)), "{endless:?}");
    let refused = read(2).await;
    assert!(matches!(refused, Err(PublishError::Store(_))), "{refused:?}");
    let list = store.jobs().await;
    assert!(matches!(list, Err(PublishError::Away(_))), "{list:?}");
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken < 128 << 20, "{taken} bytes were taken");
    // One more than the last byte that it names is no number: who counts on panics.
    let countless = read(1).await;
    assert!(matches!(countless, Err(PublishError::Away(_))), "{countless:?}");
}

#[tokio::test]
async fn what_cannot_leave_is_said() {
    let case = Case::new();
    let store = case.store();
    let watch = Watch::unwatched();
    let file = case.outgoing("a", b"x");
    let missing = Outgoing { path: "/nonexistent/SECRET".into(), ..file.clone() };
    let link = Outgoing { path: case.home.path().join("link"), ..file.clone() };
    std::os::unix::fs::symlink(&file.path, &link.path).expect("a link");
    for bad in [missing, link, Outgoing { path: "/dev/zero".into(), ..file }] {
        let error = store.publish(job(1), &[bad], None, &watch).await.expect_err("no file");
        assert!(matches!(error, PublishError::File(_)) && !error.to_string().contains("SECRET"), "{error}");
    }
    assert_eq!(store.manifest(job(1)).await, Ok(None));
}

#[test]
fn a_store_is_configured_or_refused() {
    let open = |url: &str, options: &[(&str, &str)]| {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ResultStore::open(&StoreConfig { url: url.to_owned(), options })
    };
    for (url, options) in [
        ("", [].as_slice()),
        ("results", &[]),
        ("http://host/", &[]),
        ("file:///proc/nowhere", &[]),
        ("file:///tmp", &[("SECRET", "SECRET")]),
        ("s3://id:SECRET@bucket/", &[]),
        ("s3://", &[]),
        ("s3://bucket", &[("access_key_id", "SECRET")]),
    ] {
        let error = open(url, options).expect_err(url);
        assert!(matches!(error, PublishError::Config(_)) && !error.to_string().contains("SECRET"), "{error}");
    }
    let config = StoreConfig { url: "s3://SECRET".to_owned(), options: [("a".to_owned(), "SECRET".to_owned())].into() };
    assert!(!format!("{config:?}").contains("SECRET"));
    assert!(
        !format!("{:?}", open("s3://bucket", &[("access_key_id", "SECRET"), ("secret_access_key", "SECRET")]))
            .contains("SECRET")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Wherever publishing is cut and however often, in the end everything is there, once, and never a part of it.
    #[test]
    fn cuts_do_not_matter(sizes in proptest::collection::vec(1..200_000_usize, 1..4), cuts in proptest::collection::vec(proptest::option::of(0..4_usize), 0..4), encrypt: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let case = Case::new();
            let identity = Identity::generate();
            let recipient = encrypt.then(|| recipient(&identity));
            let contents: Vec<Vec<u8>> = (0..).zip(&sizes).map(|(i, size)| vec![i; *size]).collect();
            let files: Vec<Outgoing> = contents.iter().enumerate().map(|(i, content)| case.outgoing(&i.to_string(), content)).collect();
            for cut in cuts {
                match cut.filter(|index| *index < files.len()) {
                    Some(index) => cut_before(&case, index, &files, recipient.as_ref()).await,
                    None => drop(case.store().publish(job(2), &files, recipient.as_ref(), &cut_at_once()).await),
                }
                assert_eq!(case.store().manifest(job(2)).await, Ok(None));
            }
            let published = case.store().publish(job(2), &files, recipient.as_ref(), &Watch::unwatched()).await.expect("published");
            let store = case.store();
            for ((index, content), result) in (0..).zip(contents.iter()).zip(&published) {
                let stored = whole(&store, job(2), index).await;
                assert_eq!(sha256(&stored), result.sha256);
                assert!(&(if encrypt { decrypted(&identity, &stored) } else { stored }) == content);
            }
        });
    }
}
