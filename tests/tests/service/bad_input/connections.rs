//! Connections that say nothing, too little, or nonsense.

use crate::scenario::Scenario;
use cloister_tests::service::{Setup, wait_for};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// Reads until the other side closes, and gives what it said.
fn rest(socket: &mut TcpStream) -> String {
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let mut said = Vec::new();
    drop(socket.read_to_end(&mut said));
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn a_thousand_idle_connections_do_not_keep_other_clients_out() {
    let setup = Setup::new().set("http.max_connections", "2000").set("http.address_connections", "2000");
    let scenario = Scenario::with(setup.set("http.header_timeout", "20s"));
    let address = scenario.service.address();
    let idle: Vec<TcpStream> = (0..1000)
        .map(|number| {
            let mut socket = TcpStream::connect(address).expect("a connection");
            if number % 2 == 0 {
                socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").expect("half a head");
            }
            socket
        })
        .collect();
    for _ in 0..20 {
        let _ = scenario.service.get(&scenario.carol, "/v1/whoami").expect(200);
    }
    drop(idle);
    let _ = scenario.service.get(&scenario.carol, "/v1/whoami").expect(200);
}

#[test]
fn a_client_that_is_too_slow_is_disconnected() {
    let mut scenario = Scenario::new();
    // A busy machine may need longer than that for the accounts.
    let service = &mut scenario.service;
    let impatient = service.setup().clone().set("http.header_timeout", "1s").set("http.request_timeout", "2s");
    assert!(service.stop().success());
    *service.setup() = impatient;
    service.restart();
    let address = service.address();
    // A head that comes letter by letter.
    let mut slow = TcpStream::connect(address).expect("a connection");
    slow.write_all(b"GET /v1/whoami HTTP/1.1\r\n").expect("sent");
    wait_for("it to hang up", || {
        std::thread::sleep(Duration::from_millis(100));
        slow.write_all(b"X-A: b\r\n").is_err().then_some(())
    });
    // Nothing at all.
    let mut silent = TcpStream::connect(address).expect("a connection");
    assert!(!rest(&mut silent).contains("200 OK"));
    // A body that never comes.
    let mut waiting = TcpStream::connect(address).expect("a connection");
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
        scenario.carol.key
    );
    waiting.write_all(head.as_bytes()).expect("sent");
    let said = rest(&mut waiting);
    // The service does not know whether the client or the network is slow, so it does not answer 408.
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 503"), "{said}");
    let asks = scenario.service.request("GET", "/v1/whoami").by(&scenario.carol);
    wait_for("an answer", || asks.open().is_ok_and(|answer| answer.status == 200).then_some(()));
}

/// Uploads that are there to be named.
fn complete(scenario: &Scenario) -> usize {
    let uploads = std::fs::read_dir(scenario.service.home().join("uploads"));
    uploads.into_iter().flatten().flatten().filter(|entry| entry.file_name().len() == 64).count()
}

#[test]
fn bytes_that_are_not_http_do_no_harm() {
    let scenario = Scenario::new();
    let address = scenario.service.address();
    let key = &scenario.carol.key;
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00".as_slice(),
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0; 5000],
    ] {
        let mut socket = TcpStream::connect(address).expect("a connection");
        drop(socket.write_all(bytes));
        drop(socket.shutdown(std::net::Shutdown::Write));
        let said = rest(&mut socket);
        assert!(said.is_empty() || said.starts_with("HTTP/1."), "{said}");
    }
    // Two lengths for one body are two meanings: a proxy in front may have chosen the other one.
    let smuggled = format!(
        "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /v1/audit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket.write_all(smuggled.as_bytes()).expect("sent");
    drop(socket.shutdown(std::net::Shutdown::Write));
    let said = rest(&mut socket);
    assert!(said.matches("HTTP/1.1 ").count() <= 1, "{said}");
    // Half an upload is none.
    let before = complete(&scenario);
    let mut socket = TcpStream::connect(address).expect("a connection");
    let half = format!(
        "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 1000\r\n\r\nhalf"
    );
    socket.write_all(half.as_bytes()).expect("sent");
    drop(socket);
    let _ = scenario.service.get(&scenario.carol, "/v1/whoami").expect(200);
    assert_eq!(complete(&scenario), before);
}

#[test]
fn a_client_over_its_rate_learns_when_to_retry() {
    let scenario = Scenario::with(Setup::new().set("http.account_per_second", "1").set("http.account_burst", "5"));
    let mut answered = 0;
    let refused = loop {
        let answer = scenario.service.get(&scenario.carol, "/v1/whoami");
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 10_000, "none is too many");
    };
    assert!(answered >= 5, "{answered}");
    refused.problem(429);
    assert!(
        refused
            .header("retry-after")
            .and_then(|seconds| seconds.parse::<u64>().ok())
            .is_some_and(|seconds| seconds > 0)
    );
    // Others are not kept waiting.
    let _ = scenario.service.get(&scenario.alice, "/v1/whoami").expect(200);
}

/// Strangers send so many files at once together, whatever number of accounts they make: they leave room for those who are known.
#[test]
fn strangers_who_send_many_files_at_once_keep_no_other_account_from_sending() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let strangers: Vec<_> = (1..=6).map(|number| service.account(&format!("0x{number:040x}"), "consumer")).collect();
    let begin = |key: &str| {
        let mut socket = TcpStream::connect(service.address()).expect("a connection");
        let head = "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\nConnection: close\r\n";
        socket.write_all(format!("{head}Authorization: Bearer {key}\r\n\r\nx").as_bytes()).expect("a beginning");
        socket
    };
    let mut stalled: Vec<TcpStream> = strangers[1..].iter().flat_map(|who| (0..12).map(|_| begin(&who.key))).collect();
    let upload = |who| service.request("POST", "/v1/uploads").by(who).bytes("application/octet-stream", "abc").send();
    // One after the other: the service refuses a stalled upload, too, where a whole one takes the last place just then.
    let mut others = strangers[1..].iter().cycle();
    wait_for("strangers to be too many", || {
        stalled.extend(others.next().map(|who| begin(&who.key)));
        (upload(&strangers[0]).status == 429).then_some(())
    });
    assert_eq!(upload(&scenario.carol).status, 201, "who is known is not held up");
    drop(stalled);
    wait_for("room for strangers", || (upload(&strangers[0]).status == 201).then_some(()));
}
