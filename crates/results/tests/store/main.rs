//! Results in a folder, and in an S3 store that `CLOISTERDEV_TEST_S3` names (`http://127.0.0.1:5000`; any keys, bucket
//! `results` is made by the test's starter).

mod planted;
#[path = "../stores/mod.rs"]
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
    sync::Arc,
};
use tempfile::TempDir;
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
