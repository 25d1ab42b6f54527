//! Uploads in a folder, and in an S3 store that `CLOISTERDEV_TEST_S3` names (as for the results of jobs).

mod stores;

use cloister_files::digest_of;
use cloister_model::{
    Account, ByteRange, FileDigest, Sha256, StoredResults as _, StoredResultsError, Timestamp, Upload,
};
use cloister_results::{PublishError, ResultStore, StoreConfig, UploadError};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

const AT: Timestamp = Timestamp::from_unix_ms(1_000_000);
const LATER: Timestamp = Timestamp::from_unix_ms(2_000_000);
const MOST: u64 = 1 << 30;
const ALL: ByteRange = ByteRange { offset: 0, at_most: u32::MAX };

struct Case {
    home: TempDir,
    config: StoreConfig,
    files: AtomicU64,
}

impl Case {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { config: stores::folder(home.path(), "store"), home, files: AtomicU64::new(0) }
    }

    fn s3(endpoint: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { config: stores::s3(endpoint, home.path(), "uploads-"), home, files: AtomicU64::new(0) }
    }

    fn store(&self) -> Arc<ResultStore> {
        Arc::new(ResultStore::open(&self.config).expect("a store"))
    }

    fn file(&self, content: &[u8]) -> (PathBuf, FileDigest) {
        let file = digest_of(content);
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = self.home.path().join(format!("sent-{number}"));
        fs::write(&path, content).expect("a file");
        (path, file)
    }

    async fn put(
        &self,
        store: &ResultStore,
        content: &[u8],
        owner: &str,
        at: Timestamp,
        most: u64,
    ) -> Result<Upload, UploadError> {
        let (path, file) = self.file(content);
        store.put_upload(&path, file, &account(owner), at, most).await
    }

    fn at(&self, path: &str) -> PathBuf {
        self.home.path().join("store").join(path)
    }

    /// Every file of the folder, by its path in it.
    fn tree(&self) -> BTreeSet<String> {
        let (root, mut open, mut found) = (self.at(""), vec![self.at("")], BTreeSet::new());
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.insert(path.strip_prefix(&root).expect("below it").display().to_string());
                }
            }
        }
        found
    }
}

fn account(name: &str) -> Account {
    name.parse().expect("an account")
}

fn folder_of(name: &str) -> String {
    format!("uploaders/{}", Sha256::of(account(name).key().as_bytes()))
}

fn is_full<T>(answer: &Result<T, UploadError>) -> bool {
    matches!(answer, Err(UploadError::Full(_)))
}

async fn keeps_uploads(case: &Case) {
    let store = case.store();
    let large: Vec<u8> = (0..251).cycle().take(20_000_000).collect();
    for (content, bytes) in [(b"".as_slice(), 0), (b"hello", 5), (&large, 20_000_000)] {
        let file = digest_of(content);
        assert_eq!(store.upload(file.sha256, &account("alice")).await, Ok(None));
        assert_eq!(store.read_upload(file.sha256, ALL).await, Ok(None));
        let sent = case.put(&store, content, "alice", AT, MOST).await.expect("kept");
        assert_eq!(sent, Upload { file: FileDigest { bytes, ..file }, owner: account("alice"), created: AT });
        // Another process finds it at once; another account does not.
        let other = case.store();
        assert_eq!(other.upload(file.sha256, &account("alice")).await, Ok(Some(sent.clone())));
        assert_eq!(other.upload(file.sha256, &account("bob")).await, Ok(None));
        assert_eq!(other.read_upload(file.sha256, ALL).await, Ok(Some(content.to_vec())));
        // The same file again counts as sent then, and costs nothing.
        let again = Upload { created: LATER, ..sent };
        assert_eq!(case.put(&other, content, "alice", LATER, 0).await, Ok(again.clone()));
        assert_eq!(store.upload(file.sha256, &account("alice")).await, Ok(Some(again)));
    }
    assert_eq!(store.upload_bytes(&account("alice")).await, Ok(20_000_005));
    assert_eq!(store.upload_bytes(&account("bob")).await, Ok(0));
    let bobs = case.put(&store, b"hello", "bob", LATER, MOST).await.expect("kept");
    assert_eq!((bobs.owner, bobs.created), (account("bob"), LATER));
    assert_eq!(store.upload_bytes(&account("bob")).await, Ok(5));
    let sha256 = digest_of(&large).sha256;
    for (offset, at_most) in [(0, 10), (19_999_995, 10), (20_000_000, 1), (u64::MAX, 1), (7, 0), (9_000_000, 1 << 20)] {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(large.len());
        let end = start.saturating_add(at_most as usize).min(large.len());
        let part = store.read_upload(sha256, ByteRange { offset, at_most }).await.expect("an answer");
        assert!(part.as_deref() == Some(&large[start..end]), "{offset} {at_most}");
    }
    // As the step that fetches sources reads them.
    assert_eq!(store.upload_size(sha256).await, Ok(Some(20_000_000)));
    let part = store.upload_part(sha256, ByteRange { offset: 0, at_most: 3 }).await;
    assert_eq!(part, Ok(vec![0, 1, 2]));
    let never = digest_of(b"never sent").sha256;
    assert_eq!(store.upload_part(never, ALL).await, Err(StoredResultsError::NoUpload(never)));
    // None of it is a job's.
    assert_eq!(store.jobs().await, Ok(vec![]));
}

