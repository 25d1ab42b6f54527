//! What a guest sees: the same in the service as with `sandbox run`, so that an algorithm that was tried on a laptop works.

use crate::scenario::Scenario;
use cloister_tests::{Trial, install_python, service::NOTHING};
use serde_json::{Value, json};
use std::fs;

/// Writes down everything below `/data`, with the content of every file, and the whole environment.
const WALKS: &str = r#"
import base64, json, os
tree = {}
for folder, names, files in os.walk("/data"):
    tree[folder] = sorted(names + files)
    for name in files:
        path = folder + "/" + name
        with open(path, "rb") as file:
            tree[path] = base64.b64encode(file.read()).decode()
with open("/data/outputs/tree.json", "w") as file:
    json.dump({"tree": tree, "environment": dict(os.environ)}, file, sort_keys=True)
"#;

/// The DDO of the dataset as the guest found it.
fn ddo(seen: &Value, id: &str) -> String {
    use base64::Engine as _;
    let text = seen["tree"][format!("/data/ddos/{id}")].as_str().expect("a DDO");
    let bytes = base64::prelude::BASE64_STANDARD.decode(text).expect("base64");
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_guest_sees_the_same_tree_in_the_service_and_on_a_laptop() {
    install_python();
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.publish_dataset(
        alice,
        "two-files",
        &json!({"files": [{"type": "inline", "content": "one"}, {"type": "inline", "content": "two"}],
            "compute": {"allowRawAlgorithm": true, "outputContract": {"maxLogBytes": 1000}}}),
    );
    let id = dataset.trim_start_matches("did:op:");
    for parameters in [None, Some(json!({"bins": 20}))] {
        let mut job = json!({"datasets": [dataset], "algorithm": {"rawcode": WALKS,
            "container": {"image": "python", "tag": "3.12", "entrypoint": "python3 $ALGO"}}});
        if let Some(parameters) = &parameters {
            job["parameters"] = parameters.clone();
        }
        let job = service.finish(carol, &job);
        let in_service: Value = serde_json::from_slice(&service.result(carol, &job, "tree.json")).expect("JSON");
        let given = parameters.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string);

        let script = tempfile::NamedTempFile::new().expect("a file");
        fs::write(script.path(), WALKS).expect("written");
        let laptop = |trial: Trial| {
            let here = trial.directory.path().to_owned();
            for (name, content) in [("one", "one"), ("two", "two"), ("ddo", &ddo(&in_service, id))] {
                fs::write(here.join(name), content).expect("written");
            }
            let at = |name: &str| here.join(name).display().to_string();
            let (files, ddo) = (format!("{id}={},{}", at("one"), at("two")), format!("{id}={}", at("ddo")));
            let trial = trial.with(&["--dataset", &files, "--ddo", &ddo]);
            if parameters.is_some() { trial.with_file("--params", &given) } else { trial }.run()
        };
        let ended = laptop(Trial::file(script.path()).with(&["--runtime", "python"]));
        let seen = fs::read(ended.directory.path().join("outputs/tree.json")).expect("the tree");
        let seen: Value = serde_json::from_slice(&seen).expect("JSON");
        assert_eq!(seen, in_service, "a script");
        assert!(seen["tree"]["/data/inputs/algoCustomData.json"].is_string(), "{seen:#}");

        // A program is looked at from outside: the host reports every file that the guest could read.
        let mut job = scenario.raw_job(&dataset, NOTHING);
        if let Some(parameters) = &parameters {
            job["parameters"] = parameters.clone();
        }
        let job = service.finish(carol, &job);
        let report = service.get(carol, &format!("/v1/jobs/{job}/report")).expect_json(200);
        let ended = laptop(Trial::wat(NOTHING));
        let inputs = serde_json::to_value(&ended.report().inputs).expect("JSON");
        assert_eq!(inputs, report["inputs"], "a program");
        assert_eq!(report["inputs"].as_array().map(Vec::len), Some(5), "{report:#}");
    }
}
