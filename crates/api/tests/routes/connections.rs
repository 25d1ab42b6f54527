//! Real connections.

use crate::test_service::{many, service, service_with};
use cloister_api::{ServeOptions, serve};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[tokio::test(flavor = "multi_thread")]
async fn followers_are_let_go_when_the_service_shuts_down() {
    let service = service().await;
    let dataset =
        service.dataset("reviewed", json!({"allowRawAlgorithm": true, "outputContract": {"review": true}})).await;
    let job = service.job(&dataset).await;
    service.until(&job, "InReview").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let closing = service.api.closing();
    let serving = tokio::spawn(serve(listener, service.router.clone(), ServeOptions::default(), closing.clone()));
    let mut followers = Vec::new();
    for path in [format!("/v1/jobs/{job}/events"), format!("/v1/jobs/{job}/log?follow=true")] {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", service.key("bob"));
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut begin = [0; 15];
        stream.read_exact(&mut begin).await.expect("an answer");
        assert_eq!(&begin, b"HTTP/1.1 200 OK");
        followers.push(stream);
    }
    closing.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(120), serving).await;
    ended.expect("in time").expect("no panic").expect("well");
    for mut stream in followers {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("an end");
        assert!(rest.ends_with(b"0\r\n\r\n"), "the answer is whole");
    }
    assert!(TcpStream::connect(address).await.is_err());
}

/// What a stranger on one machine can take of the connections that there are.
#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_connections_and_no_more() {
    let service = service().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let closing = service.api.closing();
    let options = ServeOptions { max_connections_per_address: 2, ..ServeOptions::default() };
    let serving = tokio::spawn(serve(listener, service.router.clone(), options, closing.clone()));
    async fn asks(stream: &mut TcpStream) -> bool {
        let mut begin = [0; 15];
        let sent = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sent.is_ok() && stream.read_exact(&mut begin).await.is_ok() && &begin == b"HTTP/1.1 200 OK"
    }
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        assert!(asks(&mut stream).await);
        streams.push(stream);
    }
    assert!(!asks(&mut TcpStream::connect(address).await.expect("a connection")).await, "it is closed");
    streams.clear();
    // The service learns that the others have gone.
    while !asks(&mut TcpStream::connect(address).await.expect("a connection")).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    closing.cancel();
    serving.await.expect("no panic").expect("well");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded() {
    let service = service().await;
    let closing = service.api.closing();
    let headers: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    let mut servers = Vec::new();
    // What is to be whole has time, and what is cut has not.
    let (long, short) = (Duration::from_secs(300), Duration::from_millis(200));
    let whole = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned();
    for (header_timeout, request, status) in [
        (long, format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024)), "431"),
        (long, format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n"), "431"),
        (long, whole, "200"),
        (short, "GET /healthz HTTP/1.1\r\nhost:".to_owned(), ""),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let options = ServeOptions { header_timeout, ..ServeOptions::default() };
        servers.push(tokio::spawn(serve(listener, service.router.clone(), options, closing.clone())));
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        // The server may close before it has read all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(120), stream.read_to_end(&mut answer)).await.expect("an end");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let found = answer.split(' ').nth(1).unwrap_or_default();
        assert!(found == status || (status.is_empty() && found == "408"), "{status}: {answer}");
    }
    closing.cancel();
    for serving in servers {
        serving.await.expect("no panic").expect("well");
    }
}

/// Clients and proxies may repeat by themselves what was answered with 408, so a service that is slow itself says 503, and when
/// to come again. Nothing here is measured: the engine never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_slow_itself_answers_503() {
    let service = service_with(|settings| {
        settings.rates = many();
        settings.request_timeout = Duration::from_millis(300);
    })
    .await;
    service.observed.stop_answering();
    let job = "00000000000000000000000000000000";
    for (method, path) in [
        ("GET", "/v1/jobs".to_owned()),
        ("GET", format!("/v1/jobs/{job}")),
        ("POST", format!("/v1/jobs/{job}/stop")),
        ("DELETE", format!("/v1/jobs/{job}")),
        ("GET", "/api/v1/operator/environments".to_owned()),
        ("GET", "/api/v1/operator/list".to_owned()),
    ] {
        let answer = service.with("olga", method, &path, &[], axum::body::Body::empty()).await;
        let answer = answer.expect(503);
        assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{method} {path}");
        assert_eq!(answer.json()["type"], "https://cloister.dev/problems/too-slow", "{method} {path}");
    }
}
