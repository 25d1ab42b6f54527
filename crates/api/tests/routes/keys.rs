//! Keys.

use crate::test_service::service;
use axum::{body::Body, http::Request};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_works_and_can_be_taken_back() {
    let service = service().await;
    let made = service.post("bob", "/v1/keys", &json!({"label": "laptop"})).await.expect(201).json();
    let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key").to_owned());
    assert!(key.starts_with(&format!("clk_{id}_")));
    let whoami = || {
        Request::get("/v1/whoami")
            .header("authorization", format!("Bearer {key}"))
            .body(Body::empty())
            .expect("a request")
    };
    service.send(whoami()).await.expect(200);
    let list = service.get("bob", "/v1/keys").await.expect(200);
    assert!(!list.text().contains(&key[21..]));
    assert_eq!(list.json()["items"].as_array().expect("keys").len(), 2);
    service.delete("alice", &format!("/v1/keys/{id}")).await.expect(404);
    service.delete("bob", &format!("/v1/keys/{id}")).await.expect(204);
    service.send(whoami()).await.expect(401);
    let audit = service.get("olga", "/v1/audit?limit=1000").await.expect(200);
    assert!(audit.text().contains("key-created") && audit.text().contains("key-revoked"));
    assert!(!audit.text().contains(&key[21..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_no_more_than_its_maker_has() {
    let service = service().await;
    service.post("bob", "/v1/keys", &json!({"role": "publisher"})).await.expect(403);
    service.post("alice", "/v1/keys", &json!({"role": "operator"})).await.expect(403);
    service.post("alice", "/v1/keys", &json!({"account": "bob"})).await.expect(403);
    service.post("olga", "/v1/keys", &json!({"account": "bob", "role": "operator"})).await.expect(201);
    service.post("bob", "/v1/keys", &json!({"expires": "2020-01-01T00:00:00Z"})).await.expect(422);
    service.post("bob", "/v1/keys", &json!({"account": "a b"})).await.expect(422);
    service.post("bob", "/v1/keys", &json!({"label": "x".repeat(101)})).await.expect(422);
    assert!(service.get("olga", "/v1/keys").await.expect(200).json()["items"].as_array().expect("keys").len() >= 6);
}
