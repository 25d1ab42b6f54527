//! Containers, and scripts with pandas, on an installation: through every way in. Over HTTP, as Ocean's Provider asks, and with kubectl
//! alone, all at the same time.

use super::{
    containers::{self, IMAGE},
    deployed::{Installation, JOBS, LONGEST, TABLE, kubectl, read},
    provider::Asking,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloister_tests::cluster;
use serde_json::{Value, json};
use std::fs;

/// The namespace of a consumer's account.
pub(super) const CAROL: &str = "team-carol";

/// Whose key a command has.
const AS_CAROL: &str = "CLOISTER_KEY=$(cat carol.key)";

/// What a consumer runs with pandas.
const SUMMARY: &str = r#"
import json, os
import pandas
did = json.loads(os.environ["DIDS"])[0]
pandas.read_csv(f"/data/inputs/{did}/0").describe().to_csv("/data/outputs/summary.csv")
"#;

/// What a consumer runs in an image of a distribution.
const MEAN: &str = r#"
import csv, json, os, sys
did = json.loads(os.environ["DIDS"])[0]
with open(f"/data/inputs/{did}/0") as table:
    ages = [float(row["age"]) for row in csv.DictReader(table)]
with open("/data/outputs/mean.json", "w") as result:
    json.dump({"mean": sum(ages) / len(ages), "platform": sys.platform}, result)
"#;

/// A kind of algorithm, published, with a dataset that allows it.
struct Kind {
    name: &'static str,
    /// The DIDs of the dataset and of the algorithm.
    assets: [String; 2],
    memory_bytes: u64,
    /// The file that it leaves, and how that begins.
    result: (&'static str, String),
}

/// Runs both kinds in all three ways. The assets with which a Provider can ask about its jobs.
pub(super) fn all(installation: &mut Installation) -> [String; 2] {
    offer();
    let [container, script] = publish(installation);
    decisions(installation);

    make_account();
    for kind in [&container, &script] {
        apply(kind.name, &kind.assets, Some(kind.memory_bytes));
    }
    // The dataset of the other kind allows WebAssembly alone.
    apply("refused", &[script.assets[0].clone(), container.assets[1].clone()], None);
    let patience = LONGEST.as_secs().to_string();
    let asking = [&container, &script].map(|Kind { assets, result: (name, begins), .. }| {
        Asking::start(&installation.guide.url(), assets, &["--timeout", &patience, "--expect", name, begins])
    });
    let guide = &mut installation.guide;
    let submit = "cloister job submit --dataset alice/for-containers --algorithm bob/mean --memory 256MiB";
    let submitted = guide.run(&format!("{AS_CAROL} {submit}"));
    let submitted = submitted.trim();
    // A script of the consumer's own, which is not published.
    guide.run(&format!("{AS_CAROL} cloister run summary.py --dataset alice/for-scripts --memory 1GiB --dir summary"));
    guide.run(&format!("{AS_CAROL} cloister job follow {submitted}"));
    guide.run(&format!("{AS_CAROL} cloister job results {submitted} --dir mean"));
    for (folder, Kind { result: (name, begins), .. }) in [("mean", &container), ("summary", &script)] {
        let content = read(&guide.folder().join(folder).join(name));
        assert!(content.starts_with(begins), "over HTTP: {content}");
    }

    // Of the kinds, and in each the jobs of the ways.
    let mut jobs = [vec![submitted.to_owned()], Vec::new()];
    for ((kind, asking), jobs) in [&container, &script].into_iter().zip(asking).zip(&mut jobs) {
        jobs.push(applied(kind));
        let checks = asking.passed();
        let job = checks.iter().find(|check| check["check"] == "the job's name").expect("the job of a Provider");
        jobs.push(job["got"].as_str().expect("a name").to_owned());
    }
    refused();
    let [of_containers, of_scripts] = jobs;
    assert_eq!((of_containers.len(), of_scripts.len()), (3, 2));
    for job in of_containers {
        is_of_a_container(&receipt(installation, &job));
    }
    for job in of_scripts {
        let receipt = receipt(installation, &job);
        assert_eq!(receipt["runtime"]["name"], "python", "{receipt:#}");
        assert_eq!(released(&receipt, "summary.csv"), 1, "{receipt:#}");
    }
    kubectl(&["delete", "namespace", CAROL, "--wait=false"]);
    container.assets
}

/// The environment gets an interpreter, which is compiled already, and runs containers of one registry.
fn offer() {
    let made = |what: &str| {
        let path = cloister_testkit::root().join(format!("target/images/sandbox-python.{what}"));
        read(&path).trim().to_owned()
    };
    let image = format!("sandbox-python@{}", made("digest"));
    let spec = json!({
        "interpreters": [{"name": "python", "image": image, "bundle": made("bundle")}],
        "runtimes": {
            "kinds": ["wasm", "container"], "registries": ["registry.example/debian"],
            // Its volumes have no size that is enforced. `containers` has tests of both walls.
            "requireNetworkPolicy": false, "requireEnforcedStorage": false,
        },
    });
    let patch = json!({"spec": spec}).to_string();
    kubectl(&["--namespace", JOBS, "patch", "environment", "local", "--type=merge", "--patch", &patch]);
}

/// Alice publishes her table for each kind, and Bob an algorithm of each kind.
fn publish(installation: &mut Installation) -> [Kind; 2] {
    for (file, content) in [("mean.py", MEAN), ("summary.py", SUMMARY)] {
        fs::write(installation.guide.folder().join(file), content).expect("written");
    }
    let table = |rules: Value| {
        let files = json!([{"type": "file", "path": "table.csv"}]);
        json!({"title": "A table", "files": files, "compute": rules, "oceanProviders": ["*"]})
    };
    let containers = json!({"publisherTrustedAlgorithmPublishers": ["bob"], "runtimes": ["container"]});
    let scripts = json!({"publisherTrustedAlgorithmPublishers": ["bob"], "allowRawAlgorithm": true});
    installation.publish("alice", "Dataset", "for-containers", &table(containers));
    installation.publish("alice", "Dataset", "for-scripts", &table(scripts));
    let algorithm = |file: &str, container: Value| {
        let files = json!([{"type": "file", "path": file}]);
        json!({"title": "An algorithm", "files": files, "algorithm": {"container": container}})
    };
    let command = "python3 $ALGO";
    let pinned = json!({"image": IMAGE, "checksum": containers::digest(), "entrypoint": command});
    installation.publish("bob", "Algorithm", "mean", &algorithm("mean.py", pinned));
    let mapped = json!({"image": "python", "entrypoint": command});
    installation.publish("bob", "Algorithm", "summary", &algorithm("summary.py", mapped));
    let mut assets = |dataset: &str, algorithm: &str| {
        [installation.did("dataset", "alice", dataset), installation.did("algorithm", "bob", algorithm)]
    };
    let ages: Vec<f64> = TABLE.lines().skip(1).filter_map(|row| row.split(',').next()?.parse().ok()).collect();
    let mean = ages.iter().sum::<f64>() / 3.0;
    let container = Kind {
        name: "container",
        assets: assets("for-containers", "mean"),
        memory_bytes: 256 << 20,
        result: ("mean.json", format!("{{\"mean\": {mean}, \"platform\": \"linux\"}}")),
    };
    let script = Kind {
        name: "script",
        assets: assets("for-scripts", "summary"),
        memory_bytes: 1 << 30,
        result: ("summary.csv", ",age,weight\ncount,3.0,3.0\n".to_owned()),
    };
    [container, script]
}

/// What is decided before there is a job: each dataset allows what its rules name, and nothing else.
fn decisions(installation: &mut Installation) {
    for (dataset, algorithm, runtime) in [
        ("for-containers", "mean", Some("container")),
        ("for-scripts", "summary", Some("wasm")),
        ("for-scripts", "mean", None),
        ("for-containers", "summary", None),
    ] {
        let submit = format!("cloister job submit --dataset alice/{dataset} --algorithm bob/{algorithm}");
        // What is denied is exit code 3.
        let printed = installation.guide.run(&format!("{AS_CAROL} {submit} --dry-run -o json || [ $? = 3 ]"));
        let decision: Value = serde_json::from_str(&printed).expect("JSON");
        if let Some(runtime) = runtime {
            assert_eq!(decision["terms"]["runtime"], runtime, "{decision:#}");
            assert_eq!(decision["terms"]["admitted"][0]["by"], "trusted-publisher", "{decision:#}");
        } else {
            let rules: Vec<_> = decision["rules"].as_array().into_iter().flatten().map(|rule| &rule["rule"]).collect();
            assert_eq!((&decision["allowed"], rules), (&json!(false), vec![&json!("runtime")]), "{decision:#}");
        }
    }
}

fn make_account() {
    kubectl(&["create", "namespace", CAROL]);
    kubectl(&["label", "namespace", CAROL, "cloister.dev/account=carol"]);
    let rights = ["--clusterrole=cloister:account", "--serviceaccount=cloister-system:cloister-api"];
    kubectl(&[&["--namespace", CAROL, "create", "rolebinding", "cloister"], rights.as_slice()].concat());
}

/// Asks for a job with kubectl.
fn apply(name: &str, [dataset, algorithm]: &[String; 2], memory_bytes: Option<u64>) {
    let mut request = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "JobRequest", "metadata": {"name": name},
        "spec": {"datasets": [{"did": dataset}], "algorithm": {"did": algorithm}},
    });
    if let Some(bytes) = memory_bytes {
        request["spec"]["limits"] = json!({"memoryBytes": bytes});
    }
    let applied = cluster::run(&["--namespace", CAROL, "create", "-f", "-"], request.to_string().as_bytes());
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}

