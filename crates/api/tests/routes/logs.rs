//! Logs: what of them consumers, publishers and Ocean's Providers may read, and when.

use crate::{
    ocean::{OWNER, Ocean},
    test_service::{TestService, program, service},
};
use axum::http::Method;
use serde_json::{Value, json};

/// Prints a line, and fails.
pub(crate) const PRINTS_AND_FAILS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\07\00\00\00")
  (data (i32.const 32) "a line\0a")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    unreachable))"#;

/// A job of bob's that prints a line and fails.
async fn failed(service: &TestService, datasets: &[&str]) -> String {
    let sha256 = service.upload("bob", program(PRINTS_AND_FAILS)).await;
    let request = json!({"datasets": datasets, "algorithm": {"upload": sha256}});
    let job = service.post("bob", "/v1/jobs", &request).await.expect(201).json();
    let job = job["id"].as_str().expect("an id").to_owned();
    let ended = service.until(&job, "AlgorithmFailed").await;
    assert_eq!(ended["phase"], "AlgorithmFailed", "{ended}");
    job
}

fn rules(contract: &Value) -> Value {
    json!({"allowRawAlgorithm": true, "outputContract": contract})
}

async fn is_released(service: &TestService, job: &str) -> bool {
    let audit = service.get("olga", "/v1/audit?limit=1000").await.expect(200).json();
    let mut records = audit["items"].as_array().expect("records").iter();
    records.any(|record| record["action"] == "log-released" && record["subject"] == job && record["actor"] == "alice")
}