async fn keeps_the_limit_of_an_account(case: &Case) {
    let store = case.store();
    let refused = case.put(&store, &[0; 11], "alice", AT, 10).await;
    assert!(is_full(&refused), "{refused:?}");
    case.put(&store, &[1; 6], "alice", AT, 10).await.expect("it fits");
    assert!(is_full(&case.put(&store, &[2; 5], "alice", AT, 10).await));
    case.put(&store, &[1; 6], "alice", AT, 10).await.expect("the same file again");
    case.put(&store, &[3; 4], "alice", AT, 10).await.expect("it fits exactly");
    case.put(&store, &[2; 5], "bob", AT, 10).await.expect("bob's limit is bob's own");
    // That the content is there already is no reason to let it in.
    assert!(is_full(&case.put(&store, &[2; 5], "alice", AT, 10).await));
    assert_eq!(store.upload(digest_of(&[2; 5]).sha256, &account("alice")).await, Ok(None));
    assert_eq!(store.read_upload(digest_of(&[0; 11]).sha256, ALL).await, Ok(None), "refused before it was stored");
    assert_eq!(store.upload_bytes(&account("alice")).await, Ok(10));
}

/// Two processes, many files at once.
async fn keeps_the_limit_of_an_account_across_processes(case: &Case) {
    let stores = [case.store(), case.store()];
    let mut tasks = Vec::new();
    for number in 0..20_u8 {
        let (path, file) = case.file(&[number; 30]);
        let store = stores[usize::from(number % 2)].clone();
        tasks.push(tokio::spawn(async move { store.put_upload(&path, file, &account("alice"), AT, 100_u64).await }));
    }
    let mut kept = Vec::new();
    for task in tasks {
        match task.await.expect("an answer") {
            Ok(upload) => kept.push(upload),
            refused => assert!(is_full(&refused), "{refused:?}"),
        }
    }
    assert!(kept.len() <= 3, "{kept:?}");
    let bytes: u64 = kept.iter().map(|upload| upload.file.bytes).sum();
    assert_eq!(stores[0].upload_bytes(&account("alice")).await, Ok(bytes));
    // A refusal reserves nothing: what is left can be used.
    for number in 0..3 - u8::try_from(kept.len()).expect("small") {
        case.put(&stores[1], &[100 + number; 30], "alice", AT, 100_u64).await.expect("it fits");
    }
}

