//! Receipts: one text for every reader, and what each reader can open of it.

use crate::test_service::{TestService, WRITES, program, service};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_model::{Opening, Sha256};
use serde_json::{Value, json};
use std::time::Duration;

/// A job of bob's on one dataset of alice's and one of mallory's, once it has finished, with the two datasets.
async fn finished(service: &TestService) -> (String, [String; 2]) {
    let hers = service.dataset("hers", json!({"allowRawAlgorithm": true})).await;
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "theirs"},
        "spec": {"files": [{"type": "inline", "content": "a,b\n1,2\n"}], "compute": {"allowRawAlgorithm": true}}
    });
    let theirs = service.post("mallory", "/v1/datasets", &manifest).await.expect(201).json();
    let theirs = theirs["did"].as_str().expect("a DID").to_owned();
    let sha256 = service.upload("bob", program(WRITES)).await;
    let request = json!({"datasets": [hers, theirs], "algorithm": {"upload": sha256}, "parameters": {"bins": 20}});
    let job = service.post("bob", "/v1/jobs", &request).await.expect(201).json();
    let job = job["id"].as_str().expect("an id").to_owned();
    assert_eq!(service.until(&job, "Finished").await["phase"], "Finished");
    (job, [hers, theirs])
}

fn verify(receipt: &Value) {
    let decode = |name: &str| BASE64_STANDARD.decode(receipt[name].as_str().expect("a text")).expect("base64");
    let text = receipt["text"].as_str().expect("a text");
    let key = UnparsedPublicKey::new(&ED25519, decode("publicKey"));
    assert!(key.verify(text.as_bytes(), &decode("signature")).is_ok());
    assert!(key.verify(format!("{text} ").as_bytes(), &decode("signature")).is_err());
    assert_eq!(serde_json::from_str::<Value>(text).expect("json"), receipt["receipt"]);
}

fn openings(receipt: &Value) -> Vec<Opening> {
    serde_json::from_value(receipt["openings"].clone()).expect("openings")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_gets_the_same_receipt_and_opens_what_they_may_see() {
    let service = service().await;
    let (job, _) = finished(&service).await;
    let path = format!("/v1/jobs/{job}/receipt");
    let owners = service.get("bob", &path).await.expect(200).json();
    verify(&owners);
    assert_eq!(service.get("", "/v1/receipt-key").await.expect(200).json()["publicKey"], owners["publicKey"]);
    for (who, pointers) in [
        ("bob", vec!["/datasets/0/files", "/datasets/1/files", "/parameters", "/report"]),
        ("olga", vec!["/datasets/0/files", "/datasets/1/files", "/parameters", "/report"]),
        ("alice", vec!["/datasets/0/files"]),
        ("mallory", vec!["/datasets/1/files"]),
    ] {
        let receipt = service.get(who, &path).await.expect(200).json();
        for part in ["text", "signature", "publicKey", "receipt"] {
            assert_eq!(receipt[part], owners[part], "{who}: {part}");
        }
        let mut seen: Vec<String> = openings(&receipt).iter().map(|opening| opening.pointer.clone()).collect();
        seen.sort();
        assert_eq!(seen, pointers, "{who}");
        for opening in openings(&receipt) {
            assert!(opening.opens(&receipt["receipt"]), "{who}: {}", opening.pointer);
            let forged = Opening { value: json!("another"), ..opening };
            assert!(!forged.opens(&receipt["receipt"]), "{who}: {}", forged.pointer);
        }
    }
    for who in ["carol"] {
        service.get(who, &path).await.expect(404);
    }
    assert_eq!(owners["receipt"]["phase"], "Finished");
    let parameters = openings(&owners).into_iter().find(|opening| opening.pointer == "/parameters");
    let digest = Sha256::of(json!({"bins": 20}).to_string().as_bytes());
    assert_eq!(parameters.expect("an opening").value, json!({"sha256": digest}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publishers_receipt_tells_nothing_of_parameters_and_of_others_files() {
    let service = service().await;
    let (job, _) = finished(&service).await;
    let report = service.get("bob", &format!("/v1/jobs/{job}/report")).await.expect(200).json();
    let digest_of = |path: &str| {
        let inputs = report["inputs"].as_array().expect("inputs");
        let file = inputs.iter().find(|file| file["path"].as_str().is_some_and(|found| found.ends_with(path)));
        file.unwrap_or_else(|| panic!("no {path} in {report}"))["sha256"].as_str().expect("a digest").to_owned()
    };
    let parameters = json!({"bins": 20}).to_string();
    let hidden = [
        digest_of("algoCustomData.json"),
        Sha256::of(parameters.as_bytes()).to_string(),
        parameters,
        "bins".to_owned(),
    ];
    let (hers, theirs) =
        (Sha256::of(b"town,age\nKyoto,3\nNara,5\n").to_string(), Sha256::of(b"a,b\n1,2\n").to_string());
    for (who, own, other) in [("alice", &hers, &theirs), ("mallory", &theirs, &hers)] {
        let text = service.get(who, &format!("/v1/jobs/{job}/receipt")).await.expect(200).text();
        assert!(text.contains(own.as_str()), "{who}: {text}");
        assert!(!text.contains(other.as_str()), "{who}: {text}");
        for secret in &hidden {
            assert!(!text.contains(secret), "{who}: {secret}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_outlives_its_job() {
    let service = service().await;
    let (job, _) = finished(&service).await;
    let path = format!("/v1/jobs/{job}/receipt");
    let before = service.get("bob", &path).await.expect(200).json();
    service.delete("bob", &format!("/v1/jobs/{job}")).await.expect(204);
    service.get("bob", &format!("/v1/jobs/{job}")).await.expect(404);
    assert_eq!(service.get("bob", &path).await.expect(200).json(), before);
    assert_eq!(service.get("alice", &path).await.expect(200).json()["text"], before["text"]);
    service.get("carol", &path).await.expect(404);
}

/// Where receipts are sealed together, one is found among many others. An account reads few at once, and waits for itself alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_waits_for_the_share_of_its_reader() {
    let service = service().await;
    let (job, _) = finished(&service).await;
    let path = format!("/v1/jobs/{job}/receipt");
    let _whole_share = service.with_the_whole_share("bob").await;
    let waited = tokio::time::timeout(Duration::from_secs(2), service.get("bob", &path)).await;
    assert!(waited.is_err(), "it did not wait: {waited:?}");
    service.get("alice", &path).await.expect(200);
    service.get("olga", &path).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_not_ended_has_no_receipt() {
    let service = service().await;
    let compute = json!({"allowRawAlgorithm": true, "outputContract": {"review": true}});
    let dataset = service.dataset("reviewed", compute).await;
    let job = service.job(&dataset).await;
    assert_eq!(service.until(&job, "InReview").await["phase"], "InReview");
    let path = format!("/v1/jobs/{job}/receipt");
    let problem = service.get("bob", &path).await.expect(409).json();
    assert_eq!(problem["type"], "https://cloister.dev/problems/not-ended");
    service.get("carol", &path).await.expect(404);
    // The receipt says who approved.
    service.post("alice", &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"})).await.expect(200);
    assert_eq!(service.until(&job, "Finished").await["phase"], "Finished");
    let receipt = service.get("bob", &path).await.expect(200).json();
    let review = &receipt["receipt"]["review"];
    assert_eq!((&review["approved"], &review["by"]), (&json!(true), &json!("alice")));
}
