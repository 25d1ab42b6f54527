//! Sources that fail: what each account is told.

use crate::test_service::{TestService, guest, service};
use serde_json::{Value, json};
use std::net::TcpListener;

/// A source that the policy of the test's engine does not let be asked.
const HOST: &str = "127.0.0.1";

async fn explained(service: &TestService, who: &str, job: &str) -> Value {
    service.get(who, &format!("/v1/jobs/{job}/explain")).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_publisher_and_operators_see_where_files_are_kept() {
    let service = service().await;
    let spec = |name: &str, files: Value, service: Value| {
        json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": name},
            "spec": {"files": files, "compute": service}})
    };
    let kept = json!([{"type": "url", "url": format!("http://{HOST}:1/SECRET")}]);
    let rules = json!({"allowRawAlgorithm": true});
    let hers =
        service.post("alice", "/v1/datasets", &spec("kept", kept.clone(), rules.clone())).await.expect(201).json();
    let inline = json!([{"type": "inline", "content": "x"}]);
    let theirs = service.post("mallory", "/v1/datasets", &spec("other", inline, rules)).await.expect(201).json();
    let program = service.upload("bob", guest("column-stats.p1.wasm")).await;
    let request = json!({"datasets": [hers["did"], theirs["did"]], "algorithm": {"upload": program}});
    let job = service.post("bob", "/v1/jobs", &request).await.expect(201).json();
    let job = job["id"].as_str().expect("an id").to_owned();
    let ended = service.until(&job, "DataProvisioningFailed").await;
    assert_eq!((&ended["phase"], &ended["reason"]["fault"]), (&json!("DataProvisioningFailed"), &json!("publisher")));

    for (who, knows) in [("bob", false), ("mallory", false), ("alice", true), ("olga", true)] {
        for part in ["", "/explain", "/receipt", "/events"] {
            let told = service.get(who, &format!("/v1/jobs/{job}{part}")).await.expect(200).text();
            assert!(!told.contains("SECRET"), "{who} {part}: {told}");
            assert_eq!(told.contains(HOST), knows && part == "/explain", "{who} {part}: {told}");
        }
        let told = explained(&service, who, &job).await;
        assert!(told["text"].as_str().is_some_and(|text| text.contains("ask its publisher")), "{told}");
        assert_eq!(told["detail"].is_string(), knows, "{who}: {told}");
    }
    // Each publisher reads of the last job that needed the own dataset, and of nothing that another one's gave.
    let seen = |who: &'static str, did: &Value| {
        let path = format!("/v1/datasets/{}/check", did.as_str().expect("a DID"));
        let service = &service;
        async move { service.get(who, &path).await.expect(200).json() }
    };
    let found = seen("alice", &hers["did"]).await;
    assert_eq!((&found["job"]["id"], &found["check"]), (&json!(job), &Value::Null), "{found}");
    assert!(found["job"]["problem"].as_str().is_some_and(|text| text.contains(HOST)), "{found}");
    assert_eq!(seen("mallory", &theirs["did"]).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_fails_tells_its_reader_nothing_of_where_the_file_is_kept() {
    let service = service().await;
    let files = json!([{"type": "url", "url": format!("http://{HOST}:1/SECRET")}]);
    let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "open"},
        "spec": {"services": [{"id": "open", "type": "access", "files": files}]}});
    let did = service.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let did = did["did"].as_str().expect("a DID").to_owned();
    for (who, knows) in [("bob", false), ("alice", true), ("olga", true)] {
        let told = service.get(who, &format!("/v1/datasets/{did}/files/0")).await.expect(502).text();
        assert_eq!(told.contains(HOST), knows, "{who}: {told}");
        assert!(!told.contains("SECRET"), "{told}");
    }
}

/// An interpreter would get the first file, and the others would be missing without a word.
#[tokio::test(flavor = "multi_thread")]
async fn an_algorithm_has_one_file() {
    let service = service().await;
    let file = |text: &str| json!({"type": "inline", "content": text});
    let manifest = |files: Value| {
        json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Algorithm", "metadata": {"name": "parts"},
            "spec": {"files": files}})
    };
    let two = manifest(json!([file("print(1)"), file("print(2)")]));
    let problem = service.post("mallory", "/v1/algorithms", &two).await.expect(422).json();
    assert_eq!(problem["field"], "spec.files", "{problem}");
    service.post("mallory", "/v1/algorithms", &manifest(json!([file("print(1)")]))).await.expect(201);
    // A dataset has as many as it likes.
    let dataset = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "parts"},
        "spec": {"files": [file("1"), file("2")]}});
    service.post("mallory", "/v1/datasets", &dataset).await.expect(201);
}

/// A look at sources asks nothing that a job may not ask, and tells nobody but the publisher.
#[tokio::test(flavor = "multi_thread")]
async fn sources_are_checked_for_their_publisher_and_by_the_rules_of_jobs() {
    let service = service().await;
    let listener = TcpListener::bind((HOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let kept = json!([
        {"type": "inline", "content": "a,b\n"},
        {"type": "url", "url": format!("http://{HOST}:{port}/SECRET")},
        {"type": "inline", "content": "other", "sha256": "0".repeat(64)},
    ]);
    let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "kept"},
        "spec": {"files": kept, "compute": {"allowRawAlgorithm": true}}});
    let did = service.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let path = format!("/v1/datasets/{}/check", did["did"].as_str().expect("a DID"));
    let checked = service.post("alice", &path, &json!({})).await.expect(200);
    assert!(!checked.text().contains("SECRET"), "{}", checked.text());
    let checked = checked.json();
    assert_eq!(checked["pending"], false);
    let of = |n: usize| &checked["sources"][n];
    assert_eq!((&of(0)["state"], &of(0)["bytes"]), (&json!("found"), &json!(4)));
    assert_eq!((&of(1)["state"], &of(1)["field"]), (&json!("failed"), &json!("services[0].files[1]")));
    assert!(of(1)["problem"].as_str().is_some_and(|text| text.starts_with("not allowed here")), "{checked}");
    assert!(of(2)["problem"].as_str().is_some_and(|text| text.starts_with("not the agreed content")), "{checked}");
    // What came of it is kept, with the revision that was looked at.
    let kept = service.get("alice", &path).await.expect(200);
    assert!(!kept.text().contains("SECRET"), "{}", kept.text());
    let kept = kept.json();
    assert_eq!((&kept["check"]["sources"], &kept["check"]["others"]), (&checked["sources"], &json!(0)), "{kept}");
    assert_eq!((&kept["check"]["revision"], &kept["check"]["current"]), (&json!(1), &json!(true)), "{kept}");
    let permissions = path.replace("/check", "/permissions");
    service.put("alice", &permissions, &json!({"allowRawAlgorithm": false}), "").await.expect(200);
    let later = service.get("alice", &path).await.expect(200).json();
    assert_eq!((&later["check"]["at"], &later["check"]["current"]), (&kept["check"]["at"], &json!(false)), "{later}");
    listener.set_nonblocking(true).expect("set");
    assert_eq!(listener.accept().expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
    for who in ["bob", "mallory", "olga"] {
        service.post(who, &path, &json!({})).await.expect(404);
        service.get(who, &path).await.expect(404);
    }
    service.delete("alice", path.trim_end_matches("/check")).await.expect(204);
    service.post("alice", &path, &json!({})).await.expect(404);
}
