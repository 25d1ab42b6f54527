use super::*;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

async fn keep(cache: &Arc<Cache>, content: &str, origin: Option<u8>) -> Held {
    let mut partial = cache.begin().expect("a file");
    partial.write(Bytes::from(content.to_owned())).await.expect("written");
    let fresh = partial.finish().await.expect("finished");
    cache.keep(fresh, origin.map(|byte| Sha256::from_bytes([byte; 32]))).expect("kept")
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
    assert_eq!((names(&dir, "files"), names(&dir, "partial")), (1, 0));
    one.link(&home.path().join("a"), &CancellationToken::new()).expect("a link");
    let linked = fs::metadata(home.path().join("a")).expect("a file");
    assert_eq!((linked.nlink(), linked.permissions().mode() & 0o7777), (2, 0o444));
    assert_eq!(fs::metadata(&dir).expect("a folder").permissions().mode() & 0o777, 0o700);
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
async fn the_least_lately_used_goes_and_what_is_held_stays() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(home.path(), 10).expect("a cache"));
    let a = keep(&cache, "aaaa", Some(1)).await;
    drop(keep(&cache, "bbbb", Some(2)).await);
    drop(keep(&cache, "cccc", Some(3)).await);
    assert_eq!(cache.bytes(), 8);
    let origin = |byte| Sha256::from_bytes([byte; 32]);
    assert!(cache.hold_from(origin(2), None).is_none(), "the oldest that is not held");
    assert!(cache.hold_from(origin(3), None).is_some());
    let large = keep(&cache, "0123456789", None).await;
    assert_eq!(cache.bytes(), 14, "both are held");
    drop(large);
    drop(a);
    assert!(cache.bytes() <= 10);
    drop(keep(&cache, "larger than the whole cache", Some(4)).await);
    assert_eq!((cache.bytes(), names(home.path(), "origins")), (0, 0));
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
async fn what_is_cut_short_leaves_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(home.path(), 100).expect("a cache"));
    let mut partial = cache.begin().expect("a file");
    partial.write(Bytes::from_static(b"half")).await.expect("written");
    fs::write(home.path().join("partial/of-a-crash"), "half").expect("a file");
    drop(partial);
    drop(cache);
    let again = Cache::open(home.path(), 100).expect("a cache");
    assert_eq!((again.bytes(), names(home.path(), "partial"), names(home.path(), "files")), (0, 0, 0));
}

#[tokio::test]
async fn an_upload_is_adopted_without_a_copy() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Arc::new(Cache::open(&home.path().join("cache"), 100).expect("a cache"));
    let upload = home.path().join("upload");
    fs::write(&upload, "hello").expect("a file");
    let held = cache.keep(cache.adopt(&upload).expect("adopted"), None).expect("kept");
    assert_eq!(fs::metadata(held.path()).expect("a file").nlink(), 2);
    assert_eq!(held.file().bytes, 5);
}

#[tokio::test]
async fn another_file_system_gets_a_copy() {
    let home = tempfile::tempdir().expect("a folder");
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    let cache = Arc::new(Cache::open(home.path(), 100).expect("a cache"));
    let held = keep(&cache, "hello", None).await;
    let to = other.path().join("a");
    held.link(&to, &CancellationToken::new()).expect("a copy");
    assert_eq!(fs::read(&to).expect("a file"), b"hello");
    assert_eq!(fs::metadata(&to).expect("a file").permissions().mode() & 0o7777, 0o444);
}
