//! What people do with a service, in a line each.

use super::{Answer, PATIENCE, Request, Service, Stream, Who, wait_for};
use cloister_model::Phase;
use serde_json::{Value, json};

/// The phase of a job's JSON.
///
/// # Panics
/// If it has none.
#[must_use]
#[track_caller]
pub fn phase(job: &Value) -> Phase {
    let code = job["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    code.and_then(Phase::from_code).unwrap_or_else(|| panic!("no code: {job:#}"))
}

/// A text field.
///
/// # Panics
/// If there is none.
#[must_use]
#[track_caller]
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}`: {value:#}")).to_owned()
}

impl Service {
    /// A request to it.
    #[must_use]
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.address(), method, target)
    }

    /// GET with an account's key.
    #[must_use]
    #[track_caller]
    pub fn get(&self, who: &Who, target: &str) -> Answer {
        self.request("GET", target).by(who).send()
    }

    /// POST of JSON with an account's key.
    #[must_use]
    #[track_caller]
    pub fn post(&self, who: &Who, target: &str, body: &Value) -> Answer {
        self.request("POST", target).by(who).json(body).send()
    }

    /// PUT of JSON with an account's key.
    #[must_use]
    #[track_caller]
    pub fn put(&self, who: &Who, target: &str, body: &Value) -> Answer {
        self.request("PUT", target).by(who).json(body).send()
    }

    /// DELETE with an account's key.
    #[must_use]
    #[track_caller]
    pub fn delete(&self, who: &Who, target: &str) -> Answer {
        self.request("DELETE", target).by(who).send()
    }

    /// A key for an account, made by the operator.
    #[must_use]
    #[track_caller]
    pub fn account(&self, account: &str, role: &str) -> Who {
        let made = self.post(&self.operator, "/v1/keys", &json!({"account": account, "role": role})).expect_json(201);
        Who { account: account.to_owned(), id: text(&made, "id"), key: text(&made, "key") }
    }

    /// Uploads a file, and gives its digest.
    #[must_use]
    #[track_caller]
    pub fn upload(&self, who: &Who, bytes: &[u8]) -> String {
        let request = self.request("POST", "/v1/uploads").by(who).bytes("application/octet-stream", bytes);
        text(&request.send().expect_json(201), "sha256")
    }

    /// Publishes a dataset by what is in `spec` of its manifest, and gives its DID.
    #[must_use]
    #[track_caller]
    pub fn publish_dataset(&self, who: &Who, name: &str, spec: &Value) -> String {
        let manifest = manifest("Dataset", name, spec);
        text(&self.post(who, "/v1/datasets", &manifest).expect_json(201), "did")
    }

    /// Publishes an algorithm likewise.
    #[must_use]
    #[track_caller]
    pub fn publish_algorithm(&self, who: &Who, name: &str, spec: &Value) -> String {
        let manifest = manifest("Algorithm", name, spec);
        text(&self.post(who, "/v1/algorithms", &manifest).expect_json(201), "did")
    }

    /// What `POST .../allow` wants: an algorithm, named in this way, with the checksums that this account sees.
    #[must_use]
    #[track_caller]
    pub fn inspected(&self, who: &Who, algorithm: &str, named: &Value) -> Value {
        let asset = self.get(who, &format!("/v1/algorithms/{algorithm}")).expect_json(200);
        json!({"algorithm": named, "filesChecksum": asset["filesChecksum"],
            "containerSectionChecksum": asset["containerSectionChecksum"]})
    }

    /// A small dataset on which every uploaded or written program may run, and all may leave.
    #[must_use]
    #[track_caller]
    pub fn open_dataset(&self, who: &Who, name: &str) -> String {
        self.publish_dataset(
            who,
            name,
            &json!({
                "files": [{"type": "inline", "content": "data"}],
                "compute": {"allowRawAlgorithm": true, "outputContract": {"maxLogBytes": "1MiB"}}
            }),
        )
    }

    /// A raw algorithm of a WAT text, for the field `algorithm` of a job.
    #[must_use]
    #[track_caller]
    pub fn raw(&self, who: &Who, wat: &str) -> Value {
        json!({"upload": self.upload(who, &wat::parse_str(wat).expect("a valid WAT text"))})
    }

    /// Submits a job that has to be taken.
    #[must_use]
    #[track_caller]
    pub fn submit(&self, who: &Who, job: &Value) -> Value {
        self.post(who, "/v1/jobs", job).expect_json(201)
    }

    /// A job as it is.
    #[must_use]
    #[track_caller]
    pub fn job(&self, who: &Who, id: &str) -> Value {
        self.get(who, &format!("/v1/jobs/{id}")).expect_json(200)
    }

    /// A job once it has ended.
    #[must_use]
    #[track_caller]
    pub fn ended(&self, who: &Who, id: &str) -> Value {
        self.job_when(who, id, "end", |job| phase(job).has_ended())
    }

    /// A job once it is in this phase.
    #[must_use]
    #[track_caller]
    pub fn job_in(&self, who: &Who, id: &str, wanted: Phase) -> Value {
        self.job_when(who, id, &format!("come to {wanted:?}"), |job| phase(job) == wanted)
    }

    #[track_caller]
    fn job_when(&self, who: &Who, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("job {id} to {what}"), || {
            let job = self.job(who, id);
            assert!(is_so(&job) || !phase(&job).has_ended(), "it ended before it could {what}: {job:#}");
            is_so(&job).then_some(job)
        })
    }

    /// Submits a job and waits for its end, whatever that is.
    #[must_use]
    #[track_caller]
    pub fn run(&self, who: &Who, job: &Value) -> Value {
        self.ended(who, &text(&self.submit(who, job), "id"))
    }

    /// Submits a job that has to finish, and gives its id.
    #[must_use]
    #[track_caller]
    pub fn finish(&self, who: &Who, job: &Value) -> String {
        let ended = self.run(who, job);
        assert_eq!(phase(&ended), Phase::Finished, "{ended:#}\n{}", self.logs());
        text(&ended, "id")
    }

    /// The rules that a submission meets.
    #[must_use]
    #[track_caller]
    pub fn denied(&self, who: &Who, job: &Value) -> Vec<String> {
        let problem = self.post(who, "/v1/jobs", job).problem(403);
        let rules = problem["rules"].as_array().unwrap_or_else(|| panic!("no rules: {problem:#}"));
        rules.iter().map(|rule| text(rule, "rule")).collect()
    }

    /// The list of a job's results.
    #[must_use]
    #[track_caller]
    pub fn results(&self, who: &Who, id: &str) -> Vec<Value> {
        let list = self.get(who, &format!("/v1/jobs/{id}/results")).expect_json(200);
        list["items"].as_array().unwrap_or_else(|| panic!("no items: {list:#}")).clone()
    }

    /// The bytes of a result, by its name.
    #[must_use]
    #[track_caller]
    pub fn result(&self, who: &Who, id: &str, name: &str) -> Vec<u8> {
        let results = self.results(who, id);
        let found = results.iter().find(|result| result["name"] == name);
        let index = found.unwrap_or_else(|| panic!("no result `{name}`: {results:#?}"))["index"].clone();
        self.get(who, &format!("/v1/jobs/{id}/results/{index}")).expect(200).body
    }

    /// A job's events: each its revision and its job.
    #[must_use]
    #[track_caller]
    pub fn events(&self, who: &Who, id: &str) -> Stream {
        let request = self.request("GET", &format!("/v1/jobs/{id}/events")).by(who).patience(PATIENCE);
        let stream = request.open().expect("a stream");
        assert_eq!(stream.status, 200);
        stream
    }
}

/// A manifest.
#[must_use]
pub fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "cloister.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}
