use super::*;
use crate::config::Layers;
use opentelemetry_sdk::trace::SpanExporter as _;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::{
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write},
    net::{TcpListener, TcpStream},
    pin::pin,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Instant,
};
use tracing_subscriber::{fmt, layer::SubscriberExt as _, registry};

/// A request that a collector received: its headers in lower case, and its body.
struct Received {
    head: String,
    body: Value,
}

/// A collector on this machine, and what it receives. Gives every request this answer.
fn collector(answer: &'static str) -> (String, Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (send, receive) = channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (received, mut connection) = take(connection.expect("a connection"));
            // Sent before the answer, because the test looks afterwards. Fails if the test has ended.
            let _ = send.send(received);
            connection.write_all(answer.as_bytes()).expect("an answer");
        }
    });
    (address, receive)
}

fn take(connection: TcpStream) -> (Received, TcpStream) {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).expect("a head"), 0, "cut: {head}");
    }
    let head = head.to_lowercase();
    let length = head.split_once("content-length: ").expect("a length").1;
    let length = length.split("\r\n").next().expect("a line").parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    (Received { head, body: serde_json::from_slice(&body).expect("JSON") }, reader.into_inner())
}

fn traces(pairs: &[&str]) -> Option<Traces> {
    let mut layers = Layers::default();
    for pair in pairs {
        layers.set(pair).expect("a known setting");
    }
    Traces::start(&Settings::resolve(&layers).expect("settings")).expect("ready")
}

/// What the service does with a request, among other spans and log lines.
fn request(traces: &Traces) {
    tracing::subscriber::with_default(registry().with(traces.layer()), || {
        let empty = (tracing::field::Empty, tracing::field::Empty);
        let span = tracing::info_span!(
            "request",
            id = "17",
            method = "GET",
            route = "/v1/jobs",
            account = empty.0,
            status = empty.1
        );
        let _inside = span.enter();
        span.record("account", "SECRET");
        tracing::error!(error = "SECRET", "a log line");
        drop(tracing::info_span!(target: "hyper", "SECRET"));
        drop(tracing::debug_span!("SECRET"));
        span.record("status", 200_u16);
    });
}

const TAKEN: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

#[test]
fn requests_reach_the_collector_before_the_service_has_ended() {
    let (address, received) = collector(TAKEN);
    let endpoint = format!("log.otlp_endpoint={address}");
    let traces = traces(&[&endpoint, "log.otlp_headers=authorization=Bearer k"]).expect("a collector");
    request(&traces);
    drop(traces);

    let Received { head, body } = received.recv_timeout(PATIENCE).expect("a request");
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: bearer k\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let resource = body["resourceSpans"][0]["resource"]["attributes"].to_string();
    for text in [r#""service.name""#, r#""cloister""#, r#""service.version""#, env!("CARGO_PKG_VERSION")] {
        assert!(resource.contains(text), "{resource}");
    }
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans");
    assert_eq!(spans.len(), 1, "{body:#}");
    assert_eq!(spans[0]["name"], "GET /v1/jobs");
    let attributes = spans[0]["attributes"].to_string();
    assert!(attributes.contains("http.response.status_code") && attributes.contains("200"), "{attributes}");
    assert!(!body.to_string().contains("SECRET"), "{body:#}");
    assert!(received.try_recv().is_err(), "sending is not traced");
}

#[test]
fn a_missing_collector_changes_nothing() {
    // Nothing listens there, and the system gives that port to no collector of another test.
    let traces = traces(&["log.otlp_endpoint=http://127.0.0.1:1"]).expect("a collector");
    for _ in 0..2 * MOST_WAITING {
        request(&traces);
    }
    drop(traces);
}

#[test]
fn a_silent_collector_does_not_keep_the_service_running() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let traces = traces(&[&format!("log.otlp_endpoint=http://{address}")]).expect("a collector");
    let began = Instant::now();
    request(&traces);
    drop(traces);
    let (mut connection, _) = listener.accept().expect("a connection");
    connection.set_nonblocking(true).expect("set");
    let found = connection.read_to_end(&mut vec![]);
    let still_waits = found.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    // On a busy machine, an answer may have been waited for in vain by now.
    assert!(still_waits || began.elapsed() >= PATIENCE, "the connection was closed early: {found:?}");
}

#[test]
fn redirects_of_the_collector_are_not_followed() {
    let (elsewhere, received) = collector(TAKEN);
    let answer = format!("HTTP/1.1 307 Go\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let (address, asked) = collector(answer.leak());
    let endpoint = format!("log.otlp_endpoint={address}");
    let traces = traces(&[&endpoint, "log.otlp_headers=authorization=Bearer k"]).expect("a collector");
    request(&traces);
    drop(traces);
    asked.recv_timeout(PATIENCE).expect("a request");
    assert!(received.try_recv().is_err(), "a redirect was followed");
}

/// Log lines of one thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lines").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failing_collector_is_logged_once() {
    let (address, asked) = collector("HTTP/1.1 401 SECRET\r\ncontent-length: 6\r\nconnection: close\r\n\r\nSECRET");
    let url = format!("{address}/v1/traces").parse().expect("an address");
    let exporter = exporter(Destination { url, headers: HeaderMap::new() }).expect("ready");
    let lines = Lines::default();
    let writer = lines.clone();
    let log = registry()
        .with(fmt::layer().with_ansi(false).with_writer(move || writer.clone()).with_filter(LevelFilter::INFO));
    tracing::subscriber::with_default(log, || {
        for _ in 0..3 {
            // On the sending thread, the future completes on its first poll.
            let sent = pin!(exporter.export(vec![])).poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(sent, Poll::Ready(Err(_))), "{sent:?}");
        }
    });
    assert_eq!(asked.try_iter().count(), 3, "not tried again");
    let lines = String::from_utf8(lines.0.lock().expect("lines").clone()).expect("text");
    assert!(lines.lines().count() == 1 && lines.contains("WARN") && lines.contains(&address), "{lines}");
    assert!(!lines.contains("SECRET"), "{lines}");
}
