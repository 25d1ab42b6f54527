//! Requests that cannot be read.

use crate::scenario::Scenario;
use cloister_tests::service::{NOTHING, Request, manifest};
use serde_json::json;

#[test]
fn malformed_bodies_are_refused() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let dataset = service.open_dataset(&scenario.alice, "d");
    let post = |target: &str| service.request("POST", target).by(&scenario.carol);
    let deep = "[".repeat(100_000);
    for body in ["", "{", "nonsense", "{\"datasets\": [}", "\u{feff}{}", "{\"a\": 1e999}", &deep, "{}{}", "NaN"] {
        let answer = post("/v1/jobs").bytes("application/json", body).send();
        assert!(matches!(answer.status, 400 | 422), "{body:.20}: {}", answer.shown());
        answer.problem(answer.status);
    }
    let not_text = post("/v1/jobs").bytes("application/json", b"{\"datasets\": \"\xff\xfe\"}".as_slice()).send();
    assert!(matches!(not_text.status, 400 | 422), "{}", not_text.shown());
    let good = json!({"datasets": [dataset], "algorithm": service.raw(&scenario.carol, NOTHING)});
    for media_type in ["text/plain", "application/xml", "", "application/x-www-form-urlencoded"] {
        post("/v1/jobs").bytes(media_type, good.to_string()).send().problem(415);
    }
    // Unknown fields, and values of another type. The answer names the field.
    for (change, said) in [
        (json!({"dataset": []}), "dataset"),
        (json!({"parameters": []}), "parameters"),
        (json!({"parameters": "x"}), "parameters"),
        (json!({"datasets": []}), "datasets"),
        (json!({"datasets": "did:op:x"}), "datasets"),
        (json!({"datasets": [1]}), ""),
        (json!({"datasets": ["not a did!"]}), "DID"),
        (json!({"algorithm": {}}), "algorithm"),
        (json!({"algorithm": {"did": "did:op:a", "rawcode": "x"}}), "algorithm"),
        (json!({"algorithm": {"upload": "short"}}), ""),
        (json!({"limits": {"memory": 1}}), "memory"),
        (json!({"limits": {"memoryBytes": -1}}), ""),
        (json!({"limits": {"wallMs": 1.5}}), ""),
        (json!({"limits": {"memoryBytes": 18_446_744_073_709_551_615_u64}}), ""),
        (json!({"environment": "nowhere"}), "environment"),
        (json!({"profile": "fast"}), ""),
        (json!({"register": {"name": "Not A Name"}}), ""),
        (json!({"encryptTo": 1}), ""),
    ] {
        let mut body = good.clone();
        for (name, value) in change.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let answer = service.post(&scenario.carol, "/v1/jobs", &body);
        assert!(matches!(answer.status, 400 | 422), "{change}: {}", answer.shown());
        let problem = answer.problem(answer.status).to_string();
        assert!(problem.contains(said), "{change}: {problem}");
    }
    let _ = service.finish(&scenario.carol, &good);
}

#[test]
fn text_of_a_stranger_is_escaped_or_left_out_of_answers() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let nasty = "\u{1b}[31mred\u{202e}\r\nX-Forged: 1";
    let mut answers = vec![
        service.post(&scenario.carol, "/v1/jobs", &json!({nasty: 1})),
        service.post(&scenario.carol, "/v1/jobs", &json!({"datasets": [nasty], "algorithm": {"rawcode": nasty}})),
        service.post(&scenario.alice, "/v1/datasets", &json!({"kind": nasty})),
        service.post(&scenario.alice, "/v1/datasets", &manifest("Dataset", nasty, &json!({nasty: nasty}))),
        service.post(&scenario.carol, "/v1/keys", &json!({"label": nasty.repeat(9), "role": nasty})),
    ];
    answers.push(service.get(&scenario.carol, "/v1/jobs?phase=%1b%5b31m&limit=%0d%0a"));
    for answer in answers {
        assert!((400..500).contains(&answer.status), "{}", answer.shown());
        let problem = answer.problem(answer.status);
        for text in [problem["detail"].as_str().unwrap_or_default(), problem["field"].as_str().unwrap_or_default()] {
            assert!(!text.contains(['\u{1b}', '\u{202e}', '\r', '\n']), "{problem:#}");
        }
        assert!(answer.header("x-forged").is_none());
    }
    for line in service.logs().lines() {
        assert!(!line.contains('\u{1b}') && !line.contains('\u{202e}'), "{line}");
    }
}

