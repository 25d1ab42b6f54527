//! Requests without credentials, and of accounts that have nothing to do with a thing, learn nothing.

use crate::test_service::{TestService, service, service_with};
use axum::{body::Body, http::Request};
use serde_json::{Value, json};

const UNKNOWN: &str = "00000000000000000000000000000000";

/// Every route that needs credentials, with a body where it takes one.
fn routes(openapi: &Value) -> Vec<(String, String, bool)> {
    let mut routes = Vec::new();
    for (path, item) in openapi["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            if operation["security"].is_null() {
                routes.push((method.to_uppercase(), path.clone(), !operation["requestBody"].is_null()));
            }
        }
    }
    routes
}

fn filled(path: &str, job: &str, did: &str) -> String {
    let id = if path.starts_with("/v1/keys") { "0123456789abcdef" } else { job };
    path.replace("{id}", id)
        .replace("{did}", did)
        .replace("{algorithm}", did)
        .replace("{index}", "0")
        .replace("{n}", "0")
}

/// The same key with the first character of its secret exchanged. The last one would not do: it is `A` in one key of 16.
fn with_another_secret(key: &str) -> String {
    let (name, secret) = key.strip_prefix("clk_").and_then(|rest| rest.split_once('_')).expect("a key");
    let first = if secret.starts_with('A') { 'B' } else { 'A' };
    format!("clk_{name}_{first}{}", &secret[1..])
}

async fn openapi(service: &TestService) -> Value {
    service.get("", "/openapi.json").await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_works_without_credentials() {
    let service = service().await;
    let routes = routes(&openapi(&service).await);
    assert!(routes.len() >= 35, "{}", routes.len());
    let wrong = format!("Bearer {}", with_another_secret(service.key("bob")));
    for (method, path, _) in &routes {
        let path = filled(path, UNKNOWN, "did:op:a");
        for credentials in [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer clk_0123456789abcdef_0123456789012345678901234567890123456789012"),
            Some("Bearer eyJhbGciOiJub25lIn0.e30."),
            Some("Basic Ym9iOmJvYg=="),
            Some("Ethereum address=0x0,nonce=1,signature=0x0"),
            Some("\u{ff}"),
            Some(&wrong),
        ] {
            let mut request = Request::builder().method(method.as_str()).uri(&path);
            if let Some(credentials) = credentials {
                request = request.header("authorization", credentials);
            }
            let answer = service.send(request.body(Body::empty()).expect("a request")).await;
            assert_eq!(answer.status, 401, "{method} {path} {credentials:?}: {}", answer.text());
            assert!(answer.header("www-authenticate").contains("Bearer"), "{method} {path}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
}

/// To an account that may not see a thing, it looks as if it did not exist, letter for letter.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_not_there() {
    let service = service().await;
    let dataset = service.dataset("hidden", json!({"allowRawAlgorithm": true})).await;
    let job = service.job(&dataset).await;
    service.until(&job, "Finished").await;
    // From now on the dataset is alice's and bob's.
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "hidden"},
        "spec": {
            "files": [{"type": "inline", "content": "a"}], "compute": {"allowRawAlgorithm": true},
            "credentials": {"allow": [{"type": "address", "values": ["alice", "bob"]}]}
        }
    });
    service.post("alice", "/v1/datasets", &manifest).await.expect(200);
    service.get("bob", &format!("/v1/datasets/{dataset}")).await.expect(200);

    let body = |path: &str| match path {
        "/v1/jobs/{id}/review" => json!({"verdict": "approve"}),
        "/v1/datasets/{did}/allow" => {
            json!({"algorithm": "did:op:x", "filesChecksum": "ab".repeat(32), "containerSectionChecksum": "ab".repeat(32)})
        }
        _ => json!({}),
    };
    let mut seen = 0;
    for (method, path, has_body) in routes(&openapi(&service).await) {
        if !path.contains('{') {
            continue;
        }
        let ask = async |path: String, template: &str| {
            let headers = [("content-type", "application/json")];
            let content = if has_body { Body::from(body(template).to_string()) } else { Body::empty() };
            service.with("carol", &method, &path, if has_body { &headers } else { &[] }, content).await
        };
        let _ = service.observed.calls();
        let there = ask(filled(&path, &job, &dataset), &path).await;
        let work = service.observed.calls();
        let not_there = ask(filled(&path, UNKNOWN, "did:op:nobody"), &path).await;
        assert_eq!(work, service.observed.calls(), "{method} {path}: the time that it takes must not tell either");
        assert_eq!(there.status, 404, "{method} {path}: {}", there.text());
        assert_eq!((there.status, &there.body), (not_there.status, &not_there.body), "{method} {path}");
        let names = |answer: &crate::test_service::Answer| -> Vec<String> {
            answer.headers.keys().map(ToString::to_string).collect()
        };
        assert_eq!(names(&there), names(&not_there), "{method} {path}");
        seen += 1;
    }
    assert!(seen >= 20, "{seen}");

    // Nor does asking for a job tell.
    let request = |did: &str| json!({"datasets": [did], "algorithm": {"rawcode": "x"}});
    for path in ["/v1/jobs", "/v1/explain"] {
        let _ = service.observed.calls();
        let there = service.post("carol", path, &request(&dataset)).await.expect(404);
        let work = service.observed.calls();
        let not_there = service.post("carol", path, &request("did:op:nobody")).await.expect(404);
        assert_eq!(work, service.observed.calls(), "{path}");
        assert_eq!(there.body, not_there.body);
        assert_eq!(there.json()["field"], "datasets[0]");
    }
    // Nor do lists.
    for path in
        ["/v1/jobs", "/v1/datasets", &format!("/v1/jobs?dataset={dataset}"), "/v1/datasets?name=hidden&owner=alice"]
    {
        assert_eq!(service.get("carol", path).await.expect(200).json()["items"], json!([]), "{path}");
    }
}

