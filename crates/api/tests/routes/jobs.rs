//! Jobs, from the request to the receipt.

use crate::test_service::service;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use axum::body::Body;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_testkit::account;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_and_is_accounted_for() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({"allowRawAlgorithm": true})).await;
    let job = service.job(&dataset).await;
    // Followed from before its end: the events end by themselves.
    let events = service.get("bob", &format!("/v1/jobs/{job}/events")).await.expect(200);
    assert_eq!(events.header("content-type"), "text/event-stream");
    let ended = service.until(&job, "Finished").await;
    assert_eq!(ended["phase"], "Finished", "{ended}");
    assert_eq!((ended["code"].as_u64(), ended["owner"].as_str()), (Some(70), Some("bob")));
    let text = events.text();
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().expect("an event");
    assert_eq!(serde_json::from_str::<Value>(last).expect("json"), ended);
    let seen = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().expect("an id");
    let again = |seen: String| {
        let (service, job) = (&service, &job);
        async move {
            let headers = [("last-event-id", seen.as_str())];
            service.with("bob", "GET", &format!("/v1/jobs/{job}/events"), &headers, Body::empty()).await
        }
    };
    again(seen.to_owned()).await.expect(204);
    assert_eq!(again("of another service".to_owned()).await.expect(200).text().matches("event: job").count(), 1);

    // Results: whole, in parts, again.
    let results = service.get("bob", &format!("/v1/jobs/{job}/results")).await.expect(200).json();
    let results = results["items"].as_array().expect("results");
    let output = results.iter().find(|file| file["kind"] == "output").expect("an output");
    let path = format!("/v1/jobs/{job}/results/{}", output["index"]);
    let whole = service.get("bob", &path).await.expect(200);
    assert_eq!(whole.body.len() as u64, output["bytes"].as_u64().expect("bytes"));
    assert_eq!(whole.header("etag"), format!("\"{}\"", output["sha256"].as_str().expect("a digest")));
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    let ask = |headers: Vec<(&'static str, String)>, method: &'static str| {
        let (service, path) = (&service, &path);
        async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            service.with("bob", method, path, &headers, Body::empty()).await
        }
    };
    let tag = whole.header("etag").to_owned();
    let rest = ask(vec![("range", "bytes=5-".to_owned()), ("if-range", tag.clone())], "GET").await.expect(206);
    assert_eq!(rest.body, whole.body[5..]);
    let other = ask(vec![("range", "bytes=5-".to_owned()), ("if-range", "\"x\"".to_owned())], "GET").await.expect(200);
    assert_eq!(other.body, whole.body);
    ask(vec![("if-none-match", tag)], "GET").await.expect(304);
    ask(vec![("range", "bytes=99999999-".to_owned())], "GET").await.expect(416);
    let head = ask(Vec::new(), "HEAD").await.expect(200);
    assert!(head.body.is_empty() && head.header("content-length") == whole.header("content-length"));

    // Only the owner reads them; operators do not either.
    for who in ["alice", "olga", "carol"] {
        service.get(who, &path).await.expect(404);
        service.get(who, &format!("/v1/jobs/{job}/results")).await.expect(404);
    }
    for (who, status) in [("alice", 200), ("olga", 200), ("mallory", 404)] {
        for part in ["", "/report", "/receipt", "/explain"] {
            service.get(who, &format!("/v1/jobs/{job}{part}")).await.expect(status);
        }
    }
    service.get("alice", &format!("/v1/jobs/{job}/log")).await.expect(404);
    let log = service.get("bob", &format!("/v1/jobs/{job}/log")).await.expect(200);
    assert_eq!(service.get("bob", &format!("/v1/jobs/{job}/log?follow=true")).await.expect(200).body, log.body);

    // The receipt holds, and says what came out.
    let receipt = service.get("bob", &format!("/v1/jobs/{job}/receipt")).await.expect(200).json();
    let decode = |name: &str| BASE64_STANDARD.decode(receipt[name].as_str().expect("a text")).expect("base64");
    let text = receipt["text"].as_str().expect("a text");
    let key = UnparsedPublicKey::new(&ED25519, decode("publicKey"));
    assert!(key.verify(text.as_bytes(), &decode("signature")).is_ok());
    assert!(key.verify(text.replace("bob", "eve").as_bytes(), &[0; 64]).is_err());
    let statement: Value = serde_json::from_str(text).expect("json");
    assert_eq!(statement, receipt["receipt"]);
    let outputs = &statement["outputs"];
    assert_eq!(outputs["state"], "released");
    assert!(outputs["files"].as_array().expect("outputs").iter().any(|file| file["sha256"] == output["sha256"]));
    assert_eq!(service.get("", "/v1/receipt-key").await.expect(200).json()["publicKey"], receipt["publicKey"]);

    let audit = service.get("olga", "/v1/audit?limit=1000").await.expect(200).json();
    let of = |action: &str| {
        let all = audit["items"].as_array().expect("records");
        all.iter().filter(|record| record["action"] == action && record["subject"] == job.as_str()).count()
    };
    // Several reads of one file by one reader on one day are one record; around midnight, there are two.
    assert_eq!(of("job-allowed"), 1);
    assert!((1..=2).contains(&of("result-downloaded")), "{audit}");

    service.delete("carol", &format!("/v1/jobs/{job}")).await.expect(404);
    service.delete("bob", &format!("/v1/jobs/{job}")).await.expect(204);
    service.get("bob", &format!("/v1/jobs/{job}")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_job() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({"allowRawAlgorithm": true})).await;
    let send = |who: &'static str, key: &'static str, code: &'static str| {
        let body = json!({"datasets": [dataset], "algorithm": {"rawcode": code}}).to_string();
        let service = &service;
        async move {
            let headers = [("content-type", "application/json"), ("idempotency-key", key)];
            service.with(who, "POST", "/v1/jobs", &headers, Body::from(body)).await
        }
    };
    let (one, other) = tokio::join!(send("bob", "k1", "a"), send("bob", "k1", "a"));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);
    assert_eq!(one.json()["id"], other.json()["id"]);
    let reused = send("bob", "k1", "b").await.expect(409).json();
    assert!(reused["type"].as_str().expect("a type").ends_with("/idempotency-key-reused"));
    assert_ne!(send("carol", "k1", "a").await.expect(201).json()["id"], one.json()["id"]);
    send("bob", "a b", "a").await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_request_is_checked() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({"allowRawAlgorithm": true})).await;
    let base = json!({"datasets": [dataset], "algorithm": {"rawcode": "x"}});
    for (field, value, expected) in [
        ("environment", json!("nowhere"), "environment"),
        ("profile", json!("other"), "profile"),
        ("limits", json!({"memoryBytes": 1_u64 << 60}), "limits.memoryBytes"),
        ("limits", json!({"memoryBytes": 1}), "limits.memoryBytes"),
        ("limits", json!({"wallMs": 1_u64 << 60}), "limits.wallMs"),
        ("limits", json!({"fuel": 0}), "limits.fuel"),
        ("encryptTo", json!("age1abc"), "encryptTo"),
        ("register", json!({"name": "No"}), "register.name"),
        ("register", json!({"name": "penguins", "title": "x".repeat(1001)}), "register.title"),
        ("parameters", json!([]), "parameters"),
        ("datasets", json!([]), "datasets"),
        ("datasets", json!([dataset, "did:op:nobody"]), "datasets[1]"),
        ("datasets", json!([{"did": dataset, "service": "x"}]), "datasets[0]"),
        ("algorithm", json!({"did": dataset}), "algorithm"),
    ] {
        let mut request = base.clone();
        request[field] = value;
        let answer = service.post("bob", "/v1/jobs", &request).await;
        assert!([422, 404].contains(&answer.status.as_u16()), "{field}: {}", answer.text());
        assert_eq!(answer.json()["field"], expected, "{}", answer.text());
    }
    let container = json!({"datasets": [dataset], "algorithm":
        {"rawcode": "x", "container": {"image": "alpine", "entrypoint": "sh $ALGO"}}});
    let denied = service.post("bob", "/v1/jobs", &container).await.expect(403).json();
    let rules: Vec<&str> =
        denied["rules"].as_array().expect("rules").iter().filter_map(|rule| rule["rule"].as_str()).collect();
    assert_eq!(rules, ["runtime", "environment-runtime"]);
}

