use super::*;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

async fn keep(cache: &Arc<Cache>, content: &str, origin: Option<u8>) -> Held {
    let mut partial = cache.begin().expect("a file");
    partial.write(Bytes::from(content.to_owned())).await.expect("written");
    let fresh = partial.finish().await.expect("finished");
    cache.keep(fresh, origin.map(|byte| Sha256::from_bytes([byte; 32]))).expect("kept")
}

/// What processes have in flight or hold.
fn in_flight(dir: &Path) -> usize {
    let folders = fs::read_dir(dir.join("partial")).expect("a folder").map(|entry| entry.expect("an entry").path());
    folders.filter(|path| path.is_dir()).map(|path| fs::read_dir(path).expect("a folder").count()).sum()
}

fn names(dir: &Path, part: &str) -> usize {
    fs::read_dir(dir.join(part)).expect("a folder").count()
}

#[tokio::test]
async fn keeps_once_what_comes_twice_and_links_read_only() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(&home.path().join("cache"), 1000).expect("a cache"));
    let (one, two) = (keep(&cache, "hello", None).await, keep(&cache, "hello", None).await);
    assert_eq!((one.file(), cache.bytes()), (two.file(), 5));
    let dir = home.path().join("cache");
    assert_eq!((names(&dir, "files"), in_flight(&dir)), (1, 2));
    one.link(&home.path().join("a"), &CancellationToken::new()).expect("a link");
    drop((one, two));
    assert_eq!(in_flight(&dir), 0);
    let linked = fs::metadata(home.path().join("a")).expect("a file");
    assert_eq!((linked.nlink(), linked.permissions().mode() & 0o7777), (2, 0o444));
    assert_eq!(fs::metadata(&dir).expect("a folder").permissions().mode() & 0o777, 0o700);
}

/// Two jobs of one dataset, or two datasets with one file, that are fetched together take the disk once.
#[tokio::test]
async fn what_comes_several_times_at_once_is_kept_once() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(home.path(), 1 << 20).expect("a cache"));
    for round in 0..50 {
        let mut whole = Vec::new();
        for _ in 0..4 {
            let mut partial = cache.begin().expect("a file");
            partial.write(Bytes::from(format!("round {round}"))).await.expect("written");
            whole.push(partial.finish().await.expect("finished"));
        }
        let together = std::sync::Barrier::new(whole.len());
        let held: Vec<Held> = std::thread::scope(|scope| {
            let threads: Vec<_> = whole
                .into_iter()
                .map(|fresh| {
                    scope.spawn(|| {
                        together.wait();
                        cache.keep(fresh, None).expect("kept")
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let files: BTreeSet<u64> = held.iter().map(|held| fs::metadata(held.path()).expect("held").ino()).collect();
        assert_eq!(files.len(), 1, "round {round}");
    }
    assert_eq!((names(home.path(), "files"), in_flight(home.path())), (50, 0));
}

/// A file that cannot be kept leaves nothing behind: neither a link that holds it, nor what was fetched.
#[tokio::test]
async fn what_cannot_be_kept_is_not_held_either() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(home.path(), 1000).expect("a cache"));
    let mut partial = cache.begin().expect("a file");
    partial.write(Bytes::from_static(b"hello")).await.expect("written");
    let fresh = partial.finish().await.expect("finished");
    // Not even root can link a file into a folder that is not there.
    fs::rename(home.path().join("files"), home.path().join("elsewhere")).expect("renamed");
    cache.keep(fresh, None).expect_err("there is no folder for it");
    assert_eq!(in_flight(home.path()), 0);
    fs::rename(home.path().join("elsewhere"), home.path().join("files")).expect("renamed");
    drop(keep(&cache, "hello", None).await);
    assert_eq!((names(home.path(), "files"), in_flight(home.path())), (1, 0));
}

#[tokio::test]
async fn a_digest_alone_gets_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(home.path(), 1000).expect("a cache"));
    let sha256 = keep(&cache, "private", Some(1)).await.file().sha256;
    let origin = |byte| Sha256::from_bytes([byte; 32]);
    assert!(cache.hold_from(origin(1), Some(sha256)).is_some());
    assert!(cache.hold_from(origin(2), Some(sha256)).is_none());
    assert!(cache.hold_from(origin(1), Some(origin(9))).is_none());
    drop(cache);
    let cache = Arc::new(Cache::open(home.path(), 1000).expect("a cache"));
    assert!(cache.hold_from(origin(1), Some(sha256)).is_some(), "known after it is opened again");
}

#[tokio::test]
async fn the_least_lately_used_goes_and_what_is_held_can_still_be_given() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(home.path(), 10).expect("a cache"));
    let origin = |byte| Sha256::from_bytes([byte; 32]);
    // Time passes, on a file system with coarse time stamps, too.
    let later = || {
        for entry in fs::read_dir(home.path().join("used")).expect("a folder") {
            let note = OpenOptions::new().write(true).open(entry.expect("an entry").path()).expect("a note");
            let used = note.metadata().and_then(|metadata| metadata.modified()).expect("a time");
            note.set_modified(used - std::time::Duration::from_secs(10)).expect("set");
        }
    };
    drop(keep(&cache, "aaaa", Some(1)).await);
    later();
    let b = keep(&cache, "bbbb", Some(2)).await;
    later();
    assert!(cache.hold_from(origin(1), None).is_some(), "used again");
    later();
    drop(keep(&cache, "cccc", Some(3)).await);
    assert_eq!(cache.bytes(), 8);
    assert!(cache.hold_from(origin(2), None).is_none(), "the one that was used least lately");
    assert!(cache.hold_from(origin(1), None).is_some() && cache.hold_from(origin(3), None).is_some());
    b.link(&home.path().join("b"), &CancellationToken::new()).expect("held by a link of its own");
    assert_eq!(fs::read(home.path().join("b")).expect("a file"), b"bbbb");
    let large = keep(&cache, "larger than the whole cache", Some(4)).await;
    assert_eq!((cache.bytes(), names(home.path(), "origins"), names(home.path(), "used")), (0, 0, 0));
    large.link(&home.path().join("large"), &CancellationToken::new()).expect("it was fetched for a job");
}

