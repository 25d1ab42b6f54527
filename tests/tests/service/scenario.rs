use cloister_tests::{
    guest, root,
    service::{Service, Setup, Who},
};
use serde_json::{Value, json};
use std::fs;

/// A running service, and accounts that have nothing to do with one another.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) service: Service,
    /// Has data.
    pub(crate) alice: Who,
    /// Writes algorithms.
    pub(crate) bob: Who,
    /// Asks for jobs.
    pub(crate) carol: Who,
    /// Has nothing to do with any of it.
    pub(crate) mallory: Who,
}

impl Scenario {
    pub(crate) fn new() -> Self {
        Self::with(Setup::new())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let service = setup.start();
        let account = |name, role| service.account(name, role);
        let (alice, bob) = (account("alice", "publisher"), account("bob", "publisher"));
        let (carol, mallory) = (account("carol", "consumer"), account("mallory", "publisher"));
        Self { service, alice, bob, carol, mallory }
    }

    /// Alice's penguins, a file of this machine. No algorithm may compute on it yet.
    pub(crate) fn penguins(&self) -> String {
        let path = self.service.file("penguins.csv", penguins());
        self.service.publish_dataset(
            &self.alice,
            "penguins",
            &json!({"title": "Palmer penguins", "files": [{"type": "local", "path": path}], "compute": {},
                "oceanProviders": ["*"]}),
        )
    }

    /// Bob's program for tables.
    pub(crate) fn column_stats(&self) -> String {
        let program = fs::read(guest("column-stats.p1.wasm")).expect("a guest");
        let sha256 = self.service.upload(&self.bob, &program);
        let files = json!([{"type": "upload", "sha256": sha256}]);
        self.service.publish_algorithm(
            &self.bob,
            "column-stats",
            &json!({"title": "Column statistics", "files": files}),
        )
    }

    /// Bob's program of a WAT text, published.
    pub(crate) fn algorithm(&self, name: &str, wat: &str) -> String {
        let sha256 = self.service.upload(&self.bob, &wat::parse_str(wat).expect("a valid WAT text"));
        self.service.publish_algorithm(&self.bob, name, &json!({"files": [{"type": "upload", "sha256": sha256}]}))
    }

    /// Alice lets an algorithm run on her dataset, as it is now.
    pub(crate) fn allow(&self, dataset: &str, algorithm: &str) {
        let body = self.service.inspected(&self.alice, algorithm, &json!(algorithm));
        let answer = self.service.post(&self.alice, &format!("/v1/datasets/{dataset}/allow"), &body);
        assert!((200..300).contains(&answer.status), "{}", answer.shown());
    }

    /// A job of Carol's that brings its program.
    pub(crate) fn raw_job(&self, dataset: &str, wat: &str) -> Value {
        json!({"datasets": [dataset], "algorithm": self.service.raw(&self.carol, wat)})
    }

    /// Alice's dataset for everybody's programs, with this output contract. Logs may leave unless the contract says otherwise, so
    /// that reasons are not coarse.
    pub(crate) fn dataset_with_contract(&self, name: &str, contract: &Value) -> String {
        let mut contract = contract.clone();
        if contract.get("maxLogBytes").is_none() {
            contract["maxLogBytes"] = json!(1_048_576);
        }
        self.service.publish_dataset(
            &self.alice,
            name,
            &json!({
                "files": [{"type": "inline", "content": "data"}],
                "compute": {"allowRawAlgorithm": true, "outputContract": contract}
            }),
        )
    }
}

pub(crate) fn penguins() -> String {
    fs::read_to_string(root().join("data/penguins.csv")).expect("the penguins")
}

/// The identifier in a DID.
pub(crate) fn id(did: &str) -> &str {
    did.strip_prefix("did:op:").expect("a DID")
}

/// The reason why a job ended.
pub(crate) fn reason(job: &Value) -> &str {
    job["reason"]["text"].as_str().unwrap_or_else(|| panic!("no reason: {job:#}"))
}
