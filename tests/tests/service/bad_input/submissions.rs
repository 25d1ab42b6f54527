//! Jobs that make no sense, and inputs that cannot be had.

use crate::scenario::{Scenario, reason};
use cloister_model::Phase;
use cloister_tests::service::{NOTHING, Setup, manifest, phase, text};
use serde_json::json;

#[test]
fn submissions_that_name_missing_or_unsuitable_assets_are_refused() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let (dataset, algorithm) = (service.open_dataset(alice, "d"), scenario.algorithm("a", NOTHING));
    let raw = service.raw(carol, NOTHING);
    let missing = format!("did:op:{}", "0".repeat(64));
    let access = service.publish_dataset(
        alice,
        "open",
        &json!({"services": [{"id": "open", "type": "access", "files": [{"type": "inline", "content": "x"}]}]}),
    );
    for (job, status) in [
        (json!({"datasets": [missing], "algorithm": raw}), 404),
        (json!({"datasets": [dataset], "algorithm": {"did": missing}}), 404),
        // An algorithm is not a dataset, and a dataset is not an algorithm.
        (json!({"datasets": [algorithm], "algorithm": raw}), 404),
        (json!({"datasets": [dataset], "algorithm": {"did": dataset}}), 404),
        (json!({"datasets": [{"did": dataset, "service": "nothing"}], "algorithm": raw}), 422),
        (json!({"datasets": [dataset], "algorithm": {"upload": "ab".repeat(32)}}), 422),
    ] {
        let answer = service.post(carol, "/v1/jobs", &job);
        assert!(answer.status == status || matches!(answer.status, 404 | 422), "{job}: {}", answer.shown());
        answer.problem(answer.status);
    }
    // What can be downloaded needs no Cloister.
    assert_eq!(service.denied(carol, &json!({"datasets": [access], "algorithm": raw})), ["no-compute-service"]);
    assert_eq!(service.get(carol, "/v1/jobs").expect_json(200)["items"], json!([]));
}

#[test]
fn manifests_with_unknown_or_missing_fields_are_refused() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let good = json!({"files": [{"type": "inline", "content": "x"}]});
    let with = |name: &str, value: serde_json::Value| {
        let mut spec = good.clone();
        spec[name] = value;
        spec
    };
    for spec in [
        json!({}),
        json!({"files": []}),
        json!({"files": "x"}),
        with("allowRawAlgorithm", json!(true)),
        with("compute", json!({"allowRawAlgorithms": true})),
        with("compute", json!({"outputContract": {"maxBytes": -1}})),
        with("compute", json!({"outputContract": {"mediaTypes": ["*/*"]}})),
        with("services", json!([])),
        with("files", json!([{"type": "local", "path": "relative"}])),
        with("files", json!([{"type": "upload", "sha256": "ab".repeat(32)}])),
        with("files", json!([{"type": "result", "job": "0".repeat(32), "index": 0}])),
        with("files", json!([{"type": "inline", "content": "x", "base64": "eA=="}])),
        with("title", json!("x".repeat(2_000))),
        with("algorithm", json!({})),
    ] {
        let answer = service.post(&scenario.alice, "/v1/datasets", &manifest("Dataset", "d", &spec));
        assert!(matches!(answer.status, 400 | 422), "{spec}: {}", answer.shown());
        let problem = answer.problem(answer.status);
        assert!(text(&problem, "detail").len() > 20, "it says what to do: {problem:#}");
    }
    for name in ["", "Name", "a b", "../x", &"a".repeat(64)] {
        service.post(&scenario.alice, "/v1/datasets", &manifest("Dataset", name, &good)).problem(422);
    }
    let mut other_version = manifest("Dataset", "d", &good);
    other_version["apiVersion"] = "cloister.dev/v9".into();
    service.post(&scenario.alice, "/v1/datasets", &other_version).problem(422);
    assert_eq!(service.get(&scenario.alice, "/v1/datasets").expect_json(200)["items"], json!([]));
    // An algorithm's file is read when the algorithm is published. If it cannot be read, publication is refused.
    let away = json!({"files": [{"type": "url", "url": "http://127.0.0.1:1/a.wasm"}]});
    let answer = service.post(&scenario.bob, "/v1/algorithms", &manifest("Algorithm", "a", &away));
    assert!(matches!(answer.status, 422 | 502), "{}", answer.shown());
}

#[test]
fn a_file_that_is_not_a_program_is_refused_as_the_algorithms_fault() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let empty = service.request("POST", "/v1/uploads").by(carol).bytes("application/octet-stream", "").send();
    empty.problem(400);
    for program in [&b"#!/bin/sh\necho"[..], b"\0", b"\0asm", br#"{"a": 1}"#] {
        let job = json!({"datasets": [dataset], "algorithm": {"upload": service.upload(carol, program)}});
        let answer = service.post(carol, "/v1/jobs", &job);
        if answer.status != 201 {
            answer.problem(422);
            continue;
        }
        let ended = service.ended(carol, &text(&answer.json(), "id"));
        assert_eq!(phase(&ended), Phase::AlgorithmFailed, "{ended:#}");
        assert_eq!(ended["reason"]["fault"], "algorithm", "{ended:#}");
    }
    // The upload says already what a module asks for.
    let path = cloister_tests::root().join("tests/hostile/import_sock_open.wat");
    let module = wat::parse_file(path).expect("a WAT text");
    let request = service.request("POST", "/v1/uploads").by(carol).bytes("application/octet-stream", module);
    let uploaded = request.send().expect_json(201);
    assert!(uploaded["admission"].is_object(), "{uploaded:#}");
    let job = json!({"datasets": [dataset], "algorithm": {"upload": uploaded["sha256"]}});
    let answer = service.post(carol, "/v1/jobs", &job);
    if answer.status == 201 {
        let ended = service.ended(carol, &text(&answer.json(), "id"));
        assert_eq!(phase(&ended), Phase::AlgorithmFailed, "{ended:#}");
        assert!(reason(&ended).contains("sock_open"), "{ended:#}");
    }
}

#[test]
fn a_full_queue_says_so_and_empties() {
    let scenario = Scenario::with(Setup::new().set("engine.max_jobs", "1").set("engine.max_queued", "2"));
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let endless = scenario.raw_job(&dataset, cloister_tests::service::ENDLESS);
    let running = text(&service.submit(carol, &endless), "id");
    let _ = service.job_in(carol, &running, Phase::Running);
    let mut taken = vec![running];
    let refused = loop {
        let answer = service.post(carol, "/v1/jobs", &endless);
        if answer.status != 201 {
            break answer;
        }
        taken.push(text(&answer.json(), "id"));
        assert!(taken.len() < 6, "a bound that does not hold");
    };
    refused.problem(503);
    assert!(refused.header("retry-after").is_some(), "{}", refused.shown());
    for job in &taken {
        let _ = service.post(carol, &format!("/v1/jobs/{job}/stop"), &serde_json::Value::Null).expect(202);
    }
    for job in &taken {
        assert_eq!(phase(&service.ended(carol, job)), Phase::Stopped);
    }
    let _ = service.finish(carol, &scenario.raw_job(&dataset, NOTHING));
}
