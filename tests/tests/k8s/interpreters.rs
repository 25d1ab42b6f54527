//! Scripts on a real cluster: the image of an interpreter that `deploy/images/build.sh --interpreter` makes, compiled already.

use super::jobs::{Installation, program};
use cloister_model::{Fault, JobSpec, Phase, Reason};
use cloister_tests::{cluster, root};
use serde_json::{Value, json};
use std::fs;

/// What the script of an interpreter prints and writes depends on the table alone.
const SUMMARY: &str = r#"
import json, os, sys
import pandas
did = json.loads(os.environ["DIDS"])[0]
table = pandas.read_csv(f"/data/inputs/{did}/0")
try:
    import socket
    socket.create_connection(("10.0.0.1", 443), timeout=1)
    sys.exit("it has a network")
except Exception as error:
    print("no network:", type(error).__name__)
table.describe().to_csv("/data/outputs/summary.csv")
print("rows:", len(table))
"#;

/// What the script that makes images wrote about the image of Python.
fn made(what: &str) -> String {
    let path = root().join(format!("target/images/sandbox-python.{what}"));
    let text = fs::read_to_string(&path);
    text.unwrap_or_else(|error| panic!("{}: {error}; scripts/test-k8s.sh makes it", path.display())).trim().to_owned()
}

/// An environment with Python, whose bundle is to have this digest.
fn environment(bundle: &str) -> Value {
    let mut environment = cluster::environment();
    let image = format!("sandbox-python@{}", made("digest"));
    environment["spec"]["interpreters"] = json!([{"name": "python", "image": image, "bundle": bundle}]);
    environment
}

fn python(job: &mut JobSpec) {
    job.algorithm.interpreter = Some("python".parse().expect("a name"));
    job.algorithm.container.image = "python".to_owned();
    job.algorithm.source = program(SUMMARY.as_bytes());
    job.limits.memory_bytes = 1 << 30;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_script_with_pandas_runs_in_a_fresh_pod_and_compiles_nothing() {
    let installation = Installation::open_with("scripts", &environment(&made("bundle"))).await;
    let job = installation.submit(1, python).await;
    let status = installation.ended(job).await;
    let log = String::from_utf8_lossy(&installation.stored("log").concat()).into_owned();
    assert_eq!(status.phase, Phase::Finished, "{status:?} {log}");
    if cluster::own_cluster().is_some() {
        assert!(log.contains("no network: ") && log.contains("rows: 3"), "{log}");
        let outputs = installation.stored("");
        let has = |text: &str| outputs.iter().any(|content| String::from_utf8_lossy(content).contains(text));
        assert!(has(",age,weight\ncount,3.0,3.0\n"), "no summary");
        // The host says what ran, and that it took the interpreter's state and its code as they were.
        let mut reports = outputs.iter().filter_map(|content| serde_json::from_slice::<Value>(content).ok());
        let report = reports.find(|found| found["engine"].is_object()).expect("a report");
        assert_eq!(report["algorithm"]["runtime"]["name"], "python", "{report:#}");
        assert!(report["algorithm"]["runtime"]["snapshotSha256"].is_string(), "{report:#}");
        assert_eq!(report["usage"]["compileMs"], Value::Null, "{report:#}");
    }
    installation.nothing_is_left();
}

/// Whatever image a node has under that name: machine code that the Environment does not vouch for does not run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn an_interpreter_that_is_not_the_one_that_the_environment_names_does_not_run() {
    let another = format!("sha256:{}", "7".repeat(64));
    let installation = Installation::open_with("another", &environment(&another)).await;
    let job = installation.submit(1, python).await;
    let status = installation.ended(job).await;
    let reason = status.reason.as_ref();
    assert_eq!(reason.map(Reason::fault), Some(Fault::System), "{status:?}");
    assert!(reason.is_some_and(|reason| reason.text().contains(&another[7..])), "{status:?}");
    assert!(installation.stored("summary.csv").is_empty());
    installation.nothing_is_left();
}
