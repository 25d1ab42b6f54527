//! Servers that do not do what they promise.

use super::{assert_arrives, assert_fails, content, digest, near, reason_for_publisher, scenario};
use crate::scenario::Scenario;
use cloister_tests::service::{Conversation, Server};
use serde_json::{Value, json};
use std::{io::Result, sync::Arc, time::Duration};

fn file(server: &Server, path: &str) -> Value {
    json!({"type": "url", "url": server.url(path)})
}

/// Answers a range if one is asked for, whole otherwise.
fn honest(conversation: &mut Conversation, bytes: &[u8], headers: &str) -> Result<()> {
    match conversation.range_start().filter(|start| *start < bytes.len()) {
        Some(start) => {
            let range = format!("Content-Range: bytes {start}-{}/{}\r\n{headers}", bytes.len() - 1, bytes.len());
            conversation.answer("206 Partial Content", &range, &bytes[start..])
        }
        None => conversation.answer("200 OK", headers, bytes),
    }
}

/// Promises all of it, and sends a part.
fn cut(conversation: &mut Conversation, bytes: &[u8], sent: usize, headers: &str) -> Result<()> {
    conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n", bytes.len()))?;
    conversation.send(&bytes[..sent])
}

#[test]
fn an_interrupted_transfer_resumes() {
    let bytes = Arc::new(content(3_000_000));
    let sent = Arc::clone(&bytes);
    let server = Server::start(move |conversation| match conversation.range_start() {
        None => cut(conversation, &sent, 1_000_000, "ETag: \"one\"\r\n"),
        // And again, later.
        Some(start) if start < 2_000_000 => {
            let length = sent.len();
            conversation.send(format!(
                "HTTP/1.1 206 Partial Content\r\nETag: \"one\"\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{length}\r\n\r\n",
                length - start,
                length - 1
            ))?;
            conversation.send(&sent[start..2_500_000])
        }
        Some(_) => honest(conversation, &sent, "ETag: \"one\"\r\n"),
    });
    let scenario = scenario();
    assert_arrives(&scenario, &file(&server, "/a"), &bytes);
    let seen = server.seen();
    assert!(seen.len() >= 3 && seen[1].to_lowercase().contains("if-range: \"one\""), "{seen:#?}");
    assert!(seen.iter().skip(1).all(|head| head.to_lowercase().contains("range: bytes=")), "{seen:#?}");
}

#[test]
fn a_server_without_range_support_is_asked_from_the_beginning() {
    let bytes = Arc::new(content(2_000_000));
    let sent = Arc::clone(&bytes);
    let server = Server::start(move |conversation| match conversation.earlier {
        0 => cut(conversation, &sent, 700_000, "ETag: \"one\"\r\n"),
        _ => conversation.answer("200 OK", "ETag: \"one\"\r\n", &sent),
    });
    assert_arrives(&scenario(), &file(&server, "/a"), &bytes);
}

#[test]
fn a_file_that_changes_between_two_attempts_is_never_mixed() {
    let (old, new) = (Arc::new(content(2_000_000)), Arc::new(vec![b'n'; 2_000_000]));
    for honours_if_range in [true, false] {
        let (before, after) = (Arc::clone(&old), Arc::clone(&new));
        let server = Server::start(move |conversation| match conversation.earlier {
            0 => cut(conversation, &before, 1_000_000, "ETag: \"old\"\r\n"),
            _ if honours_if_range && conversation.header("if-range").is_some_and(|tag| tag != "\"new\"") => {
                conversation.answer("200 OK", "ETag: \"new\"\r\n", &after)
            }
            _ => honest(conversation, &after, "ETag: \"new\"\r\n"),
        });
        assert_arrives(&scenario(), &file(&server, "/a"), &new);
    }
}

