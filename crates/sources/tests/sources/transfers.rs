use crate::{
    place::{Place, digest, files, peak_bytes, policy},
    server::{Answer, Part, Request, Server},
};
use cloister_files::Watch;
use cloister_model::Progress;
use cloister_sources::{FetchError, Ipfs, SourcePolicy, TooLarge};
use serde_json::json;
use std::{
    env,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

fn content(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}

/// A server that knows ranges and cuts every answer after so many bytes.
fn cutting(
    body: Vec<u8>,
    after: usize,
    etag: impl Fn(usize) -> String + Clone,
) -> impl Fn(&Request, usize) -> Answer + Clone {
    move |request, number| {
        let etag = etag(number);
        let same = request.header("if-range").is_none_or(|tag| tag == etag);
        let from = if same { request.from() } else { 0 };
        let rest = &body[from..];
        let (status, range) = if from > 0 {
            ("206 Partial Content", Some(("Content-Range", format!("bytes {from}-{}/{}", body.len() - 1, body.len()))))
        } else {
            ("200 OK", None)
        };
        let mut headers = vec![("Content-Length", rest.len().to_string()), ("ETag", etag)];
        headers.extend(range);
        Answer::new(status, &headers, &rest[..rest.len().min(after)])
    }
}

fn source(error: &FetchError) -> &str {
    let FetchError::Source { cause, .. } = error else { unreachable!("{error:?}") };
    cause
}

#[tokio::test]
async fn goes_on_where_it_was_cut() {
    let body = content(1_000_000);
    let server = Server::start(cutting(body.clone(), 400_000, |_| "\"v1\"".to_owned())).await;
    let place = Place::new();
    let file = place.fetch_url(&server.url("/data")).await.expect("fetched");
    assert_eq!((file, place.content(file) == body), (digest(&body), true));
    let asked = server.asked();
    let ranges: Vec<Option<&str>> = asked.iter().map(|request| request.header("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=400000-"), Some("bytes=800000-")]);
    assert_eq!(asked[1].header("if-range"), Some("\"v1\""));
    assert!(asked.iter().all(|request| request.header("accept-encoding") == Some("identity")));
}

#[tokio::test]
async fn begins_again_where_the_source_changed_or_has_no_ranges() {
    let body = content(300_000);
    let place = Place::new();
    // Another version at the second attempt, which is cut, too; then it stays.
    let changing = Server::start(cutting(body.clone(), 200_000, |number| format!("\"v{}\"", number.min(1)))).await;
    let file = place.fetch_url(&changing.url("/")).await.expect("fetched");
    assert_eq!(file, digest(&body));
    // Answers 206 of another version, against the rules.
    let lying = body.clone();
    let lying = Server::start(move |request, number| {
        let from = request.from();
        let headers = [
            ("Content-Length", (lying.len() - from).to_string()),
            ("Content-Range", format!("bytes {from}-{}/{}", lying.len() - 1, lying.len())),
            ("ETag", format!("\"v{number}\"")),
        ];
        let until = if number == 0 { 100_000 } else { lying.len() };
        Answer::new(if from > 0 { "206 Partial Content" } else { "200 OK" }, &headers, &lying[from..until])
    })
    .await;
    assert_eq!(place.fetch_url(&lying.url("/")).await.expect("fetched"), digest(&body));
    assert_eq!(lying.asked().iter().map(Request::from).collect::<Vec<_>>(), [0, 100_000, 0]);
    // No ranges: everything again, and only the last attempt is whole.
    let plain = body.clone();
    let plain = Server::start(move |_, number| {
        let headers = [("Content-Length", plain.len().to_string()), ("ETag", "\"v\"".to_owned())];
        Answer::new("200 OK", &headers, &plain[..if number < 2 { 1000 * (number + 1) } else { plain.len() }])
    })
    .await;
    assert_eq!(place.fetch_url(&plain.url("/")).await.expect("fetched"), digest(&body));
    // Without a strong validator nothing is asked for in part.
    let weak = Server::start(cutting(body.clone(), usize::MAX, |_| "W/\"v\"".to_owned())).await;
    place.fetch_url(&weak.url("/")).await.expect("fetched");
    place.nothing_left().await;
}