/// Where the rest of a list begins is something that a list says, too.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_a_list_names_or_counts_what_is_hidden() {
    let service = service().await;
    let mut seen = vec![service.dataset("one", json!({})).await, service.dataset("other", json!({})).await];
    seen.sort();
    for number in 0..66 {
        let manifest = json!({
            "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": format!("hidden-{number}")},
            "spec": {
                "files": [{"type": "inline", "content": "a"}],
                "credentials": {"allow": [{"type": "address", "values": ["alice"]}]}
            }
        });
        service.post("alice", "/v1/datasets", &manifest).await.expect(201);
    }
    let (mut found, mut cursor): (Vec<String>, _) = (Vec::new(), String::new());
    loop {
        let page = service.get("carol", &format!("/v1/datasets?limit=1{cursor}")).await.expect(200).json();
        let items = page["items"].as_array().expect("a list");
        assert_eq!(items.len(), 1, "a page is full, however many hidden ones come before: {page}");
        found.push(items[0]["did"].as_str().expect("a DID").to_owned());
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(found.last().map(String::as_str), Some(next), "it names what the page has");
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, seen);
    let beyond = service.get("carol", &format!("/v1/datasets?limit=1&cursor={}", seen[1])).await.expect(200).json();
    assert_eq!(beyond, json!({"items": [], "next": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_kept() {
    let service = service().await;
    for path in ["/v1/datasets", "/v1/algorithms"] {
        service.post("bob", path, &json!({})).await.expect(403);
    }
    service.get("bob", "/v1/audit").await.expect(403);
    service.get("bob", "/v1/jobs?owner=alice").await.expect(403);
    service.get("bob", "/v1/keys?account=alice").await.expect(403);
    assert_eq!(
        service.get("bob", "/v1/whoami").await.expect(200).json(),
        json!({"account": "bob", "role": "consumer", "via": "key"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted() {
    let service = service_with(|settings| {
        settings.rates.account_per_second = 1;
        settings.rates.account_burst = 3;
    })
    .await;
    for _ in 0..3 {
        service.get("bob", "/v1/whoami").await.expect(200);
    }
    let answer = service.get("bob", "/v1/whoami").await.expect(429);
    assert!(answer.header("retry-after").parse::<u64>().expect("seconds") >= 1);
    service.get("carol", "/v1/whoami").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_meant_is_refused_in_the_right_way() {
    let service = service().await;
    let json = [("content-type", "application/json")];
    let send = |method, path, headers, body: &'static str| service.with("bob", method, path, headers, Body::from(body));
    let answer = send("PATCH", "/v1/jobs", &json, "").await.expect(405);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    send("POST", "/v1/jobs", &[], "{}").await.expect(415);
    send("POST", "/v1/jobs", &json, "{").await.expect(400);
    send("POST", "/v1/jobs", &json, "{}").await.expect(422);
    let unknown = send("POST", "/v1/jobs", &json, r#"{"dataset": []}"#).await.expect(422).json();
    assert_eq!(unknown["field"], "dataset");
    send("GET", "/v1/jobs?limit=0", &[], "").await.expect(422);
    send("GET", "/v1/jobs?limit=x", &[], "").await.expect(422);
    send("GET", "/v1/jobs?more=1", &[], "").await.expect(422);
    send("GET", "/v1/jobs?cursor=1-2", &[], "").await.expect(422);
    send("GET", "/v1/jobs/..%2f..%2fetc", &[], "").await.expect(404);
    send("GET", "/v2", &[], "").await.expect(404);
    let large = "x".repeat(5 * 1024 * 1024);
    service.with("bob", "POST", "/v1/jobs", &json, Body::from(format!("\"{large}\""))).await.expect(413);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_protected() {
    let service = service().await;
    for path in
        ["/v1/whoami", "/healthz", "/readyz", "/metrics", "/openapi.json", "/nothing", "/v1/receipt-key", "/v1/sign-in"]
    {
        let answer = service.get("bob", path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-request-id").len(), 32, "{path}");
        assert!(answer.header("access-control-allow-origin").is_empty());
    }
    let page = service.get("", "/docs/").await.expect(200);
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    let metrics = service.get("olga", "/metrics").await.expect(200).text();
    assert!(
        metrics.contains(r#"route="/v1/whoami",method="GET",status="2xx""#) && !metrics.contains("/nothing"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_pages_may_call() {
    let service = service_with(|settings| settings.cors_origins = vec!["https://console.example.org".to_owned()]).await;
    for (origin, allowed) in
        [("https://console.example.org", "https://console.example.org"), ("https://evil.example", "")]
    {
        let headers = [("origin", origin), ("access-control-request-method", "GET")];
        let answer = service.with("", "OPTIONS", "/v1/jobs", &headers, Body::empty()).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin}");
        assert!(answer.header("access-control-allow-credentials").is_empty());
    }
}
