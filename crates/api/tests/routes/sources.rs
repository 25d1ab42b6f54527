//! Sources that fail: what each account is told.

use crate::test_service::{TestService, guest, service};
use serde_json::{Value, json};

/// A source that the policy of the test's engine does not let be asked.
const HOST: &str = "127.0.0.1";

async fn explained(service: &TestService, who: &str, job: &str) -> Value {
    service.get(who, &format!("/v1/jobs/{job}/explain")).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_files_are_kept_is_told_to_their_publisher_and_operators_only() {
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
