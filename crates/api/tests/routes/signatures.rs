//! Requests that an Ethereum account signed.

use crate::{
    test_service::{TestService, service_with},
    wallet::{Wallet, nonce},
};
use axum::{body::Body, http::Request};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_api::KeyLifetimes;
use cloister_model::Role;
use futures_util::StreamExt as _;
use sha2::Digest as _;
use std::time::Duration;

async fn service() -> TestService {
    service_with(|settings| settings.ethereum_role = Some(Role::Consumer)).await
}

fn request(method: &str, path: &str, header: &str, body: &[u8]) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("authorization", header);
    request.body(Body::from(body.to_vec())).expect("a request")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_good_once_and_for_one_request() {
    let (service, wallet) = (service().await, Wallet::new(7));
    let header = wallet.header("GET", "/v1/whoami", &nonce(), b"");
    let answer = service.send(request("GET", "/v1/whoami", &header, b"")).await.expect(200).json();
    assert_eq!(
        (answer["account"].as_str(), answer["via"].as_str()),
        (Some(wallet.address().as_str()), Some("signature"))
    );
    service.send(request("GET", "/v1/whoami", &header, b"")).await.expect(401);
    for (method, path, body) in [
        ("GET", "/v1/jobs", &b""[..]),
        ("GET", "/v1/whoami?x=1", b""),
        ("GET", "/v1/whoami", b"x"),
        ("HEAD", "/v1/whoami", b""),
    ] {
        let header = wallet.header("GET", "/v1/whoami", &nonce(), b"");
        service.send(request(method, path, &header, body)).await.expect(401);
    }
    for old in ["1", "1700000000", "99999999999999999999"] {
        let header = wallet.header("GET", "/v1/whoami", old, b"");
        service.send(request("GET", "/v1/whoami", &header, b"")).await.expect(401);
    }
    let stolen =
        wallet.header("GET", "/v1/whoami", &nonce(), b"").replace(&wallet.address(), &Wallet::new(8).address());
    service.send(request("GET", "/v1/whoami", &stolen, b"")).await.expect(401);
}

/// A signature has no end of its own, so that the operator sets how long a key lasts that it makes.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_made_with_a_signature_does_not_outlive_it_without_end() {
    let lifetimes = |by_signature| KeyLifetimes { by_signature, ..KeyLifetimes::default() };
    let service = service_with(|settings| {
        settings.ethereum_role = Some(Role::Consumer);
        settings.key_lifetimes = lifetimes(Duration::from_secs(3600));
    })
    .await;
    let wallet = Wallet::new(7);
    let make = |body: &'static str| {
        let header = wallet.header("POST", "/v1/keys", &nonce(), body.as_bytes());
        let mut request = request("POST", "/v1/keys", &header, body.as_bytes());
        request.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
        service.send(request)
    };
    let made = make("{}").await.expect(201).json();
    let expires: jiff::Timestamp = made["expires"].as_str().expect("an end").parse().expect("a moment");
    let left = expires.duration_since(jiff::Timestamp::now());
    assert!(left <= jiff::SignedDuration::from_hours(1) && left > jiff::SignedDuration::from_mins(30), "{left}");
    let longer = make(r#"{"expires": "2100-01-01T00:00:00Z"}"#).await.expect(422).json();
    assert_eq!(longer["field"], "expires");
    // Nor does a key that such a key makes.
    let bearer = format!("Bearer {}", made["key"].as_str().expect("a key"));
    let mut again = request("POST", "/v1/keys", &bearer, b"{}");
    again.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
    assert_eq!(service.send(again).await.expect(201).json()["expires"], made["expires"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_checked_while_it_arrives() {
    let (service, wallet) = (service().await, Wallet::new(7));
    let body = vec![5_u8; 6 * 1024 * 1024];
    let digest = |body: &[u8]| format!("sha-256=:{}:", BASE64_STANDARD.encode(sha2::Sha256::digest(body)));
    let send = |claimed: String, sent: Vec<u8>| {
        let header = wallet.header("POST", "/v1/uploads", &nonce(), &body);
        let mut request = request("POST", "/v1/uploads", &header, &sent);
        if !claimed.is_empty() {
            request.headers_mut().insert("content-digest", claimed.parse().expect("a value"));
        }
        service.send(request)
    };
    send(digest(&body), body.clone()).await.expect(201);
    send(digest(&body), b"another".to_vec()).await.expect(400);
    send(digest(b"another"), b"another".to_vec()).await.expect(401);
    // Without the header it is held in memory, and that has a bound.
    let refused = send(String::new(), body.clone()).await.expect(413);
    assert!(refused.text().contains("Content-Digest"), "{}", refused.text());
}

/// A stranger can sign with a key pair of a moment ago, and can send anything as a body.
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_body_is_not_read_before_the_signature_is_checked() {
    let (service, wallet) = (service().await, Wallet::new(7));
    let polled = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = polled.clone();
    let endless = futures_util::stream::repeat_with(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok::<_, std::convert::Infallible>(vec![b' '; 64 * 1024])
    });
    let header = wallet.header("POST", "/v1/jobs", &nonce(), b"");
    let request = Request::post("/v1/jobs").header("authorization", &header);
    let request = request.header("content-type", "application/json").header("content-length", "3000000");
    service.send(request.body(Body::from_stream(endless.take(48))).expect("a request")).await.expect(413);
    assert_eq!(polled.load(std::sync::atomic::Ordering::SeqCst), 0, "the announced size was enough to refuse it");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_role_signatures_are_refused() {
    let service = service_with(|_| {}).await;
    let header = Wallet::new(7).header("GET", "/v1/whoami", &nonce(), b"");
    service.send(request("GET", "/v1/whoami", &header, b"")).await.expect(401);
}