#[tokio::test]
async fn another_range_than_asked_for_is_not_believed() {
    let body = content(300_000);
    let right = digest(&body);
    let server = Server::start(move |request, number| {
        // Says that it goes on, and begins somewhere else.
        let (from, start) = (request.from(), if number == 1 { 5 } else { request.from() });
        let headers = [
            ("Content-Length", (body.len() - from).to_string()),
            ("Content-Range", format!("bytes {start}-{}/{}", body.len() - 1, body.len())),
            ("ETag", "\"v\"".to_owned()),
        ];
        let until = if number == 0 { 100_000 } else { body.len() };
        Answer::new(if from > 0 { "206 Partial Content" } else { "200 OK" }, &headers, &body[from..until])
    })
    .await;
    assert_eq!(Place::new().fetch_url(&server.url("/")).await.expect("fetched"), right);
}

#[tokio::test]
async fn a_server_that_always_cuts_at_one_place_is_given_up() {
    let body = content(100_000);
    let server =
        Server::start(move |_, _| Answer::new("200 OK", &[("Content-Length", "100000".to_owned())], &body[..50_000]))
            .await;
    let place = Place::new();
    let error = place.fetch_url(&server.url("/")).await.expect_err("never whole");
    assert!(source(&error).contains("3 attempts"), "{error}");
    assert_eq!(server.asked().len(), 4);
    place.nothing_left().await;
}

#[tokio::test]
async fn stalls_end() {
    let idle_timeout = Duration::from_millis(200);
    let place = Place::with(SourcePolicy { attempts: 1, idle_timeout, ..policy() });
    for parts in [vec![Part::Stall], vec![Part::Bytes(b"half".to_vec()), Part::Stall]] {
        let server = Server::start(move |_, _| Answer {
            head: "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n".to_owned(),
            parts: parts.clone(),
        })
        .await;
        place.fetch_url(&server.url("/")).await.expect_err("it stalls");
    }
    let deadline = Place::with(SourcePolicy {
        deadline: Duration::from_millis(200),
        idle_timeout: Duration::from_secs(60),
        ..policy()
    });
    let server = Server::start(|_, _| Answer { head: String::new(), parts: vec![Part::Stall] }).await;
    let error = deadline.fetch_url(&server.url("/")).await.expect_err("it stalls");
    assert!(source(&error).contains("within"), "{error}");
    place.nothing_left().await;
    deadline.nothing_left().await;
}

#[tokio::test]
async fn caps_hold_whatever_is_declared() {
    let place = Place::with(SourcePolicy { max_file_bytes: 1000, ..policy() });
    let declared = Server::start(|_, _| Answer::ok(&[0; 1001])).await;
    let endless = Server::start(|_, _| Answer {
        head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        parts: std::iter::repeat_n(Part::Bytes([b"400\r\n".as_slice(), &[0; 1024], b"\r\n"].concat()), 10_000)
            .collect(),
    })
    .await;
    let unsaid =
        Server::start(|_, _| Answer { head: "HTTP/1.1 200 OK\r\n".to_owned(), parts: vec![Part::Zeros(1 << 40)] })
            .await;
    for server in [&declared, &endless, &unsaid] {
        let error = place.fetch_url(&server.url("/")).await.expect_err("too large");
        assert!(matches!(&error, FetchError::TooLarge { bound: TooLarge::File(1000), .. }), "{error}");
        assert_eq!(server.asked().len(), 1, "not asked again");
    }
    let exact = Server::start(|_, _| Answer::ok(&[0; 1000])).await;
    place.fetch_url(&exact.url("/")).await.expect("just within");
    let job = Place::with(SourcePolicy { max_job_bytes: 1500, ..policy() });
    let two = json!([{"type": "url", "url": exact.url("/a")}, {"type": "url", "url": exact.url("/b")}]);
    let error = job.fetcher.fetch(&files(two), &Watch::unwatched()).await.expect_err("too much together");
    assert!(matches!(&error, FetchError::TooLarge { bound: TooLarge::Job(1500), index: 1, .. }), "{error}");
    place.nothing_left().await;
    job.nothing_left().await;
}

