//! A service for tests, and Providers that ask it.

use super::{OperatorSettings, routes, testing::Memory};
use crate::{Service, Settings, auth::ClientAddress, ethereum::testing::Wallet};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use cloister_model::{AuditAction, Event, ResultFile, ResultKind, Sha256, Timestamp};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sha2::Digest as _;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tower::ServiceExt as _;

pub(super) const OWNER: &str = "0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE1";
pub(super) const OTHER: &str = "0xC41808BBef371AD5CFc76466dDF9dEe228d2BdAA";
pub(super) const NOW_MS: u64 = 1_795_363_289_633;
pub(super) const RUN: [Event; 7] = [
    Event::Accept,
    Event::Configure,
    Event::Provisioned,
    Event::Run,
    Event::Succeeded,
    Event::Passed,
    Event::Published,
];

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(super) fn error(&self) -> String {
        self.json()["error"].as_str().expect("an error").to_owned()
    }
}

/// A service with one Provider (key 1) that is allowed, and one (key 2) that is not unless the test says so.
pub(super) struct World {
    pub(super) memory: Arc<Memory>,
    pub(super) router: Router,
    nonce: AtomicU64,
    pub(super) dataset: String,
    pub(super) second: String,
    pub(super) algorithm: String,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(OperatorSettings { providers: [Wallet::new(1).address().account()].into(), ..Default::default() })
    }

    pub(super) fn legacy() -> Self {
        Self::with(OperatorSettings {
            unverified_signatures: true,
            unverified_admins: vec![cloister_model::Secret::new("myAdminPass".to_owned())],
            ..Default::default()
        })
    }

    pub(super) fn with(operator: OperatorSettings) -> Self {
        let memory = Arc::new(Memory::default());
        let manifest = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "cloister.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        let files = json!([{"type": "inline", "content": "year,bins\n"}]);
        let permissions = json!({"allowRawAlgorithm": true, "publisherTrustedAlgorithmPublishers": ["*"]});
        let dataset = json!({"title": "Data", "files": files, "compute": permissions});
        let algorithm =
            json!({"title": "Statistics", "files": files, "algorithm": {"language": "rust", "version": "1"}});
        let published = [
            memory.publish("publisher", &manifest("Dataset", "data", dataset.clone())),
            memory.publish("publisher", &manifest("Dataset", "more", dataset)),
            memory.publish("publisher", &manifest("Algorithm", "stats", algorithm)),
        ];
        let [dataset, second, algorithm] = published.map(|did| did.to_string());
        let mut settings = Settings::new([1; 32], [2; 32]);
        settings.operator = operator;
        settings.clock = Arc::new(|| Timestamp::from_unix_ms(NOW_MS));
        let service = Service::new(memory.clone(), settings).expect("a service");
        let router = routes(service.shared);
        Self { memory, router, nonce: AtomicU64::new(0), dataset, second, algorithm }
    }

    pub(super) fn nonce(&self) -> u64 {
        NOW_MS * 1_000_000 + self.nonce.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A request with a query, as Provider sends all but `POST`. Signed by this key.
    pub(super) async fn query(&self, method: Method, path: &str, key: u8, fields: &[(&str, &str)]) -> Answer {
        let field = |name: &str| fields.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value);
        let nonce = self.nonce();
        let text = format!("{}{}{nonce}", field("owner"), field("jobId"));
        let signature = Wallet::new(key).sign_hashed(&text);
        let nonce = nonce.to_string();
        let signed = [("providerSignature", signature.as_str()), ("nonce", nonce.as_str()), ("chainId", "8996")];
        let query: Vec<String> = fields.iter().chain(&signed).map(|(name, value)| format!("{name}={value}")).collect();
        let uri = format!("/api/v1/operator/{path}?{}", query.join("&"));
        self.send(Request::builder().method(method).uri(uri).body(Body::empty()).expect("a request")).await
    }

    pub(super) async fn post(&self, body: &Value) -> Answer {
        self.json(Method::POST, "compute", body, None).await
    }

    pub(super) async fn json(&self, method: Method, path: &str, body: &Value, from: Option<&str>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/operator/{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        if let Some(from) = from {
            request.extensions_mut().insert(ClientAddress(from.parse().expect("an address")));
        }
        self.send(request).await
    }

    /// What Provider 2.1.6 sends to start a job.
    pub(super) fn start(&self, key: u8, agreement: &str) -> Value {
        let nonce = self.nonce();
        json!({
            "workflow": {"stages": [{
                "index": 0,
                "input": [
                    {"index": 0, "id": self.second, "remote": {"txId": "0x7a11", "serviceId": "compute", "userdata": {"year": 2023}}},
                    {"index": 1, "id": self.dataset, "remote": {"txId": "0x7a12", "serviceId": "compute"}}
                ],
                "compute": {"Instances": 1, "namespace": "ocean-compute", "maxtime": 3600},
                "algorithm": {
                    "id": self.algorithm, "rawcode": "", "algouserdata": null,
                    "container": {"image": "ghcr.io/acme/stats", "tag": "1.4", "entrypoint": "python3 $ALGO", "checksum": "sha256:1f"},
                    "remote": {"serviceEndpoint": "https://p.example", "txId": "0x7a13", "serviceId": "compute", "userData": null},
                    "algocustomdata": {"bins": 20}
                },
                "output": {"metadataUri": "https://aquarius.example"}
            }]},
            "agreementId": agreement, "owner": OWNER, "providerAddress": Wallet::new(key).address().to_string(),
            "providerSignature": Wallet::new(key).sign_hashed(&format!("{OWNER}{nonce}")),
            "environment": "ocean-compute", "validUntil": 1_795_370_000, "nonce": nonce, "chainId": 8996
        })
    }

    pub(super) async fn started(&self, agreement: &str) -> String {
        let answer = self.post(&self.start(1, agreement)).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()[0]["jobId"].as_str().expect("a job").to_owned()
    }

    /// Lets a job finish with one result.
    pub(super) fn finish(&self, job: &str, content: &[u8]) {
        self.memory.advance(job, &RUN);
        let sha256 = Sha256::from_bytes(sha2::Sha256::digest(content).into());
        let bytes = u64::try_from(content.len()).expect("a size");
        let file = ResultFile { name: "a b/result.csv".to_owned(), kind: ResultKind::Output, bytes, sha256 };
        self.memory.state().results.insert(job.parse().expect("a job"), vec![(file, content.to_vec())]);
    }

    pub(super) fn actions(&self) -> Vec<AuditAction> {
        self.memory.state().events.iter().map(|event| event.action).collect()
    }
}