/// An image that the operator maps to an interpreter: every way to ask names the interpreter, and no dataset is blamed.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_interpreter_is_named_wherever_a_job_is_denied_for_it() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({"allowRawAlgorithm": true})).await;
    let of = |image: &str| {
        let container = json!({"image": image, "entrypoint": "python3 $ALGO"});
        json!({"datasets": [dataset], "algorithm": {"rawcode": "print(1)", "container": container}})
    };
    let explained = service.post("bob", "/v1/explain", &of("python")).await.expect(200).json();
    let rule = &explained["rules"][0]["rule"];
    assert_eq!((&explained["allowed"], rule), (&json!(false), &json!("environment-interpreter")), "{explained}");
    assert_eq!(explained["rules"].as_array().map(Vec::len), Some(1), "{explained}");
    assert_eq!(explained["missingInterpreter"], "python", "{explained}");
    // What is denied for other reasons has no such field, and neither has what is allowed.
    for request in [of("alpine"), json!({"datasets": [dataset], "algorithm": {"rawcode": "x"}})] {
        let other = service.post("bob", "/v1/explain", &request).await.expect(200).json();
        assert_eq!(other.get("missingInterpreter"), None, "{other}");
    }

    let denied = service.post("bob", "/v1/jobs", &of("python")).await.expect(403).json();
    let detail = denied["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("because the interpreter `python` is not installed here"), "{denied}");
    // By kubectl.
    let refused = service.api.request_job(&account("bob"), "k".to_owned(), of("python")).await.expect_err("a denial");
    assert_eq!((refused.rules.len(), refused.interpreter.as_deref(), refused.passes), (1, Some("python"), false));
    let refused = service.api.request_job(&account("bob"), "l".to_owned(), of("alpine")).await.expect_err("a denial");
    assert_eq!((refused.rules.is_empty(), refused.interpreter), (false, None));
    // On record.
    let audit = service.get("olga", "/v1/audit?limit=1000").await.expect(200).text();
    assert!(audit.contains("missingInterpreter"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_of_ones_own_and_come_in_pages() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({"allowRawAlgorithm": true})).await;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        let request = json!({"datasets": [dataset], "algorithm": {"rawcode": "x"}});
        jobs.push(service.post("bob", "/v1/jobs", &request).await.expect(201).json()["id"].clone());
    }
    let mut found = Vec::new();
    let mut path = "/v1/jobs?limit=2".to_owned();
    loop {
        let page = service.get("bob", &path).await.expect(200).json();
        found.extend(page["items"].as_array().expect("items").iter().map(|job| job["id"].clone()));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/jobs?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found.len(), 5);
    assert!(jobs.iter().all(|job| found.contains(job)));
    let count = |who: &'static str, path: String| {
        let service = &service;
        async move { service.get(who, &path).await.expect(200).json()["items"].as_array().expect("items").len() }
    };
    assert_eq!(count("carol", "/v1/jobs".to_owned()).await, 0);
    assert_eq!(count("olga", "/v1/jobs".to_owned()).await, 5);
    assert_eq!(count("olga", "/v1/jobs?owner=carol".to_owned()).await, 0);
    assert_eq!(count("alice", "/v1/jobs".to_owned()).await, 5);
    assert_eq!(count("alice", "/v1/jobs?owner=alice".to_owned()).await, 0);
    assert_eq!(count("mallory", "/v1/jobs".to_owned()).await, 0);
    assert_eq!(count("alice", format!("/v1/jobs?dataset={dataset}")).await, 5);
    assert_eq!(count("mallory", format!("/v1/jobs?dataset={dataset}")).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_publisher_that_asks_for_a_review_decides() {
    let service = service().await;
    let compute = json!({"allowRawAlgorithm": true, "outputContract": {"review": true}});
    let dataset = service.dataset("reviewed", compute).await;
    let job = service.job(&dataset).await;
    assert_eq!(service.until(&job, "InReview").await["phase"], "InReview");
    let path = format!("/v1/jobs/{job}/review");
    for who in ["bob", "mallory", "carol"] {
        service.get(who, &path).await.expect(404);
        service.post(who, &path, &json!({"verdict": "approve"})).await.expect(404);
    }
    assert_eq!(service.get("bob", &format!("/v1/jobs/{job}/results")).await.expect(200).json()["items"], json!([]));
    let held = service.get("alice", &path).await.expect(200).json();
    assert!(!held["items"].as_array().expect("held").is_empty());
    service.get("alice", &format!("{path}/0")).await.expect(200);
    service.post("alice", &path, &json!({"verdict": "refuse"})).await.expect(422);
    service.post("alice", &path, &json!({"verdict": "refuse", "reason": "too small a group"})).await.expect(200);
    let ended = service.until(&job, "OutputRefused").await;
    assert_eq!(ended["phase"], "OutputRefused");
    assert!(ended["reason"]["text"].as_str().expect("a reason").contains("too small a group"), "{ended}");
    service.post("alice", &path, &json!({"verdict": "approve"})).await.expect(409);
    assert_eq!(
        service.get("bob", &format!("/v1/jobs/{job}/results")).await.expect(200).json()["items"]
            .as_array()
            .map(|items| items.iter().filter(|file| file["kind"] == "output").count()),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn results_can_become_a_dataset_of_ones_own() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({"allowRawAlgorithm": true})).await;
    let sha256 = service.upload("bob", crate::test_service::guest("column-stats.p1.wasm")).await;
    let mut request = json!({"datasets": [dataset], "algorithm": {"upload": sha256}, "register": {"name": "derived"}});
    let job = service.post("bob", "/v1/jobs", &request).await.expect(201).json();
    let job = service.until(job["id"].as_str().expect("an id"), "Finished").await;
    assert_eq!(job["phase"], "Finished", "{job}");
    let derived = service.get("bob", "/v1/datasets?owner=bob&name=derived").await.expect(200).json();
    let derived = derived["items"][0]["did"].as_str().expect("a DID").to_owned();
    for who in ["alice", "carol"] {
        service.get(who, &format!("/v1/datasets/{derived}")).await.expect(404);
    }
    assert_eq!(service.post("bob", "/v1/jobs", &request).await.expect(422).json()["field"], "register.name");
    request = json!({"datasets": [derived], "algorithm": {"upload": sha256}});
    service.post("carol", "/v1/jobs", &request).await.expect(404);
    let second = service.post("bob", "/v1/jobs", &request).await.expect(201).json();
    let second = service.until(second["id"].as_str().expect("an id"), "Finished").await;
    assert!(["Finished", "AlgorithmFailed"].contains(&second["phase"].as_str().expect("a phase")), "{second}");
}
