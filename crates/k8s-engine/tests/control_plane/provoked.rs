//! Every rule of the definitions is broken once, at the API server that keeps it. A rule that nothing here breaks fails the test,
//! and so does one that is added later.

use crate::{
    cluster::Room,
    rules::{job, object, with},
};
use cloister_k8s_engine::resources::definitions;
use kube::core::Status;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where a schema has its rules.
const RULES: &str = "x-kubernetes-validations";

/// A rule: of which resources, which field it names when it is broken, and what it says then.
type Rule = (String, String, String);

/// Collects the rules of a schema at this path of the resource, and of everything below.
fn collect(plural: &str, schema: &Value, path: &str, found: &mut BTreeSet<Rule>) {
    for rule in schema[RULES].as_array().into_iter().flatten() {
        let message = rule["message"].as_str().unwrap_or_else(|| panic!("{plural}: no message: {rule}"));
        let field = format!("{path}{}", rule["fieldPath"].as_str().unwrap_or_default());
        let rule = (plural.to_owned(), field, message.to_owned());
        assert!(!found.contains(&rule), "two rules that nobody can tell apart: {rule:?}");
        found.insert(rule);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect(plural, property, &below, found);
    }
    for each in ["items", "additionalProperties"] {
        if schema[each].is_object() {
            collect(plural, &schema[each], &format!("{path}[]"), found);
        }
    }
}

/// How many rules there are in a document, wherever they stand.
fn count(document: &Value) -> usize {
    match document {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => {
            let rules = fields.get(RULES).and_then(Value::as_array).map_or(0, Vec::len);
            rules + fields.iter().filter(|(name, _)| *name != RULES).map(|(_, field)| count(field)).sum::<usize>()
        }
        _ => 0,
    }
}

/// The rules of all definitions.
fn all_rules() -> BTreeSet<Rule> {
    let (mut found, mut expected) = (BTreeSet::new(), 0);
    for definition in definitions() {
        let definition = serde_json::to_value(definition).expect("JSON");
        expected += count(&definition);
        let plural = definition["spec"]["names"]["plural"].as_str().expect("a name");
        for version in definition["spec"]["versions"].as_array().expect("versions") {
            collect(plural, &version["schema"]["openAPIV3Schema"], "", &mut found);
        }
    }
    assert_eq!(found.len(), expected, "some rules stand where they were not looked for");
    found
}

/// A field as the definitions name it: `spec.files[0].url` is `spec.files[].url`, and the whole resource has no name.
fn place(field: &str) -> String {
    let mut parts = field.split('[');
    let mut place = parts.next().filter(|first| *first != "<nil>").unwrap_or_default().to_owned();
    for part in parts {
        place.push_str("[]");
        place.push_str(part.split_once(']').map_or("", |(_, rest)| rest));
    }
    place
}

/// The rules that a refusal names.
fn named(plural: &str, refusal: &Status, rules: &BTreeSet<Rule>) -> Vec<Rule> {
    let causes = refusal.details.iter().flat_map(|details| &details.causes);
    let rule_of = |field: String, said: &str| {
        let same = |(of, at, message): &&Rule| of == plural && *at == field && said.ends_with(message.as_str());
        rules.iter().find(same).cloned()
    };
    causes.filter_map(|cause| rule_of(place(&cause.field), &cause.message)).collect()
}

fn key() -> Value {
    let spec = json!({"account": "alice", "role": "consumer", "label": "l", "sha256": "ab".repeat(32),
        "created": "2026-01-02T03:04:05Z", "expires": "2027-01-02T03:04:05Z", "revoked": "2026-02-02T03:04:05Z"});
    object("ApiKey", "00000000000000ab", spec)
}

fn environment(name: &str, field: &str, value: Value) -> Value {
    let limits =
        json!({"jobs": 5, "queued": 100, "cpus": 8, "memoryBytes": 1_000, "jobMemoryBytes": 500, "wallMs": 1000});
    with(object("Environment", name, json!({ "limits": limits })), &format!("/spec/{field}"), value)
}

fn request(algorithm: Value) -> Value {
    object("JobRequest", "r", json!({"datasets": [{"did": "did:op:a"}], "algorithm": algorithm}))
}

/// Files with a credential in each place that is known, and one with a reference to a Secret that it cannot use.
fn wrong_files() -> [Value; 4] {
    let s3 = json!({"endpoint": "https://s3.example.org", "bucket": "b", "objectKey": "k", "accessKeyId": "id"});
    let url = "https://example.org/a";
    [
        json!({"type": "s3", "s3Access": s3}),
        json!({"type": "url", "url": url, "headers": {"Authorization": "Bearer SECRET"}}),
        json!({"type": "url", "url": "https://user:SECRET@example.org/a"}),
        json!({"type": "local", "path": "/srv/a", "credentialsFrom": {"secretRef": {"name": "keys"}}}),
    ]
}