#[test]
fn bodies_over_the_limit_are_refused_and_not_stored() {
    let scenario = Scenario::with(
        cloister_tests::service::Setup::new().set("http.max_upload", "1MiB").set("uploads.per_account", "2MiB"),
    );
    let service = &scenario.service;
    let spaces = vec![b' '; 5 << 20];
    for target in ["/v1/jobs", "/v1/explain", "/v1/keys"] {
        let answer =
            service.request("POST", target).by(&scenario.carol).bytes("application/json", spaces.clone()).send();
        answer.problem(413);
    }
    let upload = |bytes: Vec<u8>| {
        service.request("POST", "/v1/uploads").by(&scenario.carol).bytes("application/octet-stream", bytes)
    };
    upload(vec![1; (1 << 20) + 1]).send().problem(413);
    let _ = upload(vec![1; 1 << 20]).send().expect(201);
    // The same once more is the same file.
    let _ = upload(vec![1; 1 << 20]).send().expect(201);
    let _ = upload(vec![2; 900_000]).send().expect(201);
    upload(vec![3; 900_000]).send().problem(409);
    // Another account has its own.
    let other =
        service.request("POST", "/v1/uploads").by(&scenario.alice).bytes("application/octet-stream", vec![3; 900_000]);
    let _ = other.send().expect(201);
    let kept: u64 = std::fs::read_dir(service.home().join("uploads"))
        .expect("uploads")
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
        .sum();
    assert!(kept <= (1 << 20) + 2 * 900_000, "{kept}");
    // Names are each account's own, too: what another sent cannot be named.
    let sha256 = service.upload(&scenario.alice, b"hers");
    let dataset = service.open_dataset(&scenario.alice, "d");
    let job = json!({"datasets": [dataset], "algorithm": {"upload": sha256}});
    let answer = service.post(&scenario.carol, "/v1/jobs", &job);
    assert!(matches!(answer.status, 404 | 422), "{}", answer.shown());
}

#[test]
fn oversized_and_malformed_headers_are_refused() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let get = |target: &str| service.request("GET", target).by(&scenario.carol);
    for request in [
        get("/v1/jobs").header("X-Large", &"x".repeat(100_000)),
        get(&format!("/v1/jobs?cursor={}", "x".repeat(100_000))),
        (0..500).fold(get("/v1/jobs"), |request: Request, n| request.header(&format!("X-{n}"), "x")),
    ] {
        // The connection may be cut instead, once it is answered.
        if let Ok(stream) = request.open() {
            assert!(matches!(stream.status, 400 | 413 | 414 | 431), "{}", stream.status);
        }
    }
    for (target, status) in [
        ("/v1/nothing", 404),
        ("/v1/jobs/../keys", 404),
        ("/v1/jobs/%2e%2e/keys", 404),
        ("/v1/jobs/%00", 404),
        ("/v1/jobs/ABCDEF", 404),
        ("/../etc/passwd", 404),
        ("//v1/jobs", 404),
        ("/v1/datasets/did%3Aop%3A..%2F..", 404),
    ] {
        let answer = get(target).send();
        assert!(
            answer.status == status || answer.status == 400 || answer.status == 422,
            "{target}: {}",
            answer.shown()
        );
    }
    service.request("PATCH", "/v1/jobs").by(&scenario.carol).send().problem(405);
    let two = get("/v1/whoami").header("Authorization", "Bearer x").send();
    two.problem(401);
    let _ = get("/v1/whoami").send().expect(200);
}
