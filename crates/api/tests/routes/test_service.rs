//! A service with an engine in a folder of its own, and accounts with keys.

use crate::observed::ObservedEngine;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use cloister_api::{RateLimits, Service, Settings, new_key};
use cloister_local_engine::{EnvironmentOptions, LocalEngine, Options};
use cloister_model::{AuditAction, AuditEvent, Backend, Keyring as _, Role};
use cloister_sources::SourcePolicy;
use cloister_testkit::EndsSandboxes;
pub(crate) use cloister_testkit::{guests::WRITES, now};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};
use tower::ServiceExt as _;

pub(crate) struct TestService {
    pub(crate) router: Router,
    pub(crate) api: Service,
    pub(crate) engine: Arc<LocalEngine>,
    /// The same engine, as the service reaches it.
    pub(crate) observed: Arc<ObservedEngine>,
    keys: BTreeMap<&'static str, String>,
    _sandboxes: EndsSandboxes,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?} {}", self.status, self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }
}

/// A WebAssembly program, from its text.
pub(crate) fn program(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a program")
}

/// A guest that was built before.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let path = cloister_testkit::guest(name).unwrap_or_else(|missing| panic!("{missing}"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) async fn service() -> TestService {
    service_with(|settings| settings.rates = many()).await
}

/// Rates that no test meets by accident.
pub(crate) fn many() -> RateLimits {
    RateLimits { account_per_second: 10_000, account_burst: 10_000, address_per_second: 10_000, address_burst: 10_000 }
}

pub(crate) async fn service_with(change: impl FnOnce(&mut Settings)) -> TestService {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = cloister_testkit::program("sandbox").unwrap_or_else(|missing| panic!("{missing}"));
    let gib = 1024 * 1024 * 1024;
    let engine = LocalEngine::open(Options {
        home: folder.path().join("home"),
        sandbox,
        sandbox_home: None,
        environment: EnvironmentOptions {
            id: "local".parse().expect("a name"),
            description: "a test".to_owned(),
            max_jobs: 2,
            cpus: 2,
            memory_bytes: 2 * gib,
            job_memory_bytes: gib,
            max_queued: 100,
            reserved_jobs: 0,
            max_queued_per_account: 100,
            min_free_bytes: 0,
            max_wall_ms: 600_000,
        },
        sources: SourcePolicy::default(),
        cache_bytes: gib,
        results: None,
    })
    .await
    .expect("an engine");
    let mut settings = Settings::new([1; 32], [2; 32]);
    change(&mut settings);
    let observed = ObservedEngine::new(engine.clone());
    let backend: Arc<dyn Backend> = observed.clone();
    let api = Service::new(backend, settings).expect("a service");
    let mut service = TestService {
        router: api.router(),
        api,
        engine,
        observed,
        keys: BTreeMap::new(),
        _sandboxes: EndsSandboxes::of(folder.path()),
        _folder: folder,
    };
    for (name, role) in [
        ("alice", Role::Publisher),
        ("bob", Role::Consumer),
        ("carol", Role::Consumer),
        ("mallory", Role::Publisher),
        ("olga", Role::Operator),
    ] {
        service.add(name, role).await;
    }
    service
}

/// What is put on record of a key that a test makes.
pub(crate) fn key_made() -> AuditEvent {
    let (actor, subject) = ("service".to_owned(), "a key".to_owned());
    AuditEvent { at: now(), actor, action: AuditAction::KeyCreated, subject, detail: "{}".to_owned() }
}

/// A request with a JSON body and this key.
pub(crate) fn with_key(key: &str, method: &str, path: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request")
}

impl TestService {
    async fn add(&mut self, name: &'static str, role: Role) {
        let key = new_key(name.parse().expect("an account"), role, String::new(), None, now()).expect("a key");
        self.engine.put_key(key.stored, key_made()).await.expect("stored");
        self.keys.insert(name, key.token.expose().clone());
    }

    pub(crate) fn key(&self, who: &str) -> &str {
        &self.keys[who]
    }

