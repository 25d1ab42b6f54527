//! Requests that are signed with an Ethereum account: right, changed, old, again.

use crate::scenario::Scenario;
use cloister_tests::service::{Python, Request, Setup};
use serde_json::{Value, json};

/// Signs requests, as any wallet would, with a library that is not ours. Takes and prints JSON.
const SIGN: &str = r#"
import hashlib, json, sys, time
from eth_account import Account
from eth_account.messages import encode_defunct
key = "0x" + "11" * 32
out = {"address": Account.from_key(key).address, "signed": []}
for ask in json.loads(sys.argv[1]):
    nonce = str(time.time_ns() + int(ask.get("shift", 0) * 10**9))
    body = hashlib.sha256(ask["body"].encode()).hexdigest()
    text = "\n".join(["cloister-request", ask["method"], ask["target"], nonce, body])
    signature = "0x" + bytes(Account.sign_message(encode_defunct(text=text), key).signature).hex()
    out["signed"].append(f"Ethereum address={out['address']},nonce={nonce},signature={signature}")
print(json.dumps(out))
"#;

fn signed(asks: &Value) -> (String, Vec<String>) {
    let said: Value = serde_json::from_str(&Python::run(SIGN, &[&asks.to_string()])).expect("JSON");
    let headers = said["signed"].as_array().expect("a list").iter();
    let headers = headers.map(|header| header.as_str().expect("a text").to_owned()).collect();
    (said["address"].as_str().expect("an address").to_owned(), headers)
}

#[test]
fn a_signature_is_valid_for_one_request_and_cannot_be_replayed() {
    let scenario = Scenario::with(Setup::new().set("auth.ethereum_role", "consumer"));
    let service = &scenario.service;
    let body = json!({"label": "mine"}).to_string();
    let get = json!({"method": "GET", "target": "/v1/whoami", "body": ""});
    let (address, headers) = signed(&json!([
        get,
        {"method": "POST", "target": "/v1/keys", "body": body},
        {"method": "POST", "target": "/v1/keys", "body": body},
        {"method": "GET", "target": "/v1/jobs?limit=1", "body": ""},
        {"method": "GET", "target": "/v1/whoami", "body": "", "shift": -3600},
        {"method": "GET", "target": "/v1/whoami", "body": "", "shift": 3600},
        get,
    ]));
    let send = |request: Request, header: &str| request.header("Authorization", header).send();
    let whoami = || service.request("GET", "/v1/whoami");
    let who = send(whoami(), &headers[0]).expect_json(200);
    assert_eq!(who["account"].as_str().map(str::to_lowercase), Some(address.to_lowercase()), "{who:#}");
    assert_eq!((&who["role"], &who["via"]), (&json!("consumer"), &json!("signature")), "{who:#}");
    send(whoami(), &headers[0]).problem(401);

    let keys = || service.request("POST", "/v1/keys").bytes("application/json", body.clone());
    let made = send(keys(), &headers[1]).expect_json(201);
    send(keys(), &headers[1]).problem(401);
    // Another body, another path, another method: another request.
    let other = service.request("POST", "/v1/keys").bytes("application/json", json!({"label": "theirs"}).to_string());
    send(other, &headers[2]).problem(401);
    for target in ["/v1/jobs?limit=2", "/v1/jobs", "/v1/whoami"] {
        send(service.request("GET", target), &headers[3]).problem(401);
    }
    send(service.request("DELETE", &format!("/v1/keys/{}", made["id"].as_str().expect("an id"))), &headers[3])
        .problem(401);
    // None of these used the nonce up.
    let _ = send(service.request("GET", "/v1/jobs?limit=1"), &headers[3]).expect(200);
    // Too old, and ahead of its time.
    for header in &headers[4..6] {
        send(whoami(), header).problem(401);
    }
    // Cut, changed, of another account.
    let good = &headers[6];
    for wrong in [
        good.replace("address=0x", "address=0X0"),
        good.replace(&address, "0x0000000000000000000000000000000000000001"),
        good[..good.len() - 2].to_owned(),
        good.replace(",signature=", ",signature=0x00,signature="),
        good.replace("nonce=", "nonce=0"),
    ] {
        send(whoami(), &wrong).problem(401);
    }
    let _ = send(whoami(), good).expect(200);
    assert!(!service.logs().contains(&good[good.len() - 40..]), "signatures stay out of the log");
}

#[test]
fn used_nonces_are_remembered_across_a_restart() {
    let mut scenario = Scenario::with(Setup::new().set("auth.ethereum_role", "consumer"));
    let (_, headers) = signed(&json!([{"method": "GET", "target": "/v1/whoami", "body": ""}]));
    let send =
        |scenario: &Scenario| scenario.service.request("GET", "/v1/whoami").header("Authorization", &headers[0]).send();
    let _ = send(&scenario).expect(200);
    scenario.service.kill();
    scenario.service.restart();
    send(&scenario).problem(401);
}

#[test]
fn signatures_are_refused_unless_the_operator_turns_them_on() {
    let scenario = Scenario::new();
    let (_, headers) = signed(&json!([{"method": "GET", "target": "/v1/whoami", "body": ""}]));
    scenario.service.request("GET", "/v1/whoami").header("Authorization", &headers[0]).send().problem(401);
}