#[tokio::test]
async fn a_body_is_what_its_length_says() {
    let place = Place::with(SourcePolicy { attempts: 1, ..policy() });
    let short = Server::start(|_, _| Answer::new("200 OK", &[("Content-Length", "10".to_owned())], b"12345")).await;
    let error = place.fetch_url(&short.url("/")).await.expect_err("cut");
    assert!(source(&error).contains("cut"), "{error}");
    // What follows the body does not belong to it, and does not answer the next request.
    let long = Server::start(|_, _| {
        Answer::new(
            "200 OK",
            &[("Content-Length", "5".to_owned())],
            b"12345HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        )
    })
    .await;
    for _ in 0..3 {
        let file = place.fetch_url(&long.url("/")).await.expect("the body");
        assert_eq!(place.content(file), b"12345");
    }
    let two = [("Content-Length", "5".to_owned()), ("Content-Length", "6".to_owned())];
    let two = Server::start(move |_, _| Answer::new("200 OK", &two, b"123456")).await;
    place.fetch_url(&two.url("/")).await.expect_err("which one?");
    let cut = Server::start(|_, _| Answer {
        head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        parts: vec![Part::Bytes(b"5\r\n12345\r\n".to_vec())],
    })
    .await;
    place.fetch_url(&cut.url("/")).await.expect_err("no last chunk");
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, content).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Digests and bounds are of the file itself, whatever a server makes of it on the way.
#[tokio::test]
async fn a_content_encoding_is_undone() {
    let whole = content(300_000);
    let body = compressed(&whole);
    let answer = move |encoding: &str, body: &[u8], length: usize| {
        let headers = [
            ("Content-Length", length.to_string()),
            ("Content-Encoding", encoding.to_owned()),
            ("ETag", "\"1\"".to_owned()),
        ];
        Answer::new("200 OK", &headers, body)
    };
    // The first attempt is cut in the middle; the next one begins again.
    let sent = body.clone();
    let server = Server::start(move |_, number| {
        let end = if number == 0 { sent.len() / 2 } else { sent.len() };
        answer("gzip", &sent[..end], sent.len())
    })
    .await;
    let place = Place::new();
    let agreed = json!({"type": "url", "url": server.url("/"), "sha256": digest(&whole).sha256.to_string(), "bytes": whole.len()});
    let file = place.fetch(agreed).await.expect("the file itself");
    assert!(place.content(file) == whole);
    assert!(server.asked().iter().all(|request| request.header("range").is_none()), "nothing is resumed");
    // A small body becomes a large file: the bound is on the file.
    let bomb = compressed(&vec![0; 10_000_000]);
    assert!(bomb.len() < 20_000);
    let bounded = Place::with(SourcePolicy { max_file_bytes: 100_000, ..policy() });
    let server = Server::start(move |_, _| answer("gzip", &bomb, bomb.len())).await;
    let error = bounded.fetch_url(&server.url("/")).await.expect_err("too large");
    assert!(matches!(&error, FetchError::TooLarge { bound: TooLarge::File(100_000), .. }), "{error}");
    bounded.nothing_left().await;
    // What it says is gzip and is not, and what cannot be undone.
    let once = Place::with(SourcePolicy { attempts: 1, ..policy() });
    for (encoding, said) in [("gzip", "not whole"), ("br", "other than gzip"), ("gzip, gzip", "other than gzip")] {
        let server = Server::start(move |_, _| answer(encoding, b"a,b\n", 4)).await;
        let error = once.fetch_url(&server.url("/")).await.expect_err(encoding);
        assert!(source(&error).contains(said), "{error}");
    }
    once.nothing_left().await;
}

#[tokio::test]
async fn agreed_content_is_checked() {
    let server = Server::start(|_, _| Answer::ok(b"hello")).await;
    let place = Place::new();
    let right = digest(b"hello").sha256;
    let file = |sha256: String, bytes: u64| json!({"type": "url", "url": server.url("/?SECRET"), "sha256": sha256, "bytes": bytes});
    place.fetch(file(right.to_string(), 5)).await.expect("as agreed");
    assert_eq!(server.asked().len(), 1);
    place.fetch(file(right.to_string(), 5)).await.expect("as agreed");
    assert_eq!(server.asked().len(), 1, "from the cache");
    for (sha256, bytes) in [("ab".repeat(32), 5), (right.to_string(), 4), (right.to_string(), 6)] {
        let other = json!({"type": "url", "url": server.url("/other?SECRET"), "sha256": sha256, "bytes": bytes});
        let error = place.fetch(other).await.expect_err("not as agreed");
        assert!(
            matches!(error, FetchError::Content { index: 0, .. }) && !error.to_string().contains("SECRET"),
            "{error}"
        );
    }
    // Knowing a digest is not having the file.
    let thief = json!({"type": "inline", "content": "x", "sha256": right.to_string()});
    assert!(matches!(place.fetch(thief).await, Err(FetchError::Content { .. })));
}

#[tokio::test]
async fn the_same_file_at_once_is_fetched_once() {
    let server = Server::start(|_, _| Answer::ok(b"hello")).await;
    let place = Place::new();
    let file = json!({"type": "url", "url": server.url("/"), "sha256": digest(b"hello").sha256.to_string()});
    let all = futures_util::future::join_all((0..20).map(|_| place.fetch(file.clone()))).await;
    assert!(all.iter().all(|file| *file == Ok(digest(b"hello"))));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn errors_of_servers_are_retried_or_not() {
    let place = Place::new();
    for (status, attempts) in
        [("404 Not Found", 1), ("403 Forbidden", 1), ("503 Service Unavailable", 3), ("204 No Content", 1)]
    {
        let server = Server::start(move |_, _| Answer::new(status, &[("Content-Length", "0".to_owned())], b"")).await;
        let error = place.fetch_url(&server.url("/SECRET")).await.expect_err(status);
        assert!(source(&error).contains(&status[..3]) && !error.to_string().contains("SECRET"), "{error}");
        assert_eq!(server.asked().len(), attempts, "{status}");
    }
    let recovering = Server::start(|_, number| match number {
        0 => Answer::new("500 Oh", &[("Content-Length", "0".to_owned())], b""),
        1 => Answer { head: String::new(), parts: vec![] },
        _ => Answer::ok(b"hello"),
    })
    .await;
    assert_eq!(place.fetch_url(&recovering.url("/")).await, Ok(digest(b"hello")));
    let refused = place.fetch_url("http://127.0.0.1:1/").await.expect_err("no server listens");
    assert!(source(&refused).contains("cannot be reached"), "{refused}");
}

#[tokio::test]
async fn cancelling_ends_everything_and_leaves_nothing() {
    let place = Arc::new(Place::with(SourcePolicy { idle_timeout: Duration::from_secs(600), ..policy() }));
    for parts in [vec![Part::Stall], vec![Part::Bytes(vec![0; 100_000]), Part::Stall], vec![Part::Zeros(1 << 40)]] {
        let (sender, told) = tokio::sync::oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let server = Server::start(move |_, _| {
            if let Some(sender) = sender.lock().expect("unpoisoned").take() {
                let _ = sender.send(());
            }
            Answer { head: "HTTP/1.1 200 OK\r\n".to_owned(), parts: parts.clone() }
        })
        .await;
        let watch = Watch { cancel: CancellationToken::new(), progress: Arc::new(|_| ()) };
        let (wanted, fetching, theirs) =
            (files(json!([{"type": "url", "url": server.url("/")}])), place.clone(), watch.clone());
        let task = tokio::spawn(async move { fetching.fetcher.fetch(&wanted, &theirs).await });
        told.await.expect("asked");
        watch.cancel.cancel();
        assert_eq!(task.await.expect("no panic"), Err(FetchError::Cancelled));
        place.nothing_left().await;
    }
}

#[tokio::test]
async fn progress_is_reported() {
    let server = Server::start(|_, _| Answer::ok(&[0; 100_000])).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let progress = move |progress: Progress| log.lock().expect("unpoisoned").push(progress);
    let watch = Watch { cancel: CancellationToken::new(), progress: Arc::new(progress) };
    Place::new()
        .fetcher
        .fetch(&files(json!([{"type": "url", "url": server.url("/")}])), &watch)
        .await
        .expect("fetched");
    let last = told.lock().expect("unpoisoned").last().copied();
    assert_eq!(last, Some(Progress { done_bytes: 100_000, total_bytes: Some(100_000) }));
}

/// In a process of its own: what other tests need at the same time would count, too.
#[test]
fn memory_does_not_grow_with_a_file() {
    let mut alone = Command::new(env::current_exe().expect("this program"));
    alone.args(["--exact", "transfers::in_a_process_of_its_own", "--ignored", "--nocapture"]);
    let output = alone.output().expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// Not a test by itself: what the process of the test above does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of another test"]
async fn in_a_process_of_its_own() {
    // Unoptimised digests are slow.
    const LENGTH: u64 = if cfg!(debug_assertions) { 200 << 20 } else { 1 << 30 };
    let server = Server::start(|_, _| Answer {
        head: format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n"),
        parts: vec![Part::Zeros(LENGTH)],
    })
    .await;
    // A busy disk takes its time.
    let (idle_timeout, deadline) = (Duration::from_secs(300), Duration::from_secs(1200));
    let place = Place::with(SourcePolicy { idle_timeout, deadline, ..policy() });
    let before = peak_bytes();
    let file = place.fetch_url(&server.url("/")).await.expect("fetched");
    assert_eq!(file.bytes, LENGTH);
    let grown = peak_bytes() - before;
    assert!(grown < 50 << 20, "{grown} bytes more");
}

fn s3(server: &Server, credentials: bool) -> serde_json::Value {
    let mut access = json!({"endpoint": server.url(""), "bucket": "data", "objectKey": "a b/SECRET.csv"});
    if credentials {
        access["accessKeyId"] = "SECRETID".into();
        access["secretAccessKey"] = "SECRET".into();
    }
    json!({"type": "s3", "s3Access": access})
}

#[tokio::test]
async fn s3_goes_on_where_it_was_cut_and_signs_only_with_given_keys() {
    let body = content(500_000);
    let cut = cutting(body.clone(), 300_000, |_| "\"v1\"".to_owned());
    let dated = move |request: &Request, number: usize| {
        let mut answer = cut(request, number);
        answer.head.push_str("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        answer
    };
    for credentials in [true, false] {
        let server = Server::start(dated.clone()).await;
        let place = Place::new();
        assert_eq!(place.fetch(s3(&server, credentials)).await, Ok(digest(&body)));
        let asked = server.asked();
        assert_eq!(asked.iter().map(Request::from).collect::<Vec<_>>(), [0, 300_000]);
        assert_eq!((asked[0].target.as_str(), asked[1].header("if-match")), ("/data/a%20b/SECRET.csv", Some("\"v1\"")));
        for request in asked {
            let authorization = request.header("authorization");
            assert_eq!(authorization.is_some_and(|value| value.contains("Credential=SECRETID/")), credentials);
            assert!(credentials || authorization.is_none());
        }
        place.nothing_left().await;
    }
}

#[tokio::test]
async fn s3_begins_again_where_the_object_changed_and_shows_no_keys() {
    let body = content(500_000);
    let changing = body.clone();
    let server = Server::start(move |request, number| {
        let tag = format!("\"v{}\"", number.min(1));
        let dated = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
        match request.header("if-match") {
            Some(wanted) if wanted != tag => {
                Answer::new("412 Precondition Failed", &[("Content-Length", "0".to_owned())], b"")
            }
            _ => {
                let headers = [("Content-Length", changing.len().to_string()), ("ETag", tag), dated];
                Answer::new("200 OK", &headers, &changing[..if number == 0 { 1000 } else { changing.len() }])
            }
        }
    })
    .await;
    assert_eq!(Place::new().fetch(s3(&server, true)).await, Ok(digest(&body)));
    for status in ["403 Forbidden", "404 Not Found", "500 Oh", "301 Moved Permanently"] {
        let head = [("Location", "http://169.254.169.254/".to_owned()), ("Content-Length", "6".to_owned())];
        let server = Server::start(move |_, _| Answer::new(status, &head, b"SECRET")).await;
        let error = Place::new().fetch(s3(&server, true)).await.expect_err(status);
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
        assert!(error.to_string().contains("(S3 at http://127.0.0.1)"), "{error}");
    }
}

/// What comes with a failure is not read: it could be as much as this machine has memory.
#[tokio::test]
async fn s3_that_fails_with_a_long_story_fills_no_memory() {
    const LENGTH: u64 = 512 << 20;
    let server = Server::start(|_, _| Answer {
        head: format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {LENGTH}\r\n"),
        parts: vec![Part::Zeros(LENGTH)],
    })
    .await;
    let before = peak_bytes();
    let error = Place::new().fetch(s3(&server, true)).await.expect_err("no access");
    assert!(source(&error).contains("does not let these keys"), "{error}");
    let grown = peak_bytes() - before;
    assert!(grown < 100 << 20, "{grown} bytes more");
}

/// One more than its last byte is no number. Whoever counts on nevertheless panics, and the job would never end.
#[tokio::test]
async fn s3_that_answers_with_a_range_beyond_all_numbers_is_a_source_that_fails() {
    let body = content(500_000);
    let server = Server::start(move |_, number| {
        let mut headers = vec![
            ("Content-Length", body.len().to_string()),
            ("ETag", "\"v1\"".to_owned()),
            ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        ];
        if number == 0 {
            return Answer::new("200 OK", &headers, &body[..1000]);
        }
        headers.push(("Content-Range", format!("bytes 1000-{}/{}", u64::MAX, u64::MAX)));
        Answer::new("206 Partial Content", &headers, &body)
    })
    .await;
    let place = Place::new();
    let error = place.fetch(s3(&server, false)).await.expect_err("no such range");
    assert!(source(&error).contains("the request failed"), "{error}");
    place.nothing_left().await;
}

/// Against a real server that `CLOISTERDEV_TEST_S3` names, with an object `results/fixture` of 20,000,000 zeros.
#[tokio::test]
async fn s3_of_another_maker() {
    let Ok(endpoint) = std::env::var("CLOISTERDEV_TEST_S3") else { return };
    let access = json!({"endpoint": endpoint, "bucket": "results", "objectKey": "fixture", "accessKeyId": "id", "secretAccessKey": "SECRET"});
    let file = Place::new().fetch(json!({"type": "s3", "s3Access": access})).await.expect("fetched");
    assert_eq!(file, digest(&vec![0; 20_000_000]));
    let access = json!({"endpoint": endpoint, "bucket": "results", "objectKey": "missing"});
    let error = Place::new().fetch(json!({"type": "s3", "s3Access": access})).await.expect_err("missing");
    assert!(source(&error).contains("no such object"), "{error}");
}

#[tokio::test]
async fn ipfs_is_asked_in_both_ways() {
    let body = content(500_000);
    let gateway = Server::start(cutting(body.clone(), 300_000, |_| "\"Qm1\"".to_owned())).await;
    let base = gateway.url("/").parse().expect("a URL");
    // Even where the operator allows no network: the gateway is the operator's own.
    let place = Place::with(SourcePolicy { allow_networks: vec![], ipfs: Some(Ipfs::Gateway(base)), ..policy() });
    assert_eq!(place.fetch(json!({"type": "ipfs", "hash": "Qm1/a.csv"})).await, Ok(digest(&body)));
    assert_eq!((gateway.asked()[0].target.as_str(), gateway.asked()[1].from()), ("/ipfs/Qm1/a.csv", 300_000));

    let served = body.clone();
    let node = Server::start(move |request, _| {
        let offset = request.target.split_once("offset=").map_or(0, |(_, offset)| offset.parse().expect("a number"));
        let rest: &[u8] = &served[offset..];
        let part = &rest[..rest.len().min(300_000)];
        let headers = [("X-Content-Length", rest.len().to_string()), ("Transfer-Encoding", "chunked".to_owned())];
        let mut chunk = format!("{:x}\r\n", part.len()).into_bytes();
        chunk.extend_from_slice(part);
        // A node that fails says so only after a last chunk, as if all were well.
        chunk.extend_from_slice(b"\r\n0\r\n\r\n");
        Answer::new("200 OK", &headers, &chunk)
    })
    .await;
    let base = node.url("").parse().expect("a URL");
    let place = Place::with(SourcePolicy { allow_networks: vec![], ipfs: Some(Ipfs::Node(base)), ..policy() });
    assert_eq!(place.fetch(json!({"type": "ipfs", "hash": "Qm1"})).await, Ok(digest(&body)));
    assert_eq!(node.asked()[1].method, "POST");
    assert_eq!(node.asked()[1].target, "/api/v0/cat?arg=Qm1&offset=300000");
    let nowhere = Place::new().fetch(json!({"type": "ipfs", "hash": "Qm1"})).await;
    assert!(matches!(nowhere, Err(FetchError::Refused { .. })));
}
