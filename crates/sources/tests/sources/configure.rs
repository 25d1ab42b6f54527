use crate::{
    place::{Place, did, digest, files, input, job, policy, source, tree},
    server::{Answer, Server},
};
use cloister_files::Watch;
use cloister_model::{
    AdmittedBy, AdmittedDataset, ConfigureOrder, Fault, FilesChecksum, JobId, JobSource, MountedFile, ResultKind,
    Secret, Sha256, StepResult, Timestamp,
};
use cloister_results::Outgoing;
use cloister_sources::{ConfigurationError, DocumentFetcher, MountedRoot, SourcePolicy};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

fn inline(text: &str) -> Value {
    json!({"type": "inline", "content": text})
}

fn trusting(checksum: FilesChecksum) -> AdmittedDataset {
    AdmittedDataset {
        did: did("d1"),
        service: "compute".to_owned(),
        by: AdmittedBy::TrustedAlgorithm,
        files_checksums: Some([checksum].into()),
    }
}

#[tokio::test]
async fn lays_out_what_a_guest_sees() {
    let server = Server::start(|_, _| Answer::ok(b"from a server")).await;
    let place = Place::new();
    let into = place.home.path().join("jobs/1/data");
    let datasets = vec![
        input(
            "d2",
            json!([inline("zero"), {"type": "url", "url": server.url("/")}, {"type": "inline", "base64": "/w=="}]),
        ),
        input("d1", json!([inline("zero")])),
    ];
    let mut job = job(datasets, source(json!([inline("main"), inline("lib")])));
    let checksum = FilesChecksum::of(vec![digest(b"main").sha256, digest(b"lib").sha256]).expect("files");
    job.terms.admitted = vec![trusting(checksum.clone())];
    let configured =
        place.fetcher.configure(&ConfigureOrder::of(&job), &into, &Watch::unwatched()).await.expect("configured");
    let found = tree(&into);
    let expected = [
        ("ddos/algo", br#"{"id":"did:op:algo"}"#.as_slice()),
        ("ddos/d1", br#"{"id":"did:op:d1"}"#),
        ("ddos/d2", br#"{"id":"did:op:d2"}"#),
        ("inputs/algoCustomData.json", br#"{"k":5}"#),
        ("inputs/d1/0", b"zero"),
        ("inputs/d2/0", b"zero"),
        ("inputs/d2/1", b"from a server"),
        ("inputs/d2/2", b"\xff"),
        ("transformations/1", b"lib"),
        ("transformations/algorithm", b"main"),
    ];
    assert_eq!(found, expected.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect());
    assert_eq!(configured.datasets, [did("d2"), did("d1")]);
    assert_eq!(configured.algorithm, checksum);
    let digests: Vec<_> = expected.iter().map(|(name, content)| ((*name).to_owned(), digest(content))).collect();
    assert_eq!(configured.files, digests);
    for name in found.keys() {
        assert_eq!(fs::metadata(into.join(name)).expect("a file").permissions().mode() & 0o7777, 0o444, "{name}");
    }
    let (one, two) = (fs::metadata(into.join("inputs/d1/0")), fs::metadata(into.join("inputs/d2/0")));
    assert_eq!(one.expect("a file").ino(), two.expect("a file").ino(), "one file, linked");
    // Once more, after a crash: the same.
    fs::write(into.join("inputs/left-over"), "x").expect("a file");
    assert_eq!(place.fetcher.configure(&ConfigureOrder::of(&job), &into, &Watch::unwatched()).await, Ok(configured));
    assert_eq!(tree(&into), found);
}

#[tokio::test]
async fn without_parameters_there_is_an_empty_object_and_code_of_the_job_is_the_algorithm() {
    let place = Place::new();
    let mut job = job(vec![input("d1", json!([inline("x")]))], JobSource::Rawcode(Secret::new("print(1)".to_owned())));
    job.parameters = None;
    job.algorithm.did = None;
    job.algorithm.ddo = None;
    let into = place.home.path().join("data");
    let configured =
        place.fetcher.configure(&ConfigureOrder::of(&job), &into, &Watch::unwatched()).await.expect("configured");
    assert_eq!(configured.algorithm.files(), [digest(b"print(1)").sha256]);
    let found = tree(&into);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["ddos/d1", "inputs/algoCustomData.json", "inputs/d1/0", "transformations/algorithm"]);
    assert_eq!(found["inputs/algoCustomData.json"], b"{}");
}

#[tokio::test]
async fn another_algorithm_than_trusted_does_not_run_and_no_data_is_fetched() {
    let server = Server::start(|_, _| Answer::ok(b"data")).await;
    let place = Place::new();
    let data = input("d1", json!([{"type": "url", "url": server.url("/")}]));
    let mut job = job(vec![data], source(json!([inline("evil")])));
    let trusted = FilesChecksum::of(vec![digest(b"good").sha256]).expect("a file");
    job.terms.admitted = vec![trusting(trusted)];
    let error =
        place.fetcher.configure(&ConfigureOrder::of(&job), &place.home.path().join("data"), &Watch::unwatched()).await;
    let Err(ConfigurationError::Algorithm { reason, fault: Fault::Algorithm, .. }) = error else { panic!("{error:?}") };
    assert!(reason.contains("did:op:d1: the dataset trusts this algorithm with other files only"), "{reason}");
    assert_eq!(server.asked().len(), 0);
}

/// Who reads why a job failed because its data are too large is told which bound it is, and what to do; not how large they are.
#[tokio::test]
async fn data_that_are_too_large_say_which_bound_it_is_and_what_to_do() {
    let small = SourcePolicy { max_file_bytes: 1000, max_job_bytes: 1500, ..policy() };
    let place = Place::with(small);
    let into = place.home.path().join("data");
    let (fits, large) = (json!([inline(&"a".repeat(900))]), json!([inline("x"), inline(&"b".repeat(1234))]));
    let configure = async |inputs| {
        let data = job(inputs, source(json!([inline("a")])));
        let failed = place.fetcher.configure(&ConfigureOrder::of(&data), &into, &Watch::unwatched()).await;
        let StepResult::Failed { reason, .. } = StepResult::from(failed.expect_err("too large")) else { panic!() };
        (reason.text().to_owned(), reason.fault())
    };
    let (text, fault) = configure(vec![input("d1", large)]).await;
    let expected = "dataset did:op:d1 could not be provided: file 1 has more than 1000 bytes, the most that one file may have \
        here; ask its publisher for a smaller one, or the operator for more (`sources.max_file`)";
    assert_eq!((text.as_str(), fault), (expected, Fault::Publisher));
    let other = json!([inline(&"c".repeat(900))]);
    let (text, fault) = configure(vec![input("d1", fits.clone()), input("d2", other)]).await;
    assert!(text.contains("has more than 1500 bytes of input, the most that one job may have here"), "{text}");
    assert!(
        text.contains("name fewer or smaller datasets, or ask the operator for more (`sources.max_job`)"),
        "{text}"
    );
    assert_eq!(fault, Fault::System);
    assert!(!text.contains("1800") && !text.contains("900"), "{text}");
}

#[tokio::test]
async fn whose_fault_it_is_is_said_and_no_secret() {
    let server = Server::start(|_, _| Answer::new("404 Not Found", &[("Content-Length", "0".to_owned())], b"")).await;
    let place = Place::new();
    let into = place.home.path().join("data");
    let failing =
        json!([inline("x"), {"type": "url", "url": server.url("/SECRET?SECRET"), "headers": {"A": "SECRET"}}]);
    let data = job(vec![input("d1", failing.clone())], source(json!([inline("a")])));
    let error = place.fetcher.configure(&ConfigureOrder::of(&data), &into, &Watch::unwatched()).await.expect_err("404");
    let ConfigurationError::Data { did: named, reason, detail, fault: Fault::Publisher } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*named, did("d1"));
    // Where the file is kept is its publisher's affair, down to scheme and host.
    assert_eq!(reason, "file 1 could not be fetched from where it is kept; ask its publisher");
    assert_eq!(detail.as_deref(), Some("file 1 (http://127.0.0.1): the source failed: it answered 404"));
    let StepResult::Failed { reason, detail: Some(detail), .. } = StepResult::from(error) else { panic!() };
    assert!(!reason.text().contains("http") && !reason.text().contains("127.0.0.1"), "{}", reason.text());
    assert_eq!((reason.fault(), detail.asset()), (Fault::Publisher, Some(&did("d1"))));
    for (brought, fault) in [(false, Fault::Publisher), (true, Fault::Algorithm)] {
        let mut algorithm = job(vec![], source(failing.clone()));
        if brought {
            algorithm.algorithm.did = None;
        }
        let order = ConfigureOrder::of(&algorithm);
        let error = place.fetcher.configure(&order, &into, &Watch::unwatched()).await.expect_err("404");
        let StepResult::Failed { reason, detail: Some(detail), .. } = StepResult::from(error) else { panic!() };
        assert_eq!((reason.fault(), detail.asset().is_none()), (fault, brought));
        assert!(!reason.text().contains("127.0.0.1") && detail.text().contains("127.0.0.1"), "{}", reason.text());
    }
    for (object, fault) in [
        (json!({"type": "inline", "content": "SECRET", "sha256": "ab".repeat(32)}), Fault::Publisher),
        (json!({"type": "nonsense", "url": "SECRET"}), Fault::Publisher),
        (json!({"type": "local", "path": "/SECRET"}), Fault::Publisher),
    ] {
        let algorithm = job(vec![], source(json!([object])));
        let error = place
            .fetcher
            .configure(&ConfigureOrder::of(&algorithm), &into, &Watch::unwatched())
            .await
            .expect_err("refused");
        assert!(matches!(&error, ConfigurationError::Algorithm { fault: f, .. } if *f == fault), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
    }
    assert!(!format!("{:?}", place.fetcher).contains("SECRET"));
}

/// An attacker who knows nearly all of the data could guess the rest with its digest.
#[tokio::test]
async fn a_reason_names_no_digest_of_data() {
    let place = Place::new();
    let (wanted, found) = ("ab".repeat(32), digest(b"salary: 100").sha256.to_string());
    let data = json!([{"type": "inline", "content": "salary: 100", "sha256": wanted}]);
    let data = job(vec![input("d1", data)], source(json!([inline("a")])));
    let error =
        place.fetcher.configure(&ConfigureOrder::of(&data), &place.home.path().join("data"), &Watch::unwatched()).await;
    let Err(ConfigurationError::Data { reason, .. }) = error else { panic!("{error:?}") };
    assert!(reason.starts_with("file 0: not the agreed content"), "{reason}");
    assert!(!reason.contains(&wanted) && !reason.contains(&found), "{reason}");
}

#[tokio::test]
async fn secrets_of_sources_do_not_reach_the_tree() {
    let server = Server::start(|_, _| Answer::ok(b"data")).await;
    let place = Place::new();
    let into = place.home.path().join("data");
    let url = format!("http://user:SECRET@127.0.0.1:{}/?sig=SECRET", server.port);
    let object = json!({"type": "url", "url": url, "headers": {"X-Key": "SECRET"}, "sha256": digest(b"data").sha256});
    let job = job(vec![input("d1", json!([object]))], source(json!([inline("a")])));
    let configured =
        place.fetcher.configure(&ConfigureOrder::of(&job), &into, &Watch::unwatched()).await.expect("configured");
    assert!(!format!("{configured:?}").contains("SECRET"));
    for (name, content) in tree(place.home.path()) {
        assert!(!name.contains("SECRET") && !content.windows(6).any(|window| window == b"SECRET"), "{name}");
    }
}

#[tokio::test]
async fn local_files_uploads_and_results_are_read_here() {
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("root")).expect("a folder");
    fs::write(home.path().join("root/a.csv"), "a,b\n").expect("a file");
    fs::write(home.path().join("outside"), "SECRET").expect("a file");
    symlink("../outside", home.path().join("root/out")).expect("a link");
    let place = Place::at(home, |home| SourcePolicy { local_roots: vec![home.join("root")], ..policy() });
    let at = |name: &str| place.home.path().join(name).display().to_string();
    let local = |name: &str| json!({"type": "local", "path": at(name)});
    let file = place.fetch(local("root/a.csv")).await.expect("a file");
    assert_eq!(file, digest(b"a,b\n"));
    // A later change is seen, and does not change what was given before.
    let given = place.content(file);
    fs::write(at("root/a.csv"), "c,d\n").expect("a file");
    assert_eq!(place.fetch(local("root/a.csv")).await, Ok(digest(b"c,d\n")));
    assert_eq!(place.content(file), given);
    for bad in ["root/out", "outside", "root/missing", "root"] {
        let error = place.fetch(local(bad)).await.expect_err(bad);
        assert!(!error.to_string().contains(bad) && !error.to_string().contains("SECRET"), "{error}");
    }

    let sha256 = digest(b"uploaded").sha256;
    fs::write(at(&format!("uploads/{sha256}")), "uploaded").expect("a file");
    assert_eq!(place.fetch(json!({"type": "upload", "sha256": sha256})).await, Ok(digest(b"uploaded")));
    let other: Sha256 = digest(b"other").sha256;
    fs::write(at(&format!("uploads/{other}")), "broken on the disk").expect("a file");
    place.fetch(json!({"type": "upload", "sha256": other})).await.expect_err("not what its name says");
    place.fetch(json!({"type": "upload", "sha256": digest(b"missing").sha256})).await.expect_err("missing");

    let id = JobId::from_bytes([7; 16]);
    let content: Vec<u8> = (0..251).cycle().take(3_000_000).collect();
    fs::write(at("result"), &content).expect("a file");
    let outgoing = Outgoing {
        name: "r".to_owned(),
        kind: ResultKind::Output,
        path: at("result").into(),
        expected: digest(&content),
    };
    place.results.publish(id, &[outgoing], None, &Watch::unwatched()).await.expect("published");
    assert_eq!(place.fetch(json!({"type": "result", "job": id, "index": 0})).await, Ok(digest(&content)));
    place.fetch(json!({"type": "result", "job": id, "index": 1})).await.expect_err("no such result");
    place.results.remove(id).await.expect("removed");
    place.fetch(json!({"type": "result", "job": id, "index": 0})).await.expect_err("gone, whatever the cache has");
}

/// A dataset that results became has their digests, because whatever writes to the store writes the list of the results as well.
#[tokio::test]
async fn a_result_is_what_was_agreed_whatever_the_store_has_by_now() {
    let place = Place::new();
    let id = JobId::from_bytes([7; 16]);
    let publish = async |content: &[u8]| {
        let path = place.home.path().join("result");
        fs::write(&path, content).expect("a file");
        let outgoing = Outgoing { name: "r".to_owned(), kind: ResultKind::Output, path, expected: digest(content) };
        place.results.publish(id, &[outgoing], None, &Watch::unwatched()).await.expect("published");
    };
    publish(&b"1,2"[..]).await;
    let agreed = json!({"type": "result", "job": id, "index": 0, "sha256": digest(b"1,2").sha256, "bytes": 3});
    assert_eq!(place.fetch(agreed.clone()).await, Ok(digest(b"1,2")));
    place.results.remove(id).await.expect("removed");
    publish(&b"9,9"[..]).await;
    place.fetch(agreed).await.expect_err("another list, and another file that fits it");
}

/// On a cluster, uploads are in the store of results.
#[tokio::test]
async fn uploads_are_read_from_the_store() {
    let place = Place::new();
    let at = |name: &str| place.home.path().join(name);
    let upload = |sha256: Sha256| json!({"type": "upload", "sha256": sha256});
    let alice = "alice".parse().expect("an account");
    let content: Vec<u8> = (0..251).cycle().take(3_000_000).collect();
    for (number, content) in [content.as_slice(), b""].into_iter().enumerate() {
        let (sent, file) = (at(&format!("sent-{number}")), digest(content));
        fs::write(&sent, content).expect("a file");
        let error = place.fetch(upload(file.sha256)).await.expect_err("not sent yet").to_string();
        assert!(error.contains("send it again"), "{error}");
        let kept = place.results.put_upload(&sent, file, &alice, Timestamp::from_unix_ms(1), 1_u64 << 30).await;
        kept.expect("kept");
        assert_eq!(place.fetch(upload(file.sha256)).await, Ok(file));
        assert!(place.content(file) == content);
        let mut promised = upload(file.sha256);
        promised["bytes"] = json!(file.bytes + 1);
        place.fetch(promised).await.expect_err("another size than was promised");
    }
    // The folder of this machine comes first.
    let local = digest(b"local");
    fs::write(at(&format!("uploads/{}", local.sha256)), "local").expect("a file");
    assert_eq!(place.fetch(upload(local.sha256)).await, Ok(local));
}

/// A program that can write to the store cannot choose what a job runs or reads.
#[tokio::test]
async fn a_tampered_upload_does_not_reach_a_job() {
    let place = Place::new();
    let at = |name: &str| place.home.path().join(name);
    let alice = "alice".parse().expect("an account");
    let good = b"a program that was sent".as_slice();
    let file = digest(good);
    fs::write(at("sent"), good).expect("a file");
    let at_first = Timestamp::from_unix_ms(1);
    place.results.put_upload(&at("sent"), file, &alice, at_first, 1_u64 << 30).await.expect("kept");
    let stored = at(&format!("results/uploads/{}", file.sha256));
    assert!(stored.is_file());
    let object = || json!([{"type": "upload", "sha256": file.sha256}]);
    let into = at("jobs/1/data");
    for evil in [b"a program that was S3NT".as_slice(), b"", &good[..10], b"a program that was sent, and more"] {
        fs::write(&stored, evil).expect("written");
        let as_algorithm = job(vec![input("d1", json!([inline("zero")]))], source(object()));
        let order = ConfigureOrder::of(&as_algorithm);
        let refused = place.fetcher.configure(&order, &into, &Watch::unwatched()).await;
        assert!(matches!(refused, Err(ConfigurationError::Algorithm { .. })), "{refused:?}");
        let as_data = job(vec![input("d1", object())], source(json!([inline("main")])));
        let order = ConfigureOrder::of(&as_data);
        let refused = place.fetcher.configure(&order, &into, &Watch::unwatched()).await;
        assert!(matches!(refused, Err(ConfigurationError::Data { .. })), "{refused:?}");
        let laid_out = if into.exists() { tree(&into) } else { Default::default() };
        assert!(laid_out.iter().all(|(_, content)| content.as_slice() != evil), "it was laid out");
    }
    // Mended, it is what its name says, and nothing of the others was kept for it.
    fs::write(&stored, good).expect("written");
    assert_eq!(place.fetch(json!({"type": "upload", "sha256": file.sha256})).await, Ok(file));
}

#[tokio::test]
async fn many_files_come_at_once_within_the_bound() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (now.clone(), most.clone());
    let router = axum::Router::new().fallback(move || {
        let (now, most) = (counted.clone(), highest.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // For others to come: all that may, and one too many, if there is one.
            while most.load(Ordering::SeqCst) < 3 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            "hello"
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let place = Place::with(SourcePolicy { parallel: 3, idle_timeout: std::time::Duration::from_secs(30), ..policy() });
    let list = |from: usize| {
        (from..from + 10).map(|i| json!({"type": "url", "url": format!("http://127.0.0.1:{port}/{i}")})).collect()
    };
    let inputs = vec![input("d1", list(0)), input("d2", list(10))];
    let job = job(inputs, source(json!([inline("a")])));
    place
        .fetcher
        .configure(&ConfigureOrder::of(&job), &place.home.path().join("data"), &Watch::unwatched())
        .await
        .expect("configured");
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

/// The first file is not there before the second one was asked for, and one file is fetched at a time.
#[tokio::test]
async fn a_source_that_is_waited_for_takes_no_turn() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let other = AtomicBool::new(false);
    let server = Server::start(move |request, _| match request.target.as_str() {
        "/busy" if !other.load(Ordering::SeqCst) => Answer::new("503 Busy", &[("Content-Length", "0".to_owned())], b""),
        "/busy" => Answer::ok(b"late"),
        _ => {
            other.store(true, Ordering::SeqCst);
            Answer::ok(b"other")
        }
    })
    .await;
    let place = Place::with(SourcePolicy { parallel: 1, ..policy() });
    let of = |path: &str| json!([{"type": "url", "url": server.url(path)}]);
    let job = job(vec![input("d1", of("/busy")), input("d2", of("/other"))], source(json!([inline("a")])));
    let data = place.home.path().join("data");
    let configured = place.fetcher.configure(&ConfigureOrder::of(&job), &data, &Watch::unwatched()).await;
    configured.expect("configured");
}

#[tokio::test]
async fn cancelled_before_it_begins() {
    let place = Place::new();
    let watch = Watch { cancel: CancellationToken::new(), progress: Arc::new(|_| ()) };
    watch.cancel.cancel();
    let job = job(vec![input("d1", json!([inline("x")]))], source(json!([inline("a")])));
    let cancelled = place.fetcher.configure(&ConfigureOrder::of(&job), &place.home.path().join("data"), &watch).await;
    assert_eq!(cancelled, Err(ConfigurationError::Cancelled));
}

/// An engine runs these on whatever thread there is.
#[test]
fn calls_can_be_spawned() {
    fn sendable<T: Send>(_: impl FnOnce(Arc<Place>) -> T) {}
    sendable(|_| async move { DocumentFetcher::new(&policy()).expect("a fetcher").get_json("", 0).await });
    sendable(|place| async move { place.fetcher.fetch(&files(Value::Null), &Watch::unwatched()).await });
    sendable(|place| async move {
        let job = job(vec![], source(Value::Null));
        place.fetcher.configure(&ConfigureOrder::of(&job), place.home.path(), &Watch::unwatched()).await
    });
    sendable(
        |place| async move { place.results.publish(JobId::from_bytes([0; 16]), &[], None, &Watch::unwatched()).await },
    );
    sendable(|place| async move { place.results.remove(JobId::from_bytes([0; 16])).await });
}

/// A dataset reaches into the folders of its own publisher, and neither a link nor another dataset's name leads anywhere else.
#[tokio::test]
async fn a_file_in_a_mounted_folder_stays_there_and_opens_no_other() {
    let place = Place::new();
    let at = |name: &str| place.home.path().join(name);
    fs::create_dir_all(at("claim/alice/sub")).expect("folders");
    fs::create_dir_all(at("claim/bob")).expect("folders");
    for name in ["alice/a.csv", "alice/sub/b.csv", "bob/secret.csv"] {
        fs::write(at("claim").join(name), name).expect("a file");
    }
    symlink("../bob/secret.csv", at("claim/alice/link")).expect("a link");
    symlink("../bob", at("claim/alice/folder")).expect("a link");
    symlink("a.csv", at("claim/alice/own")).expect("a link");
    let root = |of: &str, path: &str, folder: &str| MountedRoot {
        did: did(of),
        path: path.into(),
        folder: at("claim").join(folder),
    };
    let roots = [root("d1", "/srv/alice", "alice"), root("d2", "/srv/bob", "bob")];
    let local = |path: &str| json!({"type": "local", "path": path});
    let configure = async |files: Value| {
        let order = ConfigureOrder::of(&job(vec![input("d1", files)], source(json!([inline("main")]))));
        place.fetcher.configure_beside(&order, &at("data"), &roots, &Watch::unwatched()).await
    };
    let sha256 = digest(b"alice/a.csv").sha256;
    let mut agreed = local("/srv/alice/a.csv");
    (agreed["sha256"], agreed["bytes"]) = (json!(sha256), json!(11));
    let configured =
        configure(json!([agreed, inline("between"), local("/srv/alice/sub/b.csv")])).await.expect("configured");
    let expected = |number, path: &str, sha256| MountedFile {
        did: did("d1"),
        number,
        root: at("claim/alice"),
        path: path.into(),
        sha256,
    };
    assert_eq!(configured.mounted, [expected(0, "a.csv", Some(sha256)), expected(2, "sub/b.csv", None)]);
    let inputs: Vec<String> = tree(&at("data")).into_keys().filter(|name| name.starts_with("inputs/d1")).collect();
    assert_eq!(inputs, ["inputs/d1/1"]);
    assert!(configured.files.iter().all(|(name, _)| name != "inputs/d1/0" && name != "inputs/d1/2"));

    let mut wrong = local("/srv/alice/a.csv");
    wrong["bytes"] = json!(12);
    for bad in [
        local("/srv/bob/secret.csv"),
        local("/srv/alice/link"),
        local("/srv/alice/folder/secret.csv"),
        local("/srv/alice/own"),
        local("/srv/alice/sub"),
        local("/srv/alice"),
        local("/srv/alice/missing"),
        local("/srv/alices/a.csv"),
        wrong,
    ] {
        let error = configure(json!([bad.clone()])).await.expect_err("refused");
        assert!(matches!(error, ConfigurationError::Data { fault: Fault::Publisher, .. }), "{bad}: {error}");
    }
}
