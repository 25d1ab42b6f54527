//! What each account may learn about a job, and until when.

use crate::test_service::{TestService, guest, key_made, now, service};
use axum::{
    body::{Body, Bytes},
    http::Request,
};
use cloister_api::new_key;
use cloister_model::{ApiKey, Keyring as _, Role};
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt as _;

/// A job of bob's on data of alice's that alice reviews, once it waits for her.
async fn reviewed(service: &TestService, name: &str) -> String {
    let compute = json!({"allowRawAlgorithm": true, "outputContract": {"review": true}});
    let dataset = service.dataset(name, compute).await;
    let job = service.job(&dataset).await;
    assert_eq!(service.until(&job, "InReview").await["phase"], "InReview");
    job
}

/// Names of outputs are what the algorithm chose, and a digest tells what little it is of.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_nothing_of_outputs_that_were_not_released() {
    let service = service().await;
    let (approved, refused) = (reviewed(&service, "one").await, reviewed(&service, "other").await);
    let outputs = |who: &'static str, job: String| {
        let service = &service;
        async move {
            let report = service.get(who, &format!("/v1/jobs/{job}/report")).await.expect(200).json();
            report["outputs"].as_array().expect("outputs").len()
        }
    };
    let held = service.get("alice", &format!("/v1/jobs/{refused}/review")).await.expect(200).json();
    let secret = held["items"][0]["sha256"].as_str().expect("a digest").to_owned();
    for who in ["bob", "alice", "olga"] {
        assert_eq!(outputs(who, refused.clone()).await, 0, "{who}, while they are under review");
    }
    let no = json!({"verdict": "refuse", "reason": "too fine"});
    service.post("alice", &format!("/v1/jobs/{refused}/review"), &no).await.expect(200);
    assert_eq!(service.until(&refused, "OutputRefused").await["phase"], "OutputRefused");
    for part in ["", "/report", "/receipt", "/explain", "/results", "/log", "/events"] {
        let told = service.get("bob", &format!("/v1/jobs/{refused}{part}")).await.expect(200).text();
        assert!(!told.contains(&secret) && !told.contains("statistics"), "{part}: {told}");
    }
    assert_eq!(outputs("bob", refused).await, 0, "also later");

    service.post("alice", &format!("/v1/jobs/{approved}/review"), &json!({"verdict": "approve"})).await.expect(200);
    assert_eq!(service.until(&approved, "Finished").await["phase"], "Finished");
    assert!(outputs("bob", approved).await > 0);
}

/// An algorithm chooses how much it reads, writes and prints, and its exit code. Where nothing else may leave, these tell nothing.
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_may_leave_a_report_is_coarse() {
    let service = service().await;
    let job = reviewed(&service, "one").await;
    for (who, coarse) in [("bob", true), ("alice", true), ("olga", false)] {
        let report = service.get(who, &format!("/v1/jobs/{job}/report")).await.expect(200).json();
        let usage = &report["usage"];
        let zero = |value: &Value| value == 0 || value.is_null();
        let told = [&usage["bytesRead"], &usage["bytesWritten"], &usage["guestUs"], &usage["peakResidentBytes"]];
        assert_eq!(told.iter().all(|value| zero(value)), coarse, "{who}: {usage}");
        let memory = usage["peakMemoryBytes"].as_u64().expect("a number");
        assert!(!coarse || memory.is_power_of_two(), "{who}: {usage}");
        assert!(!coarse || report["log"]["keptBytes"] == 0, "{who}: {report}");
    }
    service.post("alice", &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"})).await.expect(200);
    assert_eq!(service.until(&job, "Finished").await["phase"], "Finished");
    let report = service.get("bob", &format!("/v1/jobs/{job}/report")).await.expect(200).json();
    assert!(report["usage"]["bytesRead"].as_u64() > Some(0), "what was released is told exactly: {report}");
}

/// Two publishers' data in one job of a consumer's.
#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_learns_nothing_of_anothers_files_and_of_the_parameters() {
    let service = service().await;
    let hers = service.dataset("hers", json!({"allowRawAlgorithm": true})).await;
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "theirs"},
        "spec": {"files": [{"type": "inline", "content": "a,b\n1,2\n"}], "compute": {"allowRawAlgorithm": true}}
    });
    let theirs = service.post("mallory", "/v1/datasets", &manifest).await.expect(201).json();
    let theirs = theirs["did"].as_str().expect("a DID").to_owned();
    let sha256 = service.upload("bob", guest("column-stats.p1.wasm")).await;
    let request = json!({"datasets": [hers, theirs], "algorithm": {"upload": sha256}, "parameters": {"bins": 20}});
    let job = service.post("bob", "/v1/jobs", &request).await.expect(201).json();
    let job = job["id"].as_str().expect("an id").to_owned();
    assert!(!service.until(&job, "Finished").await["ended"].is_null());
    let (hers, theirs) = (hers.trim_start_matches("did:op:"), theirs.trim_start_matches("did:op:"));
    for (who, sees_hers, sees_theirs, sees_parameters) in [
        ("bob", true, true, true),
        ("olga", true, true, true),
        ("alice", true, false, false),
        ("mallory", false, true, false),
    ] {
        let report = service.get(who, &format!("/v1/jobs/{job}/report")).await.expect(200).json();
        let paths: Vec<&str> =
            report["inputs"].as_array().expect("inputs").iter().filter_map(|f| f["path"].as_str()).collect();
        let has = |path: &str| paths.contains(&path);
        assert_eq!(has(&format!("inputs/{hers}/0")), sees_hers, "{who}: {paths:?}");
        assert_eq!(has(&format!("inputs/{theirs}/0")), sees_theirs, "{who}: {paths:?}");
        assert_eq!(has("inputs/algoCustomData.json"), sees_parameters, "{who}: {paths:?}");
        assert!(has("transformations/algorithm"), "{who}: {paths:?}");
        let asked = service.get(who, &format!("/v1/jobs/{job}/parameters")).await.status;
        assert_eq!(asked, if who == "bob" { 200 } else { 404 }, "{who}");
    }
}

