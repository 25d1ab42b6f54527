//! Scripts on a real cluster: the images of interpreters that `deploy/images/build.sh --interpreter` makes, compiled already; and
//! programs that read what their entrypoint names.

use super::jobs::{Installation, TABLE, program};
use cloister_model::{Fault, JobSpec, Phase, Reason, Secret};
use cloister_tests::{cluster, root, service::CAT};
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

/// A script for Node.js: compares what it reads with the file of its dataset, and shows its arguments.
const ROWS: &str = r"
const fs = require('fs');
const [did] = JSON.parse(process.env.DIDS);
const table = fs.readFileSync(`/data/inputs/${did}/0`, 'utf8');
let read = '';
process.stdin.on('data', piece => { read += piece; });
process.stdin.on('end', () => {
    const rows = { rows: table.trim().split('\n').length - 1, same: read === table };
    fs.writeFileSync('/data/outputs/rows.json', JSON.stringify(rows));
    console.log('arguments:', process.argv.slice(2).join('|'));
});
try {
    require('net');
    process.exit(1);
} catch (error) {
    console.log('no network:', error.message);
}
";

/// What the script that makes images wrote about the image of an interpreter.
fn made(interpreter: &str, what: &str) -> String {
    let path = root().join(format!("target/images/sandbox-{interpreter}.{what}"));
    let text = fs::read_to_string(&path);
    text.unwrap_or_else(|error| panic!("{}: {error}; scripts/test-k8s.sh makes it", path.display())).trim().to_owned()
}

/// An environment with an interpreter, whose bundle is to have this digest.
fn environment(interpreter: &str, bundle: &str) -> Value {
    let mut environment = cluster::environment();
    let image = format!("sandbox-{interpreter}@{}", made(interpreter, "digest"));
    environment["spec"]["interpreters"] = json!([{"name": interpreter, "image": image, "bundle": bundle}]);
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
    let installation = Installation::open_with("scripts", &environment("python", &made("python", "bundle"))).await;
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
    // With too little memory it does not begin, and its consumer is told what to choose.
    let little = |job: &mut JobSpec| {
        python(job);
        job.limits.memory_bytes = 64 << 20;
    };
    let job = installation.submit(2, little).await;
    let status = installation.ended(job).await;
    let reason = status.reason.as_ref();
    assert_eq!(
        (status.phase, reason.map(Reason::fault)),
        (Phase::AlgorithmFailed, Some(Fault::Algorithm)),
        "{status:?}"
    );
    installation
        .explained(job, &["`python` begins with ", "67108864 bytes: ask for more, or choose `python-plain`"])
        .await;
    installation.nothing_is_left();
}

/// Whatever image a node has under that name: machine code that the Environment does not vouch for does not run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn an_interpreter_that_is_not_the_one_that_the_environment_names_does_not_run() {
    let another = format!("sha256:{}", "7".repeat(64));
    let installation = Installation::open_with("another", &environment("python", &another)).await;
    let job = installation.submit(1, python).await;
    let status = installation.ended(job).await;
    let reason = status.reason.as_ref();
    assert_eq!(reason.map(Reason::fault), Some(Fault::System), "{status:?}");
    assert!(reason.is_some_and(|reason| reason.text().contains(&another[7..])), "{status:?}");
    assert!(installation.stored("summary.csv").is_empty());
    installation.nothing_is_left();
}

/// A script that names Ocean's image for Node.js, and programs: a file of the dataset and a parameter are their standard input.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_script_for_node_and_programs_read_in_pods_what_their_entrypoints_name() {
    let bundle = made("javascript", "bundle");
    let installation = Installation::open_with("stdin", &environment("javascript", &bundle)).await;
    let script = |job: &mut JobSpec| {
        job.algorithm.interpreter = Some("javascript".parse().expect("a name"));
        job.algorithm.container.image = "node".to_owned();
        job.algorithm.container.entrypoint = "node $ALGO --top '3 $(4)' < $DATASET/0".to_owned();
        job.algorithm.source = program(ROWS.as_bytes());
        job.limits.memory_bytes = 256 << 20;
    };
    let cat = wat::parse_str(CAT).expect("a guest");
    let of_file = |job: &mut JobSpec| {
        job.algorithm.container.entrypoint = "$ALGO < $DATASET/0".to_owned();
        job.algorithm.source = program(&cat);
    };
    let of_parameter = |job: &mut JobSpec| {
        job.algorithm.container.entrypoint = "$ALGO <<< \"$note\"".to_owned();
        job.algorithm.source = program(&cat);
        // A kubelet puts variables in the place of `$(NAME)`, and a text may begin as an option does.
        job.parameters = Some(Secret::new(json!({"note": "--home $(HOME)\n$$<"})));
    };
    let jobs = [
        installation.submit(1, script).await,
        installation.submit(2, of_file).await,
        installation.submit(3, of_parameter).await,
    ];
    for job in jobs {
        let status = installation.ended(job).await;
        let log = String::from_utf8_lossy(&installation.stored("log").concat()).into_owned();
        assert_eq!(status.phase, Phase::Finished, "{status:?} {log}");
    }
    if cluster::own_cluster().is_some() {
        let logs = installation.stored("log");
        let is_log = |expected: &str| logs.iter().any(|log| log == expected.as_bytes());
        assert!(is_log(TABLE) && is_log("--home $(HOME)\n$$<\n"), "{}", String::from_utf8_lossy(&logs.concat()));
        let outputs = installation.stored("");
        let has = |text: &str| outputs.iter().any(|content| String::from_utf8_lossy(content).contains(text));
        assert!(has(r#"{"rows":3,"same":true}"#), "what the script read is not the table");
        assert!(has("no network: ") && has("arguments: --top|3 $(4)\n"), "{}", String::from_utf8_lossy(&logs.concat()));
        let mut reports = outputs.iter().filter_map(|content| serde_json::from_slice::<Value>(content).ok());
        let interpreted = reports.find(|found| found["algorithm"]["runtime"]["name"] == "javascript");
        let report = interpreted.expect("the report of the script");
        assert_eq!(report["usage"]["compileMs"], Value::Null, "{report:#}");
    }
    installation.nothing_is_left();
}