/// Waits for a job that was asked for with kubectl. Its results are in a Secret.
fn applied(kind: &Kind) -> String {
    let request = format!("jobrequest/{}", kind.name);
    let patience = format!("--timeout={}s", LONGEST.as_secs());
    kubectl(&["--namespace", CAROL, "wait", "--for=condition=Complete", &patience, &request]);
    let secret = kubectl(&["--namespace", CAROL, "get", "secret", &format!("{}-results", kind.name), "-o", "json"]);
    let secret: Value = serde_json::from_str(&secret).expect("JSON");
    let (name, begins) = &kind.result;
    let content = STANDARD.decode(secret["data"][name].as_str().unwrap_or_default()).expect("base64");
    assert!(content.starts_with(begins.as_bytes()), "{request}: {}", String::from_utf8_lossy(&content));
    kubectl(&["--namespace", CAROL, "get", &request, "-o", "jsonpath={.status.job}"])
}

fn refused() {
    let request = "jobrequest/refused";
    kubectl(&["--namespace", CAROL, "wait", "--for=condition=Failed", "--timeout=600s", request]);
    let status = kubectl(&["--namespace", CAROL, "get", request, "-o", "jsonpath={.status}"]);
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let denials = status["denials"].to_string();
    assert!(status["job"].is_null() && denials.contains("does not allow this runtime"), "{status:#}");
}