/// A request with a key of its own.
fn with(key: &str, method: &str, path: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_revoked_tells_nothing_more() {
    let service = service().await;
    let job = reviewed(&service, "one").await;
    let made = service.post("bob", "/v1/keys", &json!({})).await.expect(201).json();
    let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
    let follow = |path: String| {
        let asked = service.router.clone().oneshot(with(key, "GET", &path, &Value::Null));
        async move { asked.await.expect("an answer").into_body() }
    };
    let mut events = follow(format!("/v1/jobs/{job}/events")).await;
    let log = follow(format!("/v1/jobs/{job}/log?follow=true")).await;
    let first = events.frame().await.expect("a frame").expect("an event").into_data().expect("data");
    assert!(String::from_utf8_lossy(&first).contains("InReview"));

    service.delete("bob", &format!("/v1/keys/{id}")).await.expect(204);
    service.post("alice", &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"})).await.expect(200);
    service.until(&job, "Finished").await;
    let rest = tokio::time::timeout(Duration::from_secs(60), events.collect()).await.expect("an end");
    assert_eq!(rest.expect("well").to_bytes(), Bytes::new());
    let rest = tokio::time::timeout(Duration::from_secs(60), log.collect()).await.expect("an end");
    assert_eq!(rest.expect("well").to_bytes(), Bytes::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lasts_no_longer_than_the_one_that_made_it() {
    let service = service().await;
    let make = |who: &'static str, body: Value| {
        let service = &service;
        async move { service.post(who, "/v1/keys", &body).await.expect(201).json() }
    };
    let until = in_days(30);
    for (who, role) in [("bob", "consumer"), ("olga", "operator")] {
        let short = make(who, json!({"expires": until, "role": role})).await;
        let key = short["key"].as_str().expect("a key");
        let child = service.send(with(key, "POST", "/v1/keys", &json!({"role": role}))).await.expect(201).json();
        assert_eq!(child["expires"], short["expires"], "{who}: as long as its maker");
        let shorter = json!({"expires": in_days(29)});
        service.send(with(key, "POST", "/v1/keys", &shorter)).await.expect(201);
        let longer = service.send(with(key, "POST", "/v1/keys", &json!({"expires": in_days(31)}))).await;
        assert_eq!(longer.expect(422).json()["field"], "expires");
        // What was made of it makes no longer ones, either.
        let child = child["key"].as_str().expect("a key");
        let grandchild = service.send(with(child, "POST", "/v1/keys", &json!({}))).await.expect(201).json();
        assert_eq!(grandchild["expires"], short["expires"]);
    }
    // One without an end makes none that has no end, and none that lasts for longer than the operator has set.
    assert!(make("bob", json!({})).await["expires"].is_string());
    service.post("bob", "/v1/keys", &json!({"expires": in_days(89)})).await.expect(201);
    let longer = service.post("bob", "/v1/keys", &json!({"expires": in_days(91)})).await.expect(422).json();
    assert_eq!(longer["field"], "expires");
    assert!(longer["detail"].as_str().expect("a text").contains("operator has set"), "{longer}");
}

/// So many days from now, in the form of the API.
fn in_days(days: i64) -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    format!("{then:.0}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_keys_of_an_account_is_bounded() {
    let service = service().await;
    let one = |revoked| {
        let key =
            new_key("bob".parse().expect("an account"), Role::Consumer, String::new(), None, now()).expect("a key");
        service.engine.put_key(ApiKey { revoked, ..key.stored }, key_made())
    };
    futures_util::future::try_join_all((0..1100).map(|_| one(Some(now())))).await.expect("stored");
    let made = service.post("bob", "/v1/keys", &json!({})).await.expect(201).json();
    futures_util::future::try_join_all((0..998).map(|_| one(None))).await.expect("stored");
    service.post("bob", "/v1/keys", &json!({})).await.expect(409);
    service.delete("bob", &format!("/v1/keys/{}", made["id"].as_str().expect("an id"))).await.expect(204);
    service.post("bob", "/v1/keys", &json!({})).await.expect(201);
    service.post("carol", "/v1/keys", &json!({})).await.expect(201);
    service.post("olga", "/v1/keys", &json!({"account": "bob"})).await.expect(201);
}

/// One who sends many files slowly keeps neither the places nor the disk of the others.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_at_once_are_bounded_for_each_account() {
    let service = service().await;
    let key = service.key("bob").to_owned();
    let slow = || {
        let body = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"begun")) });
        let request = Request::post("/v1/uploads")
            .header("authorization", format!("Bearer {key}"))
            .body(Body::from_stream(futures_util::StreamExt::chain(body, stream::pending())));
        tokio::spawn(service.router.clone().oneshot(request.expect("a request")))
    };
    let uploads: Vec<_> = (0..17).map(|_| slow()).collect();
    // One too many.
    while !uploads.iter().any(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    service.with("bob", "POST", "/v1/uploads", &[], Body::from("x")).await.expect(429);
    service.upload("carol", guest("column-stats.p1.wasm")).await;
    uploads.iter().for_each(tokio::task::JoinHandle::abort);
}