/// One file, one account, many times at once: it is there once, sent at one of those times.
async fn agrees_on_one_file(case: &Case) {
    let stores = [case.store(), case.store()];
    let content = vec![7; 100_000];
    let mut tasks = Vec::new();
    for number in 0..12_u64 {
        let (path, file) = case.file(&content);
        let store = stores[usize::try_from(number % 2).expect("small")].clone();
        let at = Timestamp::from_unix_ms(number);
        tasks
            .push(tokio::spawn(async move { store.put_upload(&path, file, &account("alice"), at, 100_000_u64).await }));
    }
    let mut answers = BTreeSet::new();
    for task in tasks {
        answers.insert(task.await.expect("an answer").expect("kept").created);
    }
    let sha256 = digest_of(&content).sha256;
    let found = stores[0].upload(sha256, &account("alice")).await.expect("an answer").expect("there");
    assert!(answers.contains(&found.created));
    assert_eq!(stores[1].read_upload(sha256, ALL).await, Ok(Some(content)));
    assert_eq!(stores[1].upload_bytes(&account("alice")).await, Ok(100_000));
}

/// A deleted upload cannot be named and counts no more. Its content goes when no account can name it.
async fn deletes_uploads(case: &Case) {
    let (store, other) = (case.store(), case.store());
    let sha256 = digest_of(b"shared").sha256;
    for owner in ["alice", "bob"] {
        case.put(&store, b"shared", owner, AT, MOST).await.expect("kept");
    }
    case.put(&store, b"alone", "alice", AT, MOST).await.expect("kept");
    assert_eq!(other.remove_upload(sha256, &account("carol"), None).await, Ok(false));
    assert_eq!(other.remove_upload(sha256, &account("alice"), Some(AT)).await, Ok(false), "sent at that time or later");
    assert_eq!(other.remove_upload(sha256, &account("alice"), Some(LATER)).await, Ok(true));
    assert_eq!(other.remove_upload(sha256, &account("alice"), None).await, Ok(false));
    assert_eq!(store.upload(sha256, &account("alice")).await, Ok(None));
    assert_eq!(store.upload_bytes(&account("alice")).await, Ok(5));
    assert_eq!(store.remove_unnamed_uploads(LATER).await, Ok(0), "bob can name it");
    assert!(store.upload(sha256, &account("bob")).await.expect("an answer").is_some());
    assert_eq!(store.remove_upload(sha256, &account("bob"), None).await, Ok(true));
    assert_eq!(store.read_upload(sha256, ALL).await, Ok(Some(b"shared".to_vec())));
    assert_eq!(other.remove_unnamed_uploads(LATER).await, Ok(1));
    assert_eq!(store.read_upload(sha256, ALL).await, Ok(None));
    assert_eq!(store.upload_size(digest_of(b"alone").sha256).await, Ok(Some(5)), "alice can name it");
    // Sent again, it is there.
    case.put(&store, b"shared", "bob", LATER, MOST).await.expect("kept");
    assert_eq!(other.read_upload(sha256, ALL).await, Ok(Some(b"shared".to_vec())));
}

/// Processes that remove content which nobody can name, while others store the same: a process that was told that it is kept can read it.
async fn what_is_kept_can_be_read(case: &Case) {
    let stores = [case.store(), case.store(), case.store()];
    for round in 0..10_u8 {
        let content = vec![round; 1000];
        let sha256 = digest_of(&content).sha256;
        case.put(&stores[0], &content, "alice", AT, MOST).await.expect("kept");
        stores[0].remove_upload(sha256, &account("alice"), None).await.expect("deleted");
        let mut tasks = Vec::new();
        for number in 0..6_usize {
            let (path, file) = case.file(&content);
            let store = stores[number % 3].clone();
            tasks.push(tokio::spawn(async move {
                if number % 2 == 0 {
                    store.remove_unnamed_uploads(AT).await.expect("looked at");
                    return None;
                }
                let owner = account(&format!("owner{number}"));
                let sent = store.put_upload(&path, file, &owner, AT, MOST).await;
                if matches!(sent, Err(UploadError::Leaving)) {
                    return None;
                }
                sent.expect("sent");
                Some(owner)
            }));
        }
        let mut kept = Vec::new();
        for task in tasks {
            kept.extend(task.await.expect("an answer"));
        }
        stores[1].remove_unnamed_uploads(AT).await.expect("looked at");
        for owner in kept {
            assert!(stores[2].upload(sha256, &owner).await.expect("an answer").is_some(), "{owner}");
        }
    }
}