/// The receipt of a job, whoever asked for it.
fn receipt(installation: &mut Installation, job: &str) -> Value {
    // The replica that is asked may hear later than another one that the job has ended.
    let show = format!("CLOISTER_KEY=$(cat secrets/operator.key) cloister job receipt {job} -o json");
    let ask = format!("for attempt in $(seq 120); do {show} && exit; sleep 5; done; exit 1");
    let signed: Value = serde_json::from_str(&installation.guide.run(&ask)).expect("JSON");
    let receipt = signed["receipt"].clone();
    assert_eq!((&receipt["job"], &receipt["code"]), (&json!(job), &json!(70)), "{receipt:#}");
    assert_eq!(receipt["terms"][0]["by"], "trusted-publisher", "{receipt:#}");
    receipt
}

/// It names the image that ran. There is no report of a run, because nothing inside a container is believed.
fn is_of_a_container(receipt: &Value) {
    let container = &receipt["container"];
    assert_eq!(container["image"], IMAGE, "{receipt:#}");
    assert_eq!(container["checksum"], containers::digest(), "{receipt:#}");
    assert_eq!(receipt["report"], json!({"state": "absent"}), "{receipt:#}");
    for part in ["runtime", "outcome", "isolation", "engine"] {
        assert_eq!(receipt[part], Value::Null, "{part}: {receipt:#}");
    }
    assert_eq!(released(receipt, "mean.json"), 1, "{receipt:#}");
}

/// How many files of this name the receipt says were released.
fn released(receipt: &Value, name: &str) -> usize {
    assert_eq!(receipt["outputs"]["state"], "released", "{receipt:#}");
    let files = receipt["outputs"]["files"].as_array().into_iter().flatten();
    files.filter(|file| file["name"] == name).count()
}
