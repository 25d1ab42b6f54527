//! An S3 store that answers, and does not do what it is asked: the outputs wait, and its answer is told in a word.

use cloister_files::{Watch, digest_of};
use cloister_model::{FileDigest, JobId, PublishOrder, ResultFile, ResultKind, StepFailure, StepResult, StepVersion};
use cloister_results::{ResultStore, StoreConfig};
use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

/// A server that answers each request, by its first line, with a status and a body. It ends with the test.
fn server(answer: impl Fn(&str) -> (&'static str, &'static str) + Copy + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client may have disconnected.
            thread::spawn(move || drop(converse(stream, answer)));
        }
    });
    endpoint
}

fn converse(mut stream: TcpStream, answer: impl Fn(&str) -> (&'static str, &'static str)) -> io::Result<()> {
    let (mut reader, mut head) = (BufReader::new(stream.try_clone()?), String::new());
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok()).flatten()
    });
    io::copy(&mut reader.take(length.unwrap_or_default()), &mut io::sink())?;
    let (status, body) = answer(head.lines().next().unwrap_or_default());
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// What comes of storing an output of so many bytes.
async fn publish(endpoint: &str, bytes: usize) -> StepResult {
    let home = tempfile::tempdir().expect("a folder");
    let content = vec![1_u8; bytes];
    fs::write(home.path().join("a"), &content).expect("an output");
    let FileDigest { sha256, bytes } = digest_of(&content);
    let file = ResultFile { name: "a".to_owned(), kind: ResultKind::Output, bytes, sha256 };
    let job = JobId::from_bytes([1; 16]);
    let order = PublishOrder { version: StepVersion::V1, job, files: vec![file], encrypt_to: None };
    let options = [
        ("endpoint", endpoint),
        ("access_key_id", "SECRETID"),
        ("secret_access_key", "SECRETKEY"),
        ("region", "us-east-1"),
    ];
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let store = ResultStore::open(&StoreConfig { url: "s3://results/prefix".to_owned(), options }).expect("a store");
    store.carry_out(&order, home.path(), &home.path().join("log"), &Watch::unwatched()).await.result
}

#[tokio::test]
async fn a_store_that_refuses_is_waited_for_and_its_answer_is_told_in_a_word() {
    for (status, body, told) in [
        (
            "403 Forbidden",
            "<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>SECRETID</AWSAccessKeyId></Error>",
            "it refuses what it is asked with these keys (403 `InvalidAccessKeyId`)",
        ),
        ("401 Unauthorized", "", "it refuses what it is asked with these keys (401)"),
        (
            "404 Not Found",
            "<Error><Code>NoSuchBucket</Code><BucketName>SECRET</BucketName></Error>",
            "there is no such object or bucket (404 `NoSuchBucket`)",
        ),
        ("400 Bad Request", "<Error><Code>EntityTooLarge</Code></Error>", "it does not do what it is asked (400 `Ent"),
        ("507 Insufficient Storage", "<Error><Code>StorageFull</Code></Error>", "it has no space left (507 `Stor"),
        // What is no word is not repeated.
        ("403 Forbidden", "<Error><Code>SECRET\u{1b}[31m</Code></Error>", "with these keys (403)"),
        ("403 Forbidden", "<Error><Code></Code><Code>SECRET</Code></Error>", "with these keys (403)"),
    ] {
        let result = publish(&server(move |_| (status, body)), 3).await;
        let StepResult::Failed { failure, reason, .. } = &result else { panic!("{result:?}") };
        let text = reason.text();
        assert_eq!(*failure, StepFailure::StoreAway, "{status}: {text}");
        assert!(text.contains(told) && text.contains("the operator can check"), "{status}: {text}");
        assert!(!text.contains("SECRET") && !text.contains('\u{1b}'), "{status}: {text}");
    }
}

/// The thread that reads the output sees that nobody takes the rest. That is not why the upload has failed.
#[tokio::test]
async fn a_store_that_refuses_in_the_middle_of_an_upload_is_waited_for() {
    let endpoint = server(|request| {
        if request.starts_with("POST ") && request.contains("?uploads") {
            return ("200 OK", "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>");
        }
        match request.starts_with("PUT ") {
            true => ("403 Forbidden", "<Error><Code>QuotaExceeded</Code></Error>"),
            false => ("404 Not Found", ""),
        }
    });
    // Five parts, of which few are in memory at a time.
    let result = publish(&endpoint, 40 << 20).await;
    let StepResult::Failed { failure: StepFailure::StoreAway, reason, .. } = &result else { panic!("{result:?}") };
    assert!(reason.text().contains("403 `QuotaExceeded`"), "{}", reason.text());
}