/// A process that was killed while it removed content keeps nobody from sending it for longer than a day.
#[tokio::test]
async fn a_note_of_a_killed_process_counts_for_a_day() {
    let case = Case::new();
    let store = case.store();
    let file = digest_of(b"content");
    let note = format!("leaving-uploads/{}-0-{}-{:016x}", file.sha256, AT.unix_ms(), 7);
    fs::create_dir_all(case.at("leaving-uploads")).expect("a folder");
    fs::write(case.at(&note), b"").expect("written");
    let hours = |hours: u64| Timestamp::from_unix_ms(AT.unix_ms() + hours * 60 * 60 * 1000);
    assert_eq!(case.put(&store, b"content", "alice", hours(23), MOST).await, Err(UploadError::Leaving));
    case.put(&store, b"other", "alice", hours(23), MOST).await.expect("another file");
    case.put(&store, b"content", "alice", hours(25), MOST).await.expect("it counts no more");
    store.remove_unnamed_uploads(hours(25)).await.expect("looked at");
    assert!(!case.at(&note).exists());
    assert!(store.upload(file.sha256, &account("alice")).await.expect("an answer").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_uploads() {
    deletes_uploads(&Case::new()).await;
    what_is_kept_can_be_read(&Case::new()).await;
    keeps_uploads(&Case::new()).await;
    keeps_the_limit_of_an_account(&Case::new()).await;
    for _ in 0..20 {
        keeps_the_limit_of_an_account_across_processes(&Case::new()).await;
        let case = Case::new();
        agrees_on_one_file(&case).await;
        let expected = [
            format!("uploads/{}", digest_of(&vec![7; 100_000]).sha256),
            format!("{}/{}-100000", folder_of("alice"), digest_of(&vec![7; 100_000]).sha256),
        ];
        assert_eq!(case.tree(), BTreeSet::from(expected), "neither drafts nor reservations stay");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_store_keeps_uploads() {
    let Ok(endpoint) = std::env::var("CLOISTERDEV_TEST_S3") else { return };
    deletes_uploads(&Case::s3(&endpoint)).await;
    what_is_kept_can_be_read(&Case::s3(&endpoint)).await;
    keeps_uploads(&Case::s3(&endpoint)).await;
    keeps_the_limit_of_an_account(&Case::s3(&endpoint)).await;
    keeps_the_limit_of_an_account_across_processes(&Case::s3(&endpoint)).await;
    agrees_on_one_file(&Case::s3(&endpoint)).await;
}

#[tokio::test]
async fn no_account_becomes_a_path() {
    let case = Case::new();
    let store = case.store();
    let names = ["../../../escape", "a/b", "..", ".", "uploads", "0xAbCdEf0123456789aBcDeF0123456789AbCdEf01"];
    let names: Vec<&str> = names.into_iter().filter(|name| name.parse::<Account>().is_ok()).collect();
    assert!(names.len() >= 3, "{names:?}");
    for name in &names {
        case.put(&store, b"x", name, AT, MOST).await.expect("kept");
        assert!(store.upload(digest_of(b"x").sha256, &account(name)).await.expect("an answer").is_some());
    }
    let sha256 = digest_of(b"x").sha256;
    let mut expected: BTreeSet<String> = names.iter().map(|name| format!("{}/{sha256}-1", folder_of(name))).collect();
    expected.insert(format!("uploads/{sha256}"));
    assert_eq!(case.tree(), expected);
    assert!(!case.home.path().join("escape").exists());
    let text = fs::read_to_string(case.at(&format!("{}/{sha256}-1", folder_of(names[0])))).expect("a marker");
    assert!(text.starts_with(r#"{"version":"cloister.dev/upload/v1","owner":""#), "{text}");
}

/// What is cut short leaves nothing that can be named.
#[tokio::test]
async fn nothing_is_nameable_that_is_not_there() {
    let case = Case::new();
    let store = case.store();
    let sent = case.put(&store, b"content", "alice", AT, MOST).await.expect("kept");
    let sha256 = sent.file.sha256;
    let (content, marker) =
        (case.at(&format!("uploads/{sha256}")), case.at(&format!("{}/{sha256}-7", folder_of("alice"))));
    // Cut short between content and marker.
    let text = fs::read(&marker).expect("a marker");
    fs::remove_file(&marker).expect("removed");
    assert_eq!(store.upload(sha256, &account("alice")).await, Ok(None));
    // Sent again, it is complete.
    assert_eq!(case.put(&store, b"content", "alice", AT, MOST).await.as_ref(), Ok(&sent));
    // Content that is gone or cut: the account cannot name it, and can send it again.
    for broken in [None, Some(b"cont".as_slice()), Some(b"content and more")] {
        match broken {
            None => fs::remove_file(&content).expect("removed"),
            Some(broken) => fs::write(&content, broken).expect("written"),
        }
        assert_eq!(store.upload(sha256, &account("alice")).await, Ok(None), "{broken:?}");
        let again = Upload { created: LATER, ..sent.clone() };
        assert_eq!(case.put(&store, b"content", "alice", LATER, 7).await, Ok(again), "{broken:?}");
        assert_eq!(store.read_upload(sha256, ALL).await, Ok(Some(b"content".to_vec())), "{broken:?}");
    }
    // A marker that another version wrote, that is cut, or that is another account's is refused.
    for wrong in [
        String::from_utf8(text.clone()).expect("text").replace("/v1", "/v2"),
        String::from_utf8(text).expect("text").replace("alice", "mallory"),
        "{".to_owned(),
    ] {
        fs::write(&marker, &wrong).expect("written");
        let refused = store.upload(sha256, &account("alice")).await;
        assert!(matches!(refused, Err(PublishError::Store(_))), "{wrong}: {refused:?}");
    }
}

/// A file that is not what its digest says is not stored, and counts for nothing.
#[tokio::test]
async fn a_file_that_is_something_else_is_not_stored() {
    let case = Case::new();
    let store = case.store();
    let (path, file) = case.file(b"good");
    fs::write(&path, b"evil").expect("written");
    let refused = store.put_upload(&path, file, &account("alice"), AT, MOST).await;
    assert!(matches!(refused, Err(UploadError::Store(PublishError::Changed(_)))), "{refused:?}");
    let missing = store.put_upload(Path::new("/nowhere"), file, &account("alice"), AT, MOST).await;
    assert!(matches!(missing, Err(UploadError::Store(PublishError::File(_)))), "{missing:?}");
    assert_eq!(store.upload(file.sha256, &account("alice")).await, Ok(None));
    assert_eq!(case.tree(), BTreeSet::new(), "neither drafts nor reservations stay");
}

/// What processes leave that are killed counts for a day, and then goes.
#[tokio::test]
async fn what_a_killed_process_leaves_goes_after_a_day() {
    let case = Case::new();
    let store = case.store();
    case.put(&store, b"first", "alice", AT, MOST).await.expect("kept");
    // It was killed while it stored eight bytes.
    let left = format!("{}/{}-8-{}-{:016x}", folder_of("alice"), Sha256::of(b"8"), AT.unix_ms(), 5);
    fs::write(case.at(&left), b"").expect("written");
    let (draft, fresh) = (case.at("drafts/0123"), case.at("drafts/4567"));
    fs::write(&draft, b"half").expect("written");
    fs::write(&fresh, b"half").expect("written");
    let long_ago = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    fs::File::options().write(true).open(&draft).expect("a draft").set_modified(long_ago).expect("set");
    let hours = |hours: u64| Timestamp::from_unix_ms(AT.unix_ms() + hours * 60 * 60 * 1000);
    assert!(is_full(&case.put(&store, b"second", "alice", hours(23), 12).await), "it counts");
    assert!(case.at(&left).exists());
    case.put(&store, b"second", "alice", hours(25), 12).await.expect("it counts no more");
    assert!(!case.at(&left).exists() && !draft.exists() && fresh.exists());
    assert_eq!(store.upload_bytes(&account("alice")).await, Ok(11));
    // What this program did not write counts for nothing, and stays.
    for name in ["note", "..-1", &format!("{}-01", Sha256::of(b"8"))] {
        fs::write(case.at(&folder_of("alice")).join(name), b"").expect("written");
    }
    assert_eq!(store.upload_bytes(&account("alice")).await, Ok(11));
}