/// What is refused when it is created.
fn creations() -> Vec<(&'static str, Value)> {
    let digest = "ab".repeat(32);
    let interpreter = |image: String, bundle: String| json!([{"name": "python", "image": image, "bundle": bundle}]);
    let (pinned, bundle) = (format!("r.example.org/python@sha256:{digest}"), format!("sha256:{digest}"));
    let root = |path: &str, below: &str| json!([{"account": "alice", "claims": [{"path": path, "claim": "c", "subPath": below}]}]);
    let mut all = vec![
        ("computejobs", with(job(), "/metadata/name", json!("my-job"))),
        ("apikeys", with(key(), "/metadata/name", json!("k"))),
        ("jobrequests", request(json!({}))),
        ("environments", environment("my.env", "description", json!("d"))),
        ("environments", with(environment("e", "description", json!("d")), "/spec/limits/jobMemoryBytes", json!(2000))),
        ("environments", environment("e", "runtimes", json!({"kinds": ["wasm", "container"]}))),
        ("environments", environment("e", "interpreters", interpreter("python:3".to_owned(), bundle))),
        ("environments", environment("e", "interpreters", interpreter(pinned, "ab".to_owned()))),
        ("environments", environment("e", "roots", root("a", "b"))),
        ("environments", environment("e", "roots", root("/a", "/b"))),
    ];
    let file = json!({"type": "local", "path": "/srv/a.csv"});
    let network = json!({"allowNetworkAccess": true});
    all.push(("datasets", object("Dataset", "a", json!({"files": [file], "compute": network}))));
    let stored =
        json!({"did": "did:op:a", "owner": "bob", "name": "n", "secret": "s", "sha256": digest, "rules": "{}"});
    for (plural, kind) in [("datasets", "Dataset"), ("algorithms", "Algorithm")] {
        let asset = |spec: Value| (plural, object(kind, "a", spec));
        let service = |files: Value| json!({"type": "compute", "files": files});
        all.push(asset(json!({"title": "x"})));
        all.push(asset(json!({"files": [file], "stored": stored})));
        all.push(asset(json!({"files": [file], "services": [service(json!([]))]})));
        all.push(asset(json!({"services": [{"type": "compute", "files": [file], "compute": network}]})));
        for wrong in wrong_files() {
            all.push(asset(json!({ "files": [wrong] })));
            all.push(asset(json!({"services": [service(json!([wrong]))]})));
        }
    }
    all
}

/// What is stored, and changes of it that are refused.
fn changes() -> Vec<(&'static str, Value, Vec<Value>)> {
    let at = "2026-01-02T03:04:06Z";
    let by = json!({"at": at, "by": "alice"});
    let said = [
        ("stop", by.clone()),
        ("publish", json!({"at": at, "by": "alice", "attempt": 2})),
        ("review", json!({"at": at, "by": "bob", "verdict": "Approve"})),
        ("firstApproval", by.clone()),
        ("logReleases", json!([by])),
        ("removal", by.clone()),
        ("registration", json!({"at": at, "registered": true})),
    ];
    let mut whole = job();
    let mut taken_back = vec![json!({"order": {"environment": "other"}})];
    for (field, value) in &said {
        whole["spec"][*field] = value.clone();
        taken_back.push(json!({ *field: null }));
    }
    let new = with(job(), "/metadata/name", json!("00000000000000000000000000000002"));
    let too_early = said.iter().filter(|(field, _)| matches!(*field, "review" | "firstApproval"));
    let too_early = too_early.map(|(field, value)| json!({ *field: value })).collect();
    let of_key = vec![json!({"role": "operator"}), json!({ "revoked": null }), json!({ "expires": null })];
    vec![
        ("computejobs", whole, taken_back),
        ("computejobs", new, too_early),
        ("apikeys", key(), of_key),
        ("jobrequests", request(json!({"did": "b"})), vec![json!({"algorithm": {"did": "c"}})]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn every_rule_of_the_definitions_refuses_what_breaks_it() {
    let room = Room::open().await;
    let rules = all_rules();
    let mut broken = BTreeSet::new();
    let mut note = |plural: &str, sent: &Value, answer: Result<Value, Box<Status>>| {
        let Err(refusal) = answer else { panic!("{plural} is taken, and must be refused: {sent}") };
        let named = named(plural, &refusal, &rules);
        assert!(!named.is_empty(), "{plural} is refused by something else than a rule: {sent}: {refusal:?}");
        broken.extend(named);
    };
    for (plural, sent) in creations() {
        let answer = room.answer("POST", plural, "", &sent, "").await;
        note(plural, &sent, answer);
    }
    for (plural, stored, changes) in changes() {
        let name = stored["metadata"]["name"].as_str().expect("a name").to_owned();
        room.create(plural, &stored).await.expect("it is taken");
        for change in changes {
            let sent = json!({ "spec": change });
            let answer = room.answer("PATCH", plural, &name, &sent, "").await;
            note(plural, &sent, answer);
        }
    }
    let left: Vec<&Rule> = rules.difference(&broken).collect();
    assert!(left.is_empty(), "nothing breaks these rules: write what they refuse into this file: {left:#?}");
}
