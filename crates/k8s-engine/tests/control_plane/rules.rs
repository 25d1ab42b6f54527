//! Every rule of the definitions, against the API server that keeps them: what it refuses, and with which words.

use crate::cluster::Room;
use cloister_k8s_engine::resources::{ComputeJobStatus, Dataset, manifest};
use cloister_model::{Phase, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "cloister.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A document with something else at one place.
pub(crate) fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
    document.pointer_mut(parent).expect(pointer)[last] = value;
    document
}

fn refused(answer: Result<Value, String>, words: &str) {
    match answer {
        Ok(stored) => panic!("taken, and it must be refused with `{words}`: {stored}"),
        Err(error) => assert!(error.contains(words), "not `{words}`: {error}"),
    }
}

const JOB: &str = "00000000000000000000000000000001";

pub(crate) fn job() -> Value {
    object(
        "ComputeJob",
        JOB,
        json!({"order": {
        "created": "2026-01-02T03:04:05.678Z", "environment": "env", "queue": "q", "inputs": ["did:op:a"],
        "algorithm": {"image": "wasm"},
        "payload": {"secrets": ["a-p0"], "sha256": "ab".repeat(32), "bytes": 5}, "document": "{}"}}),
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_compute_job_is_ordered_once_stopped_once_and_reviewed_in_review() {
    let room = Room::open().await;
    let jobs = "computejobs";
    refused(room.create(jobs, &with(job(), "/metadata/name", json!("my-job"))).await, "create a JobRequest instead");
    refused(room.create(jobs, &with(job(), "/spec/order/document", json!("x".repeat(262_145)))).await, "262144");
    room.create(jobs, &job()).await.expect("a job");
    let change = async |spec: Value| room.patch(jobs, JOB, &json!({ "spec": spec })).await;

    refused(change(json!({"order": {"environment": "other"}})).await, "an order never changes");
    refused(change(json!({"order": {"document": "[]"}})).await, "an order never changes");

    let stop = |at: &str| json!({"stop": {"at": at, "by": "alice"}});
    change(stop("2026-01-02T03:04:06Z")).await.expect("a stop");
    refused(change(stop("2026-01-02T03:04:07Z")).await, "a request to stop is set once");
    refused(change(json!({"stop": null})).await, "a request to stop is set once");

    let review = |verdict: &str| json!({"review": {"verdict": verdict, "by": "bob", "at": "2026-01-02T03:04:07Z"}});
    refused(change(review("Approve")).await, "only while its phase is InReview");
    let first = |by: &str| json!({"firstApproval": {"by": by, "at": "2026-01-02T03:04:07Z"}});
    refused(change(first("bob")).await, "only while its phase is InReview");
    let id = JOB.parse().expect("an id");
    let put = async |phase: Phase| {
        let status = cloister_testkit::status_in(phase, id, Timestamp::from_unix_ms(1_795_363_289_021));
        let status = ComputeJobStatus::of(&status, None, Some(1));
        room.patch(jobs, &format!("{JOB}/status"), &json!({ "status": status })).await.expect("a status")
    };
    put(Phase::Running).await;
    refused(change(review("Approve")).await, "only while its phase is InReview");
    put(Phase::InReview).await;
    change(first("bob")).await.expect("a first approval");
    refused(change(first("carol")).await, "a job is approved first once");
    refused(change(json!({"firstApproval": null})).await, "a job is approved first once");
    refused(change(review("Perhaps")).await, "Unsupported value");
    change(review("Approve")).await.expect("a review");
    refused(change(review("Refuse")).await, "a review is decided once");
    // The review stands when the job goes on.
    put(Phase::Publishing).await;
    let publish = |attempt: u32| json!({"publish": {"attempt": attempt, "by": "bob", "at": "2026-01-02T03:04:08Z"}});
    change(publish(2)).await.expect("a request");
    refused(change(publish(1)).await, "until there is a later one");
    refused(change(json!({"publish": null})).await, "until there is a later one");
    change(publish(3)).await.expect("a later one");
    let ended = put(Phase::Finished).await;
    let conditions = ended["status"]["conditions"].as_array().expect("conditions").clone();
    assert!(conditions.iter().any(|condition| condition["type"] == "Complete" && condition["status"] == "True"));

    let by = |account: &str, at: &str| json!({"at": at, "by": account});
    let (bob, carol) = (by("bob", "2026-01-02T03:04:08Z"), by("carol", "2026-01-02T03:04:09Z"));
    let release = |all: &[&Value]| json!({ "logReleases": all });
    change(release(&[&bob])).await.expect("a release");
    change(release(&[&bob, &carol])).await.expect("another publisher's");
    refused(change(release(&[&carol])).await, "stays released");
    refused(change(release(&[&by("bob", "2026-01-02T03:04:10Z"), &carol])).await, "a publisher releases a log once");

    let removal = |at: &str| json!({"removal": {"at": at, "by": "alice"}});
    change(removal("2026-01-02T03:04:08Z")).await.expect("a removal");
    refused(change(removal("2026-01-02T03:04:09Z")).await, "a removal is asked for once");
}

/// Every phase of a life is stored as it is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn every_status_is_taken() {
    let room = Room::open().await;
    room.create("computejobs", &job()).await.expect("a job");
    let id = JOB.parse().expect("an id");
    for phase in Phase::ALL {
        let status = cloister_testkit::status_in(phase, id, Timestamp::from_unix_ms(1_795_363_289_021));
        let status = serde_json::to_value(ComputeJobStatus::of(&status, None, Some(1))).expect("json");
        // A merge leaves what was there before.
        let gone = json!({"status": null});
        room.patch("computejobs", &format!("{JOB}/status"), &gone).await.expect("no status");
        let stored = room.patch("computejobs", &format!("{JOB}/status"), &json!({ "status": status })).await;
        let mut stored = stored.expect("a status")["status"].take();
        stored.as_object_mut().expect("an object").retain(|name, _| status.get(name).is_some());
        assert_eq!(stored, status, "{phase}");
    }
}

fn dataset() -> Value {
    object(
        "Dataset",
        "penguins",
        json!({"title": "Palmer penguins", "files": [{"type": "local", "path": "/srv/a.csv"}],
        "compute": {"allowRawAlgorithm": true, "outputContract": {"csv": {"maxRows": 10}}}}),
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_inline_credential_is_refused_with_the_form_that_is_right() {
    let room = Room::open().await;
    let right = "credentialsFrom: {secretRef: {name:";
    let s3 = json!({"endpoint": "https://s3.example.org", "bucket": "b", "objectKey": "k"});
    let by_secret = json!({"secretRef": {"name": "keys"}});
    for file in [
        json!({"type": "s3", "s3Access": with(json!({"s": s3}), "/s/secretAccessKey", json!("SECRET"))["s"]}),
        json!({"type": "s3", "s3Access": with(json!({"s": s3}), "/s/accessKeyId", json!("id"))["s"]}),
        json!({"type": "url", "url": "https://example.org/a", "headers": {"Authorization": "Bearer SECRET"}}),
        json!({"type": "url", "url": "https://example.org/a", "headers": {"X-Api-Key": "SECRET"}}),
        json!({"type": "url", "url": "https://user:SECRET@example.org/a"}),
    ] {
        let plain = with(dataset(), "/spec/files", json!([file]));
        refused(room.create("datasets", &plain).await, right);
        let service = object("Dataset", "penguins", json!({"services": [{"type": "compute", "files": [file]}]}));
        refused(room.create("datasets", &service).await, right);
        let algorithm = object("Algorithm", "stats", json!({"files": [file]}));
        refused(room.create("algorithms", &algorithm).await, right);
    }
    let wrong_place = json!([{"type": "local", "path": "/srv/a", "credentialsFrom": by_secret}]);
    refused(
        room.create("datasets", &with(dataset(), "/spec/files", wrong_place)).await,
        "credentialsFrom belongs to files of type s3 and url",
    );
    let good = json!([
        {"type": "s3", "s3Access": s3, "credentialsFrom": by_secret},
        {"type": "url", "url": "https://example.org/a@b?c=d@e", "headers": {"Accept": "text/csv"}, "credentialsFrom": by_secret}
    ]);
    room.create_strictly("datasets", &with(dataset(), "/spec/files", good)).await.expect("a dataset");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_dataset_promises_no_algorithm_a_network() {
    let room = Room::open().await;
    let words = "no algorithm has a network, not even in a container";
    let network = with(dataset(), "/spec/compute/allowNetworkAccess", json!(true));
    refused(room.create("datasets", &network).await, words);
    let file = json!({"type": "local", "path": "/srv/a.csv"});
    let compute = json!({"type": "compute", "files": [file], "compute": {"allowNetworkAccess": true}});
    refused(room.create("datasets", &object("Dataset", "d", json!({"services": [compute]}))).await, words);
    let without = with(dataset(), "/spec/compute/allowNetworkAccess", json!(false));
    room.create_strictly("datasets", &without).await.expect("a dataset");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_asset_has_files_in_one_place() {
    let room = Room::open().await;
    refused(room.create("datasets", &object("Dataset", "none", json!({"title": "x"}))).await, "an asset has files");
    let both = with(dataset(), "/spec/services", json!([{"type": "compute", "files": []}]));
    refused(room.create("datasets", &both).await, "files stands beside services");
    let stored = json!({"did": "did:op:a", "owner": "bob", "name": "n", "secret": "s", "sha256": "ab".repeat(32),
        "rules": "{}"});
    refused(
        room.create("datasets", &with(dataset(), "/spec/stored", stored)).await,
        "stored is written by the service",
    );
}

/// A restriction that is misspelt is kept by the API server, whatever the client asks for, and makes the asset unusable.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_misspelt_rule_is_seen() {
    let room = Room::open().await;
    for (number, pointer) in [
        "/spec/maxRow",
        "/spec/files/0/sha265",
        "/spec/compute/allowRawAlgorithms",
        "/spec/compute/outputContract/maxByte",
        "/spec/compute/outputContract/csv/maxRow",
    ]
    .into_iter()
    .enumerate()
    {
        let misspelt = with(with(dataset(), pointer, json!(10)), "/metadata/name", json!(format!("d{number}")));
        let stored = room.create("datasets", &misspelt).await.expect("it is taken");
        assert_eq!(stored.pointer(pointer), Some(&json!(10)), "pruned: {pointer}");
        let read: Dataset = serde_json::from_value(stored).expect("a dataset");
        assert_eq!(manifest(&read, &BTreeMap::new()).expect_err("misspelt").reason(), "UnknownField", "{pointer}");
    }
    let request =
        object("JobRequest", "r", json!({"datasets": [{"did": "a"}], "algorithm": {"did": "b"}, "encryptsTo": "x"}));
    let stored = room.create("jobrequests", &request).await.expect("it is taken");
    assert_eq!(stored["spec"]["encryptsTo"], "x");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_request_is_decided_once_and_names_one_algorithm() {
    let room = Room::open().await;
    let request = |algorithm: Value| {
        object("JobRequest", "r", json!({"datasets": [{"did": "did:op:a"}], "algorithm": algorithm}))
    };
    for algorithm in [json!({}), json!({"did": "a", "rawcode": "x"})] {
        refused(room.create("jobrequests", &request(algorithm)).await, "give exactly one of did, rawcode and upload");
    }
    let none = object("JobRequest", "r", json!({"datasets": [], "algorithm": {"did": "a"}}));
    refused(room.create("jobrequests", &none).await, "spec.datasets");
    room.create_strictly("jobrequests", &request(json!({"did": "b"}))).await.expect("a request");
    let other = json!({"spec": {"algorithm": {"did": "c"}}});
    refused(room.patch("jobrequests", "r", &other).await, "a JobRequest is decided once");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_key_keeps_its_rights_and_its_revocation() {
    let room = Room::open().await;
    let name = "00000000000000ab";
    let key = object(
        "ApiKey",
        name,
        json!({"account": "alice", "role": "consumer", "label": "l", "sha256": "ab".repeat(32),
        "created": "2026-01-02T03:04:05Z", "expires": "2027-01-02T03:04:05Z"}),
    );
    refused(
        room.create("apikeys", &with(key.clone(), "/metadata/name", json!("k"))).await,
        "16 lower-case hexadecimal",
    );
    refused(room.create("apikeys", &with(key.clone(), "/spec/role", json!("root"))).await, "Unsupported value");
    room.create_strictly("apikeys", &key).await.expect("a key");
    let change = async |spec: Value| room.patch("apikeys", name, &json!({ "spec": spec })).await;
    for spec in [json!({"role": "operator"}), json!({"account": "bob"}), json!({"sha256": "cd".repeat(32)})] {
        refused(change(spec).await, "never change; revoke it and make another one");
    }
    refused(change(json!({"expires": "2028-01-02T03:04:05Z"})).await, "the life of a key cannot be extended");
    refused(change(json!({"expires": null})).await, "the life of a key cannot be extended");
    change(json!({"revoked": "2026-02-02T03:04:05Z"})).await.expect("revoked");
    for revoked in [json!(null), json!("2026-03-02T03:04:05Z")] {
        refused(change(json!({ "revoked": revoked })).await, "a revoked key stays revoked");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_environment_is_what_can_be_kept() {
    let room = Room::open().await;
    let limits =
        json!({"jobs": 5, "queued": 100, "cpus": 8, "memoryBytes": 1_000, "jobMemoryBytes": 500, "wallMs": 1000});
    let environment = |name: &str, more: Value| {
        let mut spec = json!({ "limits": limits });
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        object("Environment", name, spec)
    };
    let digest = format!("@sha256:{}", "ab".repeat(32));
    let bundle = format!("sha256:{}", "cd".repeat(32));
    for (more, words) in [
        (
            json!({"limits": with(json!({"l": limits}), "/l/jobMemoryBytes", json!(2000))["l"]}),
            "is more than memoryBytes",
        ),
        (json!({"runtimes": {"kinds": ["wasm", "container"]}}), "containers are allowed and no registry is"),
        (
            json!({"interpreters": [{"name": "python", "image": "python:3", "bundle": bundle}]}),
            "an image is pinned by digest",
        ),
        (
            json!({"interpreters": [{"name": "python", "image": format!("r.example.org/python{digest}"), "bundle": "ab"}]}),
            "as `sandbox runtime bundle` printed it",
        ),
        (
            json!({"roots": [{"account": "alice", "claims": [{"path": "/a/../b", "claim": "c"}]}]}),
            "an absolute path without `..`",
        ),
        (
            json!({"roots": [{"account": "alice", "claims": [{"path": "a/b", "claim": "c"}]}]}),
            "an absolute path without `..`",
        ),
        (
            json!({"roots": [{"account": "alice", "claims": [{"path": "/a", "claim": "c", "subPath": "/b"}]}]}),
            "does not begin with `/`",
        ),
        (
            json!({"roots": [{"account": "alice", "claims": [{"path": "/a", "claim": "c", "subPath": "b/.."}]}]}),
            "without `..`",
        ),
    ] {
        refused(room.create("environments", &environment("env", more)).await, words);
    }
    refused(room.create("environments", &environment("my.env", json!({}))).await, "1 to 63 lower-case letters");
    // A setting that there is not is no setting without effect.
    let network = environment("env", json!({"runtimes": {"network": true}}));
    refused(room.create_strictly("environments", &network).await, "unknown field \"spec.runtimes.network\"");
    let good = json!({"description": "d", "runtimes": {"kinds": ["wasm", "container"], "registries": ["r.example.org/a"]},
        "interpreters": [{"name": "python", "image": format!("r.example.org/python{digest}"), "bundle": bundle}],
        "roots": [{"account": "alice", "claims": [{"path": "/srv/big", "claim": "c", "subPath": "a/b..c"}]}],
        "tolerations": [{"key": "k", "operator": "Exists"}], "nodeSelector": {"a": "b"}});
    room.create_strictly("environments", &environment("env", good)).await.expect("an environment");
}
