//! Ocean's Providers and what they send.

use crate::{
    test_service::{Answer, TestService, WRITES, program, service_with},
    wallet::{Wallet, nonce},
};
use axum::{
    body::Body,
    http::{Method, Request, header},
};
use cloister_api::OperatorSettings;
use cloister_testkit::guests::{ENDLESS, FAILS};
use serde_json::{Value, json};

pub(crate) const OWNER: &str = "0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE1";
pub(crate) const OTHER: &str = "0xC41808BBef371AD5CFc76466dDF9dEe228d2BdAA";

/// A service with two datasets and three algorithms, and one Provider (key 1) that is allowed.
pub(crate) struct Ocean {
    pub(crate) service: TestService,
    pub(crate) dataset: String,
    pub(crate) second: String,
    /// Writes results.
    pub(crate) algorithm: String,
    /// Runs until it is stopped.
    pub(crate) endless: String,
    /// Exits with an error.
    pub(crate) failing: String,
}

impl Ocean {
    pub(crate) async fn new() -> Self {
        let providers = [Wallet::new(1).address().parse().expect("an account")].into();
        Self::with(OperatorSettings { providers, ..Default::default() }).await
    }

    pub(crate) async fn legacy() -> Self {
        Self::with(OperatorSettings {
            unverified_signatures: true,
            unverified_admins: vec![cloister_model::Secret::new("myAdminPass".to_owned())],
            ..Default::default()
        })
        .await
    }

    pub(crate) async fn with(operator: OperatorSettings) -> Self {
        let service = service_with(|settings| {
            settings.operator = operator;
            settings.rates = crate::test_service::many();
        })
        .await;
        let permissions = json!({"allowRawAlgorithm": true, "publisherTrustedAlgorithmPublishers": ["*"],
        "outputContract": {"maxLogBytes": 1000}});
        let dataset = service.dataset_for("data", permissions.clone(), &["*"]).await;
        let second = service.dataset_for("more", permissions, &["*"]).await;
        let algorithm = service.algorithm("stats", program(WRITES)).await;
        let endless = service.algorithm("endless", program(ENDLESS)).await;
        let failing = service.algorithm("fails", program(FAILS)).await;
        Self { service, dataset, second, algorithm, endless, failing }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.service.send(request).await
    }

    /// A request with a query, as Provider sends all but `POST`. Signed with this key.
    pub(crate) async fn query(&self, method: Method, path: &str, key: u8, fields: &[(&str, &str)]) -> Answer {
        let field = |name: &str| fields.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value);
        let nonce = nonce();
        let text = format!("{}{}{nonce}", field("owner"), field("jobId"));
        let signature = Wallet::new(key).sign_hashed(&text);
        let signed = [("providerSignature", signature.as_str()), ("nonce", nonce.as_str()), ("chainId", "8996")];
        let query: Vec<String> = fields.iter().chain(&signed).map(|(name, value)| format!("{name}={value}")).collect();
        let uri = format!("/api/v1/operator/{path}?{}", query.join("&"));
        self.send(Request::builder().method(method).uri(uri).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn post(&self, body: &Value) -> Answer {
        self.json(Method::POST, "compute", body).await
    }

    /// A request with a JSON body, from nowhere: without a connection.
    pub(crate) async fn json(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/operator/{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        self.send(request).await
    }

    /// What Provider 2.1.6 sends to start a job of this algorithm.
    pub(crate) fn start_of(&self, algorithm: &str, key: u8, agreement: &str) -> Value {
        let nonce: u64 = nonce().parse().expect("a number");
        json!({
            "workflow": {"stages": [{
                "index": 0,
                "input": [
                    {"index": 0, "id": self.second, "remote": {"txId": "0x7a11", "serviceId": "compute", "userdata": {"year": 2023}}},
                    {"index": 1, "id": self.dataset, "remote": {"txId": "0x7a12", "serviceId": "compute"}}
                ],
                "compute": {"Instances": 1, "namespace": "local", "maxtime": 3600},
                "algorithm": {
                    "id": algorithm, "rawcode": "", "algouserdata": null,
                    "container": {"image": "ghcr.io/acme/stats", "tag": "1.4", "entrypoint": "python3 $ALGO", "checksum": "sha256:1f"},
                    "remote": {"serviceEndpoint": "https://p.example", "txId": "0x7a13", "serviceId": "compute", "userData": null},
                    "algocustomdata": {"bins": 20}
                },
                "output": {"metadataUri": "https://aquarius.example"}
            }]},
            "agreementId": agreement, "owner": OWNER, "providerAddress": Wallet::new(key).address(),
            "providerSignature": Wallet::new(key).sign_hashed(&format!("{OWNER}{nonce}")),
            "environment": "local", "validUntil": 1_795_370_000, "nonce": nonce, "chainId": 8996
        })
    }

    /// A start of the algorithm that runs until it is stopped.
    pub(crate) fn start(&self, key: u8, agreement: &str) -> Value {
        self.start_of(&self.endless, key, agreement)
    }

    /// The job that this request starts.
    pub(crate) async fn started(&self, body: &Value) -> String {
        let answer = self.post(body).await.expect(200);
        answer.json()[0]["jobId"].as_str().expect("a job").to_owned()
    }

    /// A job that runs until it is stopped.
    pub(crate) async fn running(&self, agreement: &str) -> String {
        self.started(&self.start(1, agreement)).await
    }

    /// A job that has finished, with results.
    pub(crate) async fn finished(&self, agreement: &str) -> String {
        let job = self.started(&self.start_of(&self.algorithm, 1, agreement)).await;
        let ended = self.service.until_seen("olga", &job, "Finished").await;
        assert_eq!(ended["phase"], "Finished", "{ended}");
        job
    }

    /// Stops a job, and waits for its end.
    pub(crate) async fn stopped(&self, job: &str) {
        self.service.post("olga", &format!("/v1/jobs/{job}/stop"), &json!(null)).await.expect(202);
        let ended = self.service.until_seen("olga", job, "Stopped").await;
        assert_eq!(ended["phase"], "Stopped", "{ended}");
    }

    /// The number of all jobs.
    pub(crate) async fn jobs(&self) -> usize {
        let jobs = self.service.get("olga", "/v1/jobs").await.expect(200).json();
        jobs["items"].as_array().expect("jobs").len()
    }
}

impl Answer {
    /// Ocean's error text.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_else(|| panic!("not an error: {}", self.text())).to_owned()
    }
}