/// However the rules withhold it, the consumer is told by whom, and the publisher can see why the algorithm failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_log_is_its_publishers_to_read_and_to_release() {
    let service = service().await;
    for (name, contract) in [("silent", json!({"maxLogBytes": 0})), ("reviewed", json!({"review": true}))] {
        let dataset = service.dataset(name, rules(&contract)).await;
        let job = failed(&service, &[&dataset]).await;
        let path = |part: &str| format!("/v1/jobs/{job}{part}");

        let shown = service.get("bob", &path("")).await.expect(200).json();
        assert_eq!(shown["withheldLog"]["by"], json!([dataset]), "{shown}");
        assert_eq!(shown["withheldLog"]["released"], Value::Null);
        assert!(shown["withheldLog"]["text"].as_str().is_some_and(|text| text.contains(&dataset)), "{shown}");
        for log in [path("/log"), path("/log?follow=true")] {
            assert_eq!(service.get("bob", &log).await.expect(200).text(), "");
        }
        let empty = service.get("bob", &path("/log")).await.expect(200);
        assert_eq!(empty.header("x-cloister-log-withheld"), dataset);
        for who in ["bob", "carol", "mallory", "olga"] {
            service.get(who, &path("/withheld-log")).await.expect(404);
            service.post(who, &path("/withheld-log/release"), &json!(null)).await.expect(404);
        }

        service.get("alice", &path("/log")).await.expect(404);
        let log = service.get("alice", &path("/withheld-log")).await.expect(200);
        assert_eq!(log.text(), "a line\n");
        let receipt = service.get("bob", &path("/receipt")).await.expect(200).json();
        assert!(!is_released(&service, &job).await);
        let released = service.post("alice", &path("/withheld-log/release"), &json!(null)).await.expect(200).json();
        assert!(released["withheldLog"]["released"].is_string(), "{released}");
        assert!(is_released(&service, &job).await);
        let log = service.get("bob", &path("/log")).await.expect(200);
        assert_eq!(log.text(), "a line\n");
        assert!(!log.headers.contains_key("x-cloister-log-withheld"));
        let later = service.get("bob", &path("/receipt")).await.expect(200).json();
        assert_eq!((&receipt["text"], &receipt["signature"]), (&later["text"], &later["signature"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_a_withheld_log_is_on_record() {
    let service = service().await;
    let dataset = service.dataset("silent", rules(&json!({"maxLogBytes": 0}))).await;
    let job = failed(&service, &[&dataset]).await;
    for _ in 0..2 {
        service.get("alice", &format!("/v1/jobs/{job}/withheld-log")).await.expect(200);
    }
    assert_eq!(service.actions().await, ["job-allowed", "result-downloaded"]);
}

/// A log may hold data of every dataset: nobody reads through their own rules what another's keep in.
#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_reads_of_a_withheld_log_what_the_others_datasets_let_out() {
    let service = service().await;
    let hers = service.dataset("hers", rules(&json!({"maxLogBytes": 0}))).await;
    let manifest = |name: &str, bytes: u64| {
        json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": name},
            "spec": {"files": [{"type": "inline", "content": "x"}], "compute": rules(&json!({"maxLogBytes": bytes}))}})
    };
    let mut theirs = Vec::new();
    for (name, bytes) in [("some", 3), ("nothing", 0)] {
        let answer = service.post("mallory", "/v1/datasets", &manifest(name, bytes)).await.expect(201).json();
        theirs.push(answer["did"].as_str().expect("a DID").to_owned());
    }
    let job = failed(&service, &[&hers, &theirs[0]]).await;
    assert_eq!(service.get("alice", &format!("/v1/jobs/{job}/withheld-log")).await.expect(200).text(), "a l");
    service.get("mallory", &format!("/v1/jobs/{job}/withheld-log")).await.expect(404);
    service.post("alice", &format!("/v1/jobs/{job}/withheld-log/release"), &json!(null)).await.expect(200);
    assert_eq!(service.get("bob", &format!("/v1/jobs/{job}/log")).await.expect(200).text(), "a l");

    let job = failed(&service, &[&hers, &theirs[1]]).await;
    for who in ["alice", "mallory"] {
        service.get(who, &format!("/v1/jobs/{job}/withheld-log")).await.expect(404);
    }
    // Neither may read it, and both together may let it out.
    let explained = async || service.get("bob", &format!("/v1/jobs/{job}/explain")).await.expect(200).text();
    for (who, missing) in [("alice", &theirs[1..]), ("mallory", &[])] {
        for repeated in [false, true] {
            let path = format!("/v1/jobs/{job}/withheld-log/release");
            let shown = service.post(who, &path, &json!(null)).await.expect(200).json();
            assert_eq!(shown["withheldLog"]["missing"], json!(missing), "{who} {repeated}: {shown}");
            assert_eq!(shown["withheldLog"]["released"].is_string(), missing.is_empty(), "{shown}");
        }
        let log = service.get("bob", &format!("/v1/jobs/{job}/log")).await.expect(200);
        assert_eq!(log.text(), if missing.is_empty() { "a line\n" } else { "" });
        assert_eq!(log.header("x-cloister-log-withheld"), missing.join(", "));
        let text = explained().await;
        assert_eq!(text.contains("is missing"), !missing.is_empty(), "{text}");
        assert!(missing.iter().all(|did| text.contains(did)), "{text}");
    }
    for who in ["bob", "carol", "olga"] {
        service.post(who, &format!("/v1/jobs/{job}/withheld-log/release"), &json!(null)).await.expect(404);
    }
    let audit = service.get("olga", "/v1/audit?limit=1000").await.expect(200).json();
    let records = audit["items"].as_array().expect("records").iter();
    let releases = records.filter(|record| record["action"] == "log-released" && record["subject"] == job.as_str());
    let actors: Vec<_> = releases.map(|record| &record["actor"]).collect();
    assert_eq!(actors, ["alice", "mallory"], "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_may_leave_is_not_withheld() {
    let service = service().await;
    let dataset = service.dataset("open", rules(&json!({"maxLogBytes": 100}))).await;
    let job = failed(&service, &[&dataset]).await;
    assert_eq!(service.get("bob", &format!("/v1/jobs/{job}")).await.expect(200).json()["withheldLog"], Value::Null);
    assert_eq!(service.get("bob", &format!("/v1/jobs/{job}/log")).await.expect(200).text(), "a line\n");
    let problem = service.get("alice", &format!("/v1/jobs/{job}/withheld-log")).await.expect(409).json();
    assert_eq!(problem["type"], "https://cloister.dev/problems/no-withheld-log");
}

/// Ocean lists the log of a failed algorithm among its results.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_gets_the_log_of_a_failed_algorithm_and_learns_who_withholds_it() {
    let ocean = Ocean::new().await;
    let service = &ocean.service;
    let algorithm = service.algorithm("prints", program(PRINTS_AND_FAILS)).await;
    let fails = async |agreement: &str| {
        let job = ocean.started(&ocean.start_of(&algorithm, 1, agreement)).await;
        service.until_seen("olga", &job, "AlgorithmFailed").await;
        let status = ocean.query(Method::GET, "compute", 1, &[("owner", OWNER), ("jobId", &job)]).await.json();
        (job, status[0].clone())
    };
    let result = async |job: &str, index: &str| {
        ocean.query(Method::GET, "getResult", 1, &[("owner", OWNER), ("jobId", job), ("index", index)]).await
    };
    let (job, status) = fails("0x1").await;
    let listed = json!([{"filename": "algorithm.log", "filesize": 7, "type": "algorithmLog"}]);
    assert_eq!((&status["status"], &status["results"]), (&json!(41), &listed), "{status}");
    let log = result(&job, "0").await.expect(200);
    assert_eq!(log.text(), "a line\n");
    assert_eq!(log.header("content-disposition"), "attachment;filename=algorithm.log");
    result(&job, "1").await.expect(404);

    let silent = json!({"publisherTrustedAlgorithmPublishers": ["*"], "outputContract": {"maxLogBytes": 0}});
    service.put("alice", &format!("/v1/datasets/{}/permissions", ocean.dataset), &silent, "").await.expect(200);
    let (job, status) = fails("0x2").await;
    assert_eq!(status["results"], "", "{status}");
    let reason = status["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("withheld") && reason.contains(&ocean.dataset), "{reason}");
    result(&job, "0").await.expect(404);
    service.post("alice", &format!("/v1/jobs/{job}/withheld-log/release"), &json!(null)).await.expect(200);
    assert_eq!(result(&job, "0").await.expect(200).text(), "a line\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_without_a_contract_keeps_the_log() {
    let service = service().await;
    for (name, compute) in [
        ("absent", json!({"allowRawAlgorithm": true})),
        ("partial", json!({"allowRawAlgorithm": true, "outputContract": {"maxFiles": 3}})),
    ] {
        let dataset = service.dataset(name, compute).await;
        let job = failed(&service, &[&dataset]).await;
        let log = service.get("bob", &format!("/v1/jobs/{job}/log")).await.expect(200);
        assert_eq!((log.text().as_str(), log.header("x-cloister-log-withheld")), ("", dataset.as_str()), "{name}");
        let explained = service.get("bob", &format!("/v1/jobs/{job}/explain")).await.expect(200).json();
        let contract = &explained["terms"]["outputContract"];
        assert_eq!((&contract["maxLogBytes"], &contract["maxBytes"]), (&json!(0), &json!(10_000_000)), "{explained}");
        assert_eq!(service.get("alice", &format!("/v1/jobs/{job}/withheld-log")).await.expect(200).text(), "a line\n");
    }
    // The file can be downloaded anyway.
    let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "both"},
        "spec": {"services": [{"type": "access", "files": [{"type": "inline", "content": "x"}]}]}});
    let both = service.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let both = both["did"].as_str().expect("a DID").to_owned();
    let open = service.dataset("open", rules(&json!({"maxLogBytes": 7}))).await;
    let job = failed(&service, &[&open, &both]).await;
    assert_eq!(service.get("bob", &format!("/v1/jobs/{job}/log")).await.expect(200).text(), "a line\n");
}
