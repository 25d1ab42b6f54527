//! How much one account may have, what it is told when it has that much, and how it makes room.

use crate::{
    test_service::{TestService, guest, now, service, service_with},
    wallet::{Wallet, nonce},
};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use cloister_api::{Quotas, Settings};
use cloister_model::{Role, Timestamp};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

async fn with_quotas(quotas: Quotas) -> TestService {
    service_with(|settings| settings.quotas = quotas).await
}

async fn send(service: &TestService, who: &str, bytes: Vec<u8>, status: u16) -> Value {
    service.with(who, "POST", "/v1/uploads", &[], Body::from(bytes)).await.expect(status).json()
}

fn is_quota(problem: &Value, name: &str, limit: u64, used: u64) {
    assert_eq!(problem["type"], "https://cloister.dev/problems/quota-exceeded", "{problem:#}");
    assert_eq!(problem["quota"], json!({"name": name, "limit": limit, "used": used}), "{problem:#}");
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains(&limit.to_string()) && detail.contains(&used.to_string()), "{detail}");
}

fn dataset_of(name: &str, source: &Value) -> Value {
    json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": name},
        "spec": {"files": [source], "compute": {"allowRawAlgorithm": true}}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_of_uploads_says_so_and_deleting_makes_room() {
    let service = with_quotas(Quotas { upload_bytes: 100, ..Quotas::default() }).await;
    let first = send(&service, "bob", vec![1; 60], 201).await["sha256"].clone();
    let problem = send(&service, "bob", vec![2; 60], 409).await;
    is_quota(&problem, "upload-bytes", 100, 60);
    assert!(problem["detail"].as_str().expect("a text").contains("delete uploads"), "{problem:#}");
    // One that can never fit is refused before it is whole.
    let endless = futures_util::stream::iter((0..).map(|_| Ok::<_, std::io::Error>(vec![7; 50])));
    let endless = service.with("bob", "POST", "/v1/uploads", &[], Body::from_stream(endless)).await;
    is_quota(&endless.expect(409).json(), "upload-bytes", 100, 60);
    send(&service, "carol", vec![2; 60], 201).await;
    send(&service, "bob", vec![1; 60], 201).await;

    let list = service.get("bob", "/v1/uploads").await.expect(200).json();
    assert_eq!((list["usedBytes"].as_u64(), list["limitBytes"].as_u64()), (Some(60), Some(100)), "{list:#}");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert_eq!((&list["items"][0]["sha256"], &list["items"][0]["bytes"]), (&first, &json!(60)));
    let path = format!("/v1/uploads/{}", first.as_str().expect("a digest"));
    service.delete("carol", &path).await.expect(404);
    service.delete("bob", &path).await.expect(204);
    service.delete("bob", &path).await.expect(404);
    send(&service, "bob", vec![2; 60], 201).await;
    let list = service.get("bob", "/v1/uploads").await.expect(200).json();
    assert_eq!(list["usedBytes"], 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_listed_page_after_page() {
    let service = service().await;
    for byte in 0..5 {
        send(&service, "bob", vec![byte; 3], 201).await;
    }
    send(&service, "carol", vec![9; 3], 201).await;
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = service.get("bob", &format!("/v1/uploads?limit=2{after}")).await.expect(200).json();
        found.extend(page["items"].as_array().expect("items").iter().map(|item| item["sha256"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), distinct.len()), (5, 5));
    for wrong in ["?limit=0", "?limit=1001", "?after=x", "?owner=bob"] {
        let status = service.get("bob", &format!("/v1/uploads{wrong}")).await.status;
        assert!(status == StatusCode::UNPROCESSABLE_ENTITY || status == StatusCode::BAD_REQUEST, "{wrong}: {status}");
    }
}

/// What a published asset or an unfinished job names cannot be deleted, and the answer says what that is.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_needed_stays() {
    let service = service().await;
    let sha256 = service.upload("alice", b"town,age\nKyoto,3\n".to_vec()).await;
    let manifest = dataset_of("towns", &json!({"type": "upload", "sha256": sha256}));
    let dataset = service.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let did = dataset["did"].as_str().expect("a DID");
    let path = format!("/v1/uploads/{sha256}");
    let problem = service.delete("alice", &path).await.expect(409).json();
    assert_eq!(problem["type"], "https://cloister.dev/problems/upload-in-use", "{problem:#}");
    assert!(problem["detail"].as_str().expect("a text").contains(did), "{problem:#}");
    // Another account's upload of the same file is another upload.
    assert_eq!(service.upload("bob", b"town,age\nKyoto,3\n".to_vec()).await, sha256);
    service.delete("bob", &path).await.expect(204);
    service.delete("alice", &format!("/v1/datasets/{did}")).await.expect(204);
    service.delete("alice", &path).await.expect(204);

    let compute = json!({"allowRawAlgorithm": true, "outputContract": {"review": true}});
    let reviewed = service.dataset("reviewed", compute).await;
    let job = service.job(&reviewed).await;
    let program = service.upload("bob", guest("column-stats.p1.wasm")).await;
    service.until(&job, "InReview").await;
    let path = format!("/v1/uploads/{program}");
    let problem = service.delete("bob", &path).await.expect(409).json();
    assert!(problem["detail"].as_str().expect("a text").contains(&job), "{problem:#}");
    service.post("bob", &format!("/v1/jobs/{job}/stop"), &json!({})).await.expect(202);
    service.until(&job, "Stopped").await;
    service.delete("bob", &path).await.expect(204);
}

/// A clock that a test sets.
fn clock(settings: &mut Settings) -> Arc<AtomicU64> {
    let time = Arc::new(AtomicU64::new(now().unix_ms()));
    let read = Arc::clone(&time);
    settings.clock = Arc::new(move || Timestamp::from_unix_ms(read.load(Ordering::Relaxed)));
    time
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_expire_unless_they_are_needed_or_sent_again() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let mut time = None;
    let service = service_with(|settings| {
        settings.quotas.upload_keep = Duration::from_millis(30 * DAY_MS);
        time = Some(clock(settings));
    })
    .await;
    let time = time.expect("a clock");
    let forward = |days| time.fetch_add(days * DAY_MS, Ordering::Relaxed);
    let [unneeded, needed] = [1, 2].map(|byte| vec![byte; 5]);
    let again = vec![3; 5];
    let mut digests = Vec::new();
    for bytes in [&unneeded, &needed, &again] {
        digests.push(service.upload("alice", bytes.clone()).await);
    }
    service.upload("bob", unneeded.clone()).await;
    let manifest = dataset_of("needed", &json!({"type": "upload", "sha256": digests[1]}));
    service.post("alice", "/v1/datasets", &manifest).await.expect(201);
    forward(29);
    assert_eq!(service.api.remove_expired_uploads().await, Ok(0));
    service.upload("alice", again.clone()).await;
    forward(2);
    assert_eq!(service.api.remove_expired_uploads().await, Ok(2), "alice's and bob's");
    let left = service.get("alice", "/v1/uploads").await.expect(200).json();
    let mut left: Vec<&str> = left["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["sha256"].as_str().expect("a digest"))
        .collect();
    left.sort_unstable();
    let mut expected = vec![digests[1].as_str(), digests[2].as_str()];
    expected.sort_unstable();
    assert_eq!(left, expected);
    forward(30);
    assert_eq!(service.api.remove_expired_uploads().await, Ok(1));
    assert_eq!(service.api.remove_expired_uploads().await, Ok(0));
    assert_eq!(service.get("alice", "/v1/uploads").await.expect(200).json()["items"][0]["sha256"], digests[1]);
}

async fn send_signed(service: &TestService, wallet: &Wallet, bytes: usize) -> (u16, Value) {
    let body = vec![5; bytes];
    let header = wallet.header("POST", "/v1/uploads", &nonce(), &body);
    let request = Request::post("/v1/uploads").header("authorization", header);
    let answer = service.send(request.body(Body::from(body)).expect("a request")).await;
    (answer.status.as_u16(), answer.json())
}

/// Anyone can make any number of Ethereum accounts.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_may_upload_little_until_the_operator_names_it() {
    let [stranger, known, given] = [21, 22, 23].map(Wallet::new);
    let service = service_with(|settings| {
        settings.ethereum_role = Some(Role::Consumer);
        settings.ethereum_roles = [(known.address(), Role::Consumer)].into();
        settings.quotas.stranger_upload_bytes = 50;
        settings.quotas.upload_bytes_of = [(given.address(), 70)].into();
    })
    .await;
    let (status, problem) = send_signed(&service, &stranger, 51).await;
    assert_eq!(status, 409);
    is_quota(&problem, "upload-bytes", 50, 0);
    assert_eq!(send_signed(&service, &stranger, 50).await.0, 201);
    assert_eq!(send_signed(&service, &given, 71).await.0, 409);
    assert_eq!(send_signed(&service, &given, 70).await.0, 201);
    assert_eq!(send_signed(&service, &known, 5000).await.0, 201);
}

/// Key pair after key pair, strangers fill what all of them may have together, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_together_upload_so_much_and_known_accounts_are_not_held_up() {
    let service = service_with(|settings| {
        settings.ethereum_role = Some(Role::Consumer);
        settings.quotas.strangers_upload_bytes = 3 * 4096;
    })
    .await;
    for number in 31..34 {
        assert_eq!(send_signed(&service, &Wallet::new(number), 100).await.0, 201);
    }
    let (status, problem) = send_signed(&service, &Wallet::new(34), 100).await;
    assert_eq!(status, 409);
    is_quota(&problem, "stranger-upload-bytes", 3 * 4096, 3 * 4096);
    send(&service, "bob", vec![1; 100], 201).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_so_many_assets() {
    let service = with_quotas(Quotas { assets: 2, ..Quotas::default() }).await;
    let inline = json!({"type": "inline", "content": "x"});
    for name in ["one", "two"] {
        service.post("alice", "/v1/datasets", &dataset_of(name, &inline)).await.expect(201);
    }
    let third = dataset_of("three", &inline);
    is_quota(&service.post("alice", "/v1/datasets", &third).await.expect(409).json(), "assets", 2, 2);
    // A change is no new asset, and another account has its own.
    let changed = dataset_of("one", &json!({"type": "inline", "content": "y"}));
    service.post("alice", "/v1/datasets", &changed).await.expect(200);
    let did = service.post("mallory", "/v1/datasets", &third).await.expect(201).json()["did"].clone();
    // A withdrawn one counts, and makes room for one of its name.
    service.delete("mallory", &format!("/v1/datasets/{}", did.as_str().expect("a DID"))).await.expect(204);
    service.post("mallory", "/v1/datasets", &third).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn publications_at_once_do_not_exceed_the_number_of_assets() {
    let service = with_quotas(Quotas { assets: 3, ..Quotas::default() }).await;
    let manifests: Vec<_> =
        (0..12).map(|n| dataset_of(&format!("d{n}"), &json!({"type": "inline", "content": "x"}))).collect();
    let answers =
        futures_util::future::join_all(manifests.iter().map(|m| service.post("alice", "/v1/datasets", m))).await;
    let published = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(published, 3);
    for refused in answers.iter().filter(|answer| answer.status != StatusCode::CREATED) {
        is_quota(&refused.json(), "assets", 3, 3);
    }
}

/// What a job would register counts, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_would_register_one_asset_too_many_is_refused() {
    let service = with_quotas(Quotas { assets: 1, ..Quotas::default() }).await;
    let dataset = service.dataset("open", json!({"allowRawAlgorithm": true})).await;
    let sha256 = service.upload("alice", guest("column-stats.p1.wasm")).await;
    let mut request = json!({"datasets": [dataset], "algorithm": {"upload": sha256}, "register": {"name": "derived"}});
    is_quota(&service.post("alice", "/v1/jobs", &request).await.expect(409).json(), "assets", 1, 1);
    request.as_object_mut().expect("an object").remove("register");
    service.post("alice", "/v1/jobs", &request).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_keeps_too_many_results_starts_no_job_until_it_removes_some() {
    let service = with_quotas(Quotas { result_bytes: 1, ..Quotas::default() }).await;
    let dataset = service.dataset("open", json!({"allowRawAlgorithm": true})).await;
    let job = service.job(&dataset).await;
    service.until(&job, "Finished").await;
    let sha256 = service.upload("bob", guest("column-stats.p1.wasm")).await;
    let request = json!({"datasets": [dataset], "algorithm": {"upload": sha256}});
    let problem = service.post("bob", "/v1/jobs", &request).await.expect(409).json();
    let used = problem["quota"]["used"].as_u64().expect("a number");
    assert!(used > 1, "{problem:#}");
    is_quota(&problem, "result-bytes", 1, used);
    // Other accounts are not held up.
    let sha256 = service.upload("carol", guest("column-stats.p1.wasm")).await;
    let others = json!({"datasets": [dataset], "algorithm": {"upload": sha256}});
    service.post("carol", "/v1/jobs", &others).await.expect(201);
    service.delete("bob", &format!("/v1/jobs/{job}")).await.expect(204);
    service.post("bob", "/v1/jobs", &request).await.expect(201);
}
