//! Stores in which another hand has left something, or that answer with something else than what was asked for.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

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
    fs::create_dir_all(case.at(job(1), "manifest.json/deep")).expect("folders");
    fs::write(case.home.path().join("outside"), "SECRET").expect("a file");
    std::os::unix::fs::symlink(case.home.path(), case.at(job(1), "files/deep/link")).expect("a link");
    store.remove(job(1)).await.expect("removed");
    assert_eq!(store.jobs().await, Ok(vec![]));
    assert!(case.home.path().join("outside").exists(), "it was removed through a link");

    // In its place may be something that is no folder.
    let place = case.home.path().join("results").join(job(1).to_string());
    fs::write(&place, "planted").expect("a file");
    store.remove(job(1)).await.expect("removed");
    assert_eq!(store.jobs().await, Ok(vec![]), "a file");
    rustix::fs::mkfifoat(rustix::fs::CWD, &place, rustix::fs::Mode::RUSR).expect("a pipe");
    store.remove(job(1)).await.expect("removed");
    assert_eq!(store.jobs().await, Ok(vec![]), "a pipe");
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
                let body = match status {
                    _ if bytes == list.len() => list,
                    // Wherever it is cut at an even number of bytes, that is within a character.
                    "403 Forbidden" => format!("x{}", "ä".repeat(32 << 10)).into_bytes(),
                    _ => vec![0; 64 << 10],
                };
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
    assert!(matches!(refused, Err(PublishError::Refused(_))), "{refused:?}");
    let list = store.jobs().await;
    assert!(matches!(list, Err(PublishError::Away(_))), "{list:?}");
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken < 128 << 20, "{taken} bytes were taken");
    // One more than the last byte that it names is no number: who counts on panics.
    let countless = read(1).await;
    assert!(matches!(countless, Err(PublishError::Away(_))), "{countless:?}");
}