#[test]
fn transient_errors_are_retried_and_permanent_ones_are_not() {
    let scenario = Scenario::with(near().set("sources.attempts", "3"));
    for (status, headers) in [
        ("500 Internal Server Error", ""),
        ("503 Service Unavailable", "Retry-After: 1\r\n"),
        ("429 Too Many Requests", "Retry-After: 0\r\n"),
        ("502 Bad Gateway", ""),
    ] {
        let server = Server::start(move |conversation| match conversation.earlier {
            0 => conversation.answer(status, headers, b"not yet"),
            _ => conversation.answer("200 OK", "", b"at last"),
        });
        assert_arrives(&scenario, &file(&server, "/a"), b"at last");
        assert_eq!(server.seen().len(), 2, "{status}");
    }
    let server =
        Server::start(|conversation| conversation.answer("500 Internal Server Error", "", b"SECRET of theirs"));
    let ended = assert_fails(&scenario, &file(&server, "/a"), &["500"]);
    assert!(!ended.to_string().contains("SECRET"), "{ended:#}");
    assert_eq!(server.seen().len(), 3);
    for status in ["404 Not Found", "403 Forbidden", "410 Gone"] {
        let server = Server::start(move |conversation| conversation.answer(status, "", b"SECRET of theirs"));
        assert_fails(&scenario, &file(&server, "/a"), &[&status[..3]]);
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[test]
fn a_wrong_content_length_is_detected() {
    let scenario = Scenario::with(near().set("sources.attempts", "2"));
    // Fewer bytes than promised, every time.
    let short = Server::start(|conversation| {
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")?;
        conversation.send("only this")
    });
    assert_fails(&scenario, &file(&short, "/a"), &["cut"]);
    // More bytes than promised: what comes after the promised ones belongs to no answer.
    let long = Server::start(|conversation| {
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")?;
        conversation.send("data and more")
    });
    assert_arrives(&scenario, &file(&long, "/a"), b"data");
    // No number, two numbers, negative.
    for length in ["Content-Length: x", "Content-Length: 4\r\nContent-Length: 5", "Content-Length: -1"] {
        let head = format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n");
        let server = Server::start(move |conversation| {
            conversation.send(&head)?;
            conversation.send("data!")
        });
        assert_fails(&scenario, &file(&server, "/a"), &[]);
    }
    // Other bytes, and another size, than was agreed.
    let server = Server::of(b"data");
    let mut agreed = file(&server, "/a");
    agreed["sha256"] = digest(b"other").into();
    assert_fails(&scenario, &agreed, &["agreed content"]);
    agreed["sha256"] = digest(b"data").into();
    agreed["bytes"] = 5.into();
    assert_fails(&scenario, &agreed, &["agreed content"]);
    agreed["bytes"] = 4.into();
    assert_arrives(&scenario, &agreed, b"data");
}

#[test]
fn an_endless_response_is_cut_off() {
    let scenario = Scenario::with(near().set("sources.max_file", "8MiB").set("sources.attempts", "2"));
    let chunks = Server::start(|conversation| {
        conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
        while !conversation.is_over() {
            conversation.send(&chunk)?;
        }
        Ok(())
    });
    assert_fails(&scenario, &file(&chunks, "/a"), &["8388608"]);
    assert_eq!(chunks.seen().len(), 1, "more bytes will not help");
    // One that says beforehand what is too much is not even read.
    let honest = Server::start(|conversation| {
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")?;
        while !conversation.is_over() {
            conversation.send(vec![0; 65536])?;
        }
        Ok(())
    });
    assert_fails(&scenario, &file(&honest, "/a"), &["8388608"]);
    // Headers without end.
    let headers = Server::start(|conversation| {
        conversation.send("HTTP/1.1 200 OK\r\n")?;
        while !conversation.is_over() {
            conversation.send(format!("X-{}: {}\r\n", conversation.earlier, "y".repeat(4000)))?;
        }
        Ok(())
    });
    assert_fails(&scenario, &file(&headers, "/a"), &[]);
    // All files of a job together.
    let scenario = Scenario::with(near().set("sources.max_job", "1MiB"));
    let parts: Vec<Value> = (0_u8..4)
        .map(|n| json!({"type": "local", "path": scenario.service.file(&format!("part-{n}"), vec![n; 300_000])}))
        .collect();
    let spec = json!({"files": parts, "compute": {"allowRawAlgorithm": true}});
    let dataset = scenario.service.publish_dataset(&scenario.alice, "much", &spec);
    let ended = scenario.service.run(&scenario.carol, &scenario.raw_job(&dataset, cloister_tests::service::NOTHING));
    let reason = reason_for_publisher(&scenario, &ended);
    assert!(reason.contains("1048576"), "{reason}");
}

#[test]
fn a_silent_source_times_out() {
    let scenario = Scenario::with(near().set("sources.attempts", "1").set("sources.deadline", "3s"));
    let silent = Server::start(|conversation| {
        conversation.pause(Duration::from_secs(600));
        Ok(())
    });
    assert_fails(&scenario, &file(&silent, "/a"), &["within 3 s"]);
    let stalled = Server::start(|conversation| {
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning")?;
        conversation.pause(Duration::from_secs(600));
        Ok(())
    });
    assert_fails(&scenario, &file(&stalled, "/a"), &["within 3 s"]);
    // A source that sends a byte now and then does not hold a job for ever, either.
    let slow = Server::start(|conversation| {
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
        while !conversation.is_over() {
            conversation.send("x")?;
            conversation.pause(Duration::from_millis(200));
        }
        Ok(())
    });
    assert_fails(&scenario, &file(&slow, "/a"), &["within 3 s"]);
    let slow_head = Server::start(|conversation| {
        conversation.send("HTTP/1.1 200 OK\r\n")?;
        while !conversation.is_over() {
            conversation.send("X-Y: z\r\n")?;
            conversation.pause(Duration::from_millis(200));
        }
        Ok(())
    });
    assert_fails(&scenario, &file(&slow_head, "/a"), &["within 3 s"]);
    // No server listens at all: the system gives that port to none.
    assert_fails(&scenario, &json!({"type": "url", "url": "http://127.0.0.1:1/a"}), &["reached"]);
}

#[test]
fn requests_are_made_as_the_publisher_wrote_them() {
    let server = Server::start(|conversation| {
        let asked = (
            conversation.head.starts_with("POST "),
            conversation.header("x-token"),
            conversation.header("accept-encoding"),
        );
        match asked {
            (true, Some("letter by letter"), Some("identity")) => conversation.answer("200 OK", "", b"posted"),
            _ => conversation.answer("400 Bad Request", "", conversation.head.clone().as_bytes()),
        }
    });
    let mut posted = file(&server, "/a?b=c");
    posted["method"] = "post".into();
    posted["headers"] = json!({"X-Token": "letter by letter"});
    posted["body"] = "{\"query\": 1}".into();
    assert_arrives(&scenario(), &posted, b"posted");
    // What describes the request itself is not the publisher's to say, and is refused before anything is published.
    let scenario = scenario();
    let service = &scenario.service;
    for name in ["Accept-Encoding", "range", "Host"] {
        let mut other = posted.clone();
        other["headers"] = json!({name: "gzip"});
        let spec = json!({"files": [other], "compute": {"allowRawAlgorithm": true}});
        let manifest = cloister_tests::service::manifest("Dataset", "reserved", &spec);
        let problem = service.post(&scenario.alice, "/v1/datasets", &manifest).problem(422);
        assert!(problem.to_string().contains("headers"), "{problem}");
    }
    let heads = server.seen();
    assert!(
        heads.iter().all(|head| head.starts_with("POST /a?b=c ") && head.contains("user-agent: cloister/")),
        "{heads:#?}"
    );
}

#[test]
fn a_fetched_file_with_a_declared_digest_is_not_fetched_again() {
    let server = Server::of(b"the same for everybody");
    let mut known = file(&server, "/a");
    known["sha256"] = digest(b"the same for everybody").into();
    let scenario = scenario();
    for _ in 0..3 {
        assert_arrives(&scenario, &known, b"the same for everybody");
    }
    assert_eq!(server.seen().len(), 1, "{:#?}", server.seen());
}
