//! Keys.

use crate::test_service::{TestService, key_made, now, service, service_with, with_key};
use axum::{body::Body, http::Request};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cloister_api::{Issuer, Settings, new_key};
use cloister_model::{Keyring as _, Role, Timestamp};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

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

/// Tokens and keys made by another library; see `crates/api/src/oidc/tests.rs`.
fn fixtures() -> Value {
    serde_json::from_str(include_str!("../../src/oidc/fixtures.json")).expect("fixtures")
}

/// Takes the tokens of an issuer, which gives its accounts a role or none, and whose keys can be fetched or not.
fn take_tokens(settings: &mut Settings, default_role: Option<Role>, is_there: bool) {
    settings.oidc = vec![Issuer {
        issuer: "https://login.example/realms/research".to_owned(),
        audience: "cloister".to_owned(),
        jwks_url: Some("https://login.example/keys".to_owned()),
        account_claim: "sub".to_owned(),
        account_prefix: "research:".to_owned(),
        role_claim: Some("roles".to_owned()),
        roles: BTreeMap::new(),
        default_role,
        sign_in: None,
    }];
    settings.get_json = Some(Arc::new(move |_| {
        Box::pin(async move {
            let keys = is_there.then(|| json!({"keys": fixtures()["keys"]}));
            keys.ok_or_else(|| "it does not answer".to_owned())
        })
    }));
    // When the tokens were good.
    settings.clock = Arc::new(|| Timestamp::from_unix_ms(1_795_363_289_000));
}

/// The kind of problem with which these credentials are refused.
async fn refusal(service: &TestService, credentials: &str) -> String {
    let answer = service.send(with_key(credentials, "GET", "/v1/whoami", &Value::Null)).await.expect(401).json();
    answer["type"].as_str().expect("a type").rsplit('/').next().expect("a name").to_owned()
}

/// Otherwise, who holds a token for five minutes would have a key for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_made_with_a_token_ends_with_the_token() {
    let service = service_with(|settings| {
        take_tokens(settings, Some(Role::Consumer), true);
        // Longer than the token, so that it is the token that counts.
        settings.key_lifetimes.longest = Duration::from_secs(2000 * 366 * 24 * 60 * 60);
    })
    .await;
    let token = fixtures()["good"]["EdDSA"].as_str().expect("a token").to_owned();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("claims")).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("claims");
    let ends = jiff::Timestamp::from_second(claims["exp"].as_i64().expect("an end")).expect("a moment");
    let make = |credentials: String, body: Value| {
        let request = Request::post("/v1/keys")
            .header("authorization", format!("Bearer {credentials}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        service.send(request.expect("a request"))
    };
    let made = make(token.clone(), json!({})).await.expect(201).json();
    let expires: jiff::Timestamp = made["expires"].as_str().expect("an end").parse().expect("a moment");
    assert_eq!(expires, ends);
    let later = ends + jiff::SignedDuration::from_secs(1);
    let longer = make(token, json!({"expires": later.to_string()})).await.expect(422).json();
    assert_eq!(longer["field"], "expires", "{longer}");
    // What was made of it makes no longer ones, either.
    let child = make(made["key"].as_str().expect("a key").to_owned(), json!({})).await.expect(201).json();
    assert_eq!(child["expires"], made["expires"]);
}

/// A caller with the whole key is told why it does not work any more; one that guesses is told nothing.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_of_a_key_learns_why_it_does_not_work() {
    let service = service().await;
    let made = service.post("bob", "/v1/keys", &json!({})).await.expect(201).json();
    let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
    service.delete("bob", &format!("/v1/keys/{id}")).await.expect(204);
    assert_eq!(refusal(&service, key).await, "key-revoked");
    let account = "bob".parse().expect("an account");
    let old = new_key(account, Role::Consumer, String::new(), Some(Timestamp::from_unix_ms(1)), now()).expect("a key");
    let expired = old.token.expose().clone();
    service.engine.put_key(old.stored, key_made()).await.expect("stored");
    assert_eq!(refusal(&service, &expired).await, "key-expired");
    for whole in [key, &expired] {
        let mut guessed = whole.to_owned();
        let last = guessed.pop().expect("a letter");
        guessed.push(if last == 'A' { 'B' } else { 'A' });
        assert_eq!(refusal(&service, &guessed).await, "unauthenticated");
    }
    assert_eq!(refusal(&service, &format!("clk_0000000000000000_{}", "A".repeat(43))).await, "unauthenticated");
}

/// What is wrong with a token that its issuer has signed, its holder is told. One that somebody made up, or changed, says nothing about
/// itself or the service, but for an issuer that cannot be asked.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_of_a_token_learns_why_it_does_not_work() {
    let fixtures = fixtures();
    let token = |group: &str, name: &str| fixtures[group][name].as_str().expect("a token").to_owned();
    let (good, expired) = (token("good", "ES256"), token("bad", "expired"));
    let unsigned = |token: &str| format!("{}.{}", token.rsplit_once('.').expect("a signature").0, "A".repeat(86));

    let service = service_with(|settings| take_tokens(settings, Some(Role::Consumer), true)).await;
    service.send(with_key(&good, "GET", "/v1/whoami", &Value::Null)).await.expect(200);
    assert_eq!(refusal(&service, &expired).await, "token-expired");
    for made_up in
        [unsigned(&expired), unsigned(&good), token("bad", "a stranger's key"), token("bad", "another issuer")]
    {
        assert_eq!(refusal(&service, &made_up).await, "unauthenticated", "{made_up}");
    }

    let service = service_with(|settings| take_tokens(settings, None, true)).await;
    assert_eq!(refusal(&service, &good).await, "token-role");
    assert_eq!(refusal(&service, &expired).await, "token-expired");
    assert_eq!(refusal(&service, &unsigned(&good)).await, "unauthenticated");

    let service = service_with(|settings| take_tokens(settings, Some(Role::Consumer), false)).await;
    for token in [&good, &expired] {
        assert_eq!(refusal(&service, token).await, "issuer-unavailable");
    }
    assert_eq!(refusal(&service, &token("bad", "another issuer")).await, "unauthenticated");
}