    /// A request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(Duration::from_secs(120), body.collect()).await.expect("an end");
        let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn with(
        &self,
        who: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).expect("a method")).uri(path);
        if let Some(key) = self.keys.get(who) {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body).expect("a request")).await
    }

    pub(crate) async fn get(&self, who: &str, path: &str) -> Answer {
        self.with(who, "GET", path, &[], Body::empty()).await
    }

    pub(crate) async fn delete(&self, who: &str, path: &str) -> Answer {
        self.with(who, "DELETE", path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, who: &str, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.with(who, "POST", path, &headers, Body::from(body.to_string())).await
    }

    /// A request of an account that has the whole share of the account, and keeps it for as long as this future is there: it names as
    /// many datasets as an account may have in memory at once, and from now on the engine does not answer where jobs could run.
    pub(crate) async fn with_the_whole_share(&self, who: &'static str) -> Pin<Box<dyn Future<Output = Answer> + '_>> {
        let many: Vec<String> = (0..100).map(|number| format!("did:op:{number}")).collect();
        let request = json!({"datasets": many, "algorithm": {"rawcode": "x"}});
        self.observed.calls();
        self.observed.stop_answering();
        let asked = async move { self.post(who, "/v1/explain", &request).await };
        let mut asked: Pin<Box<dyn Future<Output = Answer>>> = Box::pin(asked);
        while !self.observed.calls().contains(&"environments") {
            let waited = tokio::time::timeout(Duration::from_millis(20), &mut asked).await;
            assert!(waited.is_err(), "{waited:?}");
        }
        asked
    }

    pub(crate) async fn put(&self, who: &str, path: &str, body: &Value, if_match: &str) -> Answer {
        let headers = [("content-type", "application/json"), ("if-match", if_match)];
        let headers = if if_match.is_empty() { &headers[..1] } else { &headers[..] };
        self.with(who, "PUT", path, headers, Body::from(body.to_string())).await
    }

    /// Uploads with a key.
    pub(crate) async fn upload_with(&self, key: &str, bytes: Vec<u8>) -> String {
        let request = Request::post("/v1/uploads").header("authorization", format!("Bearer {key}"));
        let answer = self.send(request.body(Body::from(bytes)).expect("a request")).await.expect(201).json();
        answer["sha256"].as_str().expect("a digest").to_owned()
    }

    pub(crate) async fn upload(&self, who: &str, bytes: Vec<u8>) -> String {
        let answer = self.with(who, "POST", "/v1/uploads", &[], Body::from(bytes)).await.expect(201).json();
        answer["sha256"].as_str().expect("a digest").to_owned()
    }

    /// A dataset of alice's with these permissions.
    pub(crate) async fn dataset(&self, name: &str, compute: Value) -> String {
        self.dataset_for(name, compute, &[]).await
    }

    /// The same, for these Ocean Providers.
    pub(crate) async fn dataset_for(&self, name: &str, compute: Value, providers: &[&str]) -> String {
        let files = json!([{"type": "inline", "content": "town,age\nKyoto,3\nNara,5\n"}]);
        let manifest = json!({
            "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": name},
            "spec": {"files": files, "compute": compute, "oceanProviders": providers}
        });
        let answer = self.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
        answer["did"].as_str().expect("a DID").to_owned()
    }

    /// An algorithm of mallory's: this program.
    pub(crate) async fn algorithm(&self, name: &str, program: Vec<u8>) -> String {
        let sha256 = self.upload("mallory", program).await;
        let manifest = json!({
            "apiVersion": "cloister.dev/v1alpha1", "kind": "Algorithm", "metadata": {"name": name},
            "spec": {"files": [{"type": "upload", "sha256": sha256}]}
        });
        let answer = self.post("mallory", "/v1/algorithms", &manifest).await.expect(201).json();
        answer["did"].as_str().expect("a DID").to_owned()
    }

    /// A job of bob's on a dataset that lets any program run.
    pub(crate) async fn job(&self, dataset: &str) -> String {
        let sha256 = self.upload("bob", guest("column-stats.p1.wasm")).await;
        let request = json!({"datasets": [dataset], "algorithm": {"upload": sha256}});
        let answer = self.post("bob", "/v1/jobs", &request).await.expect(201);
        let job = answer.json();
        assert_eq!(answer.header("location"), format!("/v1/jobs/{}", job["id"].as_str().expect("an id")));
        job["id"].as_str().expect("an id").to_owned()
    }

    /// The job, once it is in this phase or has ended.
    pub(crate) async fn until(&self, job: &str, phase: &str) -> Value {
        self.until_seen("bob", job, phase).await
    }

    /// The same, as this account sees it.
    pub(crate) async fn until_seen(&self, who: &str, job: &str, phase: &str) -> Value {
        for _ in 0..1200 {
            let answer = self.get(who, &format!("/v1/jobs/{job}")).await.expect(200).json();
            if answer["phase"] == phase || !answer["ended"].is_null() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the job does not get to {phase}");
    }

    /// The actions on record, without those about keys and assets, in their order.
    pub(crate) async fn actions(&self) -> Vec<String> {
        let audit = self.get("olga", "/v1/audit?limit=1000").await.expect(200).json();
        let records = audit["items"].as_array().expect("records").iter();
        let actions = records.map(|record| record["action"].as_str().expect("an action").to_owned());
        actions.filter(|action| action.starts_with("job-") || action.starts_with("result-")).collect()
    }
}