#[tokio::test]
async fn what_is_cut_or_gone_is_not_given() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(home.path(), 100).expect("a cache"));
    let sha256 = keep(&cache, "hello", Some(1)).await.file().sha256;
    let path = cache.file_path(sha256);
    fs::remove_file(&path).expect("removed");
    fs::write(&path, "hell").expect("a file");
    assert!(cache.hold_from(Sha256::from_bytes([1; 32]), None).is_none());
    assert_eq!((cache.bytes(), path.exists()), (0, false));
    drop(keep(&cache, "hello", Some(1)).await);
    assert!(cache.hold_from(Sha256::from_bytes([1; 32]), None).is_some());
}

#[tokio::test]
async fn what_is_cut_short_leaves_nothing_and_what_goes_on_is_left_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(home.path(), 100).expect("a cache"));
    let mut partial = cache.begin().expect("a file");
    partial.write(Bytes::from_static(b"half")).await.expect("written");
    fs::write(home.path().join("partial/of-a-crash"), "half").expect("a file");
    fs::create_dir(home.path().join("partial/dead")).expect("a folder");
    fs::write(home.path().join("partial/dead/file"), "half").expect("a file");
    fs::write(home.path().join("partial/dead.lock"), "").expect("a file");
    let neighbour = Cache::open(home.path(), 100).expect("a cache");
    assert_eq!((in_flight(home.path()), names(home.path(), "partial")), (1, 4), "another's download is left alone");
    partial.write(Bytes::from_static(b" and half")).await.expect("written");
    let whole = partial.finish().await.expect("finished");
    assert_eq!(cache.keep(whole, None).expect("kept").file().bytes, 13);
    drop((cache, neighbour));
    assert_eq!((names(home.path(), "partial"), names(home.path(), "files")), (0, 1));
}

#[tokio::test]
async fn an_upload_is_adopted_without_a_copy() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(&home.path().join("cache"), 100).expect("a cache"));
    let upload = home.path().join("upload");
    fs::write(&upload, "hello").expect("a file");
    let held = cache.keep(cache.adopt(&upload).expect("adopted"), None).expect("kept");
    assert_eq!(
        fs::metadata(held.path()).expect("a file").nlink(),
        3,
        "the upload, the cache, and the link that holds it"
    );
    assert_eq!(held.file().bytes, 5);
}

#[tokio::test]
async fn another_file_system_gets_a_copy() {
    let home = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir_in("/dev/shm").expect("a folder of another file system");
    let cache = Arc::new(Cache::open(home.path(), 100).expect("a cache"));
    let held = keep(&cache, "hello", None).await;
    let to = other.path().join("a");
    held.link(&to, &CancellationToken::new()).expect("a copy");
    assert_eq!(fs::read(&to).expect("a file"), b"hello");
    assert_eq!(fs::metadata(&to).expect("a file").permissions().mode() & 0o7777, 0o444);
}
