//! Where a source must not point: this machine, its neighbours, the cloud's metadata.

use super::{assert_arrives, assert_fails, scenario};
use crate::scenario::Scenario;
use cloister_tests::service::{Server, Setup};
use serde_json::json;

#[test]
fn loopback_and_private_addresses_are_refused_unless_the_operator_allows_them() {
    let scenario = Scenario::new();
    let inner = Server::of(b"SECRET of an inner service");
    let port = inner.address().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "localhost.",
        "127.0.0.1.",
    ] {
        let ended = assert_fails(&scenario, &json!({"type": "url", "url": format!("http://{host}:{port}/a")}), &[]);
        assert!(!ended.to_string().contains("SECRET"), "{host}: {ended:#}");
    }
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://192.168.0.1/",
        "http://[fd00:ec2::254]/",
    ] {
        assert_fails(&scenario, &json!({"type": "url", "url": url}), &["not allowed"]);
    }
    assert_eq!(inner.seen(), Vec::<String>::new(), "it received a request");
}

#[test]
fn other_schemes_are_refused_when_they_are_published() {
    let scenario = Scenario::new();
    for (number, url) in
        ["file:///etc/passwd", "ftp://a.example/x", "gopher://a.example/", "data:text/plain,x", "javascript:1", "//a/b"]
            .iter()
            .enumerate()
    {
        let spec = json!({"files": [{"type": "url", "url": url}], "compute": {"allowRawAlgorithm": true}});
        let manifest = cloister_tests::service::manifest("Dataset", &format!("d{number}"), &spec);
        scenario.service.post(&scenario.alice, "/v1/datasets", &manifest).problem(422);
    }
}

#[test]
fn redirects_cannot_reach_forbidden_addresses() {
    // The network of the server is allowed, and nothing else is.
    let scenario =
        Scenario::with(Setup::new().set("sources.allow_networks", "127.0.0.1/32").set("sources.attempts", "1"));
    let inner = Server::of(b"SECRET");
    let port = inner.address().port();
    for (target, said) in [
        (format!("http://127.0.0.2:{port}/"), "not allowed"),
        ("http://169.254.169.254/latest/".to_owned(), "not allowed"),
        (format!("http://[::1]:{port}/"), "not allowed"),
        ("http://10.0.0.1/".to_owned(), "not allowed"),
        ("file:///etc/passwd".to_owned(), ""),
        ("gopher://127.0.0.1/".to_owned(), ""),
        ("http://".to_owned(), ""),
    ] {
        let location = format!("Location: {target}\r\n");
        let server = Server::start(move |conversation| conversation.answer("302 Found", &location, b""));
        let ended = assert_fails(&scenario, &json!({"type": "url", "url": server.url("/a")}), &[said]);
        assert!(!ended.to_string().contains("SECRET"));
    }
    assert_eq!(inner.seen(), Vec::<String>::new());
    let circle = Server::start(|conversation| conversation.answer("302 Found", "Location: /again\r\n", b""));
    assert_fails(&scenario, &json!({"type": "url", "url": circle.url("/a")}), &["redirect"]);
    assert!(circle.seen().len() <= 10, "{}", circle.seen().len());
}

#[test]
fn a_redirect_carries_no_secret_to_another_host() {
    let scenario = scenario();
    let other = Server::start(|conversation| conversation.answer("200 OK", "", b"arrived"));
    let location = format!("Location: {}\r\n", other.url("/b"));
    let server = Server::start(move |conversation| match conversation.target.as_str() {
        "/here" => conversation.answer("200 OK", "", b"stayed"),
        "/local" => conversation.answer("302 Found", "Location: /here\r\n", b""),
        _ => conversation.answer("307 Temporary Redirect", &location, b""),
    });
    let with_key = |path: &str| json!({"type": "url", "url": server.url(path), "headers": {"X-Api-Key": "s3cr3t", "Authorization": "Bearer s3cr3t"}});
    assert_arrives(&scenario, &with_key("/local"), b"stayed");
    assert_arrives(&scenario, &with_key("/away"), b"arrived");
    let seen = other.seen();
    assert!(!seen.is_empty() && seen.iter().all(|head| !head.contains("s3cr3t")), "{seen:#?}");
}

#[test]
fn local_sources_must_lie_in_the_operators_folders() {
    let scenario = Scenario::new();
    let outside = scenario.service.folder().join("outside");
    std::fs::write(&outside, "SECRET").expect("written");
    std::os::unix::fs::symlink(&outside, scenario.service.data().join("link")).expect("a link");
    std::fs::create_dir(scenario.service.data().join("folder")).expect("made");
    for path in [
        outside.display().to_string(),
        scenario.service.data().join("link").display().to_string(),
        scenario.service.data().join("folder").display().to_string(),
        scenario.service.data().join("missing").display().to_string(),
        format!("{}/../outside", scenario.service.data().display()),
        scenario.service.home().join("operator.key").display().to_string(),
        "/etc/passwd".to_owned(),
        "/dev/zero".to_owned(),
        "/proc/self/environ".to_owned(),
    ] {
        let spec = json!({"files": [{"type": "local", "path": path}], "compute": {"allowRawAlgorithm": true}});
        let manifest = cloister_tests::service::manifest("Dataset", "d", &spec);
        if scenario.service.post(&scenario.alice, "/v1/datasets", &manifest).status < 300 {
            let ended = assert_fails(&scenario, &json!({"type": "local", "path": path}), &[]);
            assert!(!ended.to_string().contains("SECRET"), "{ended:#}");
        }
    }
    let good = scenario.service.file("good", "data");
    assert_arrives(&scenario, &json!({"type": "local", "path": good}), b"data");
}
