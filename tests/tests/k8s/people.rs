//! What people do with an installation: the words of docs/kubernetes.md, once over HTTP and once with kubectl alone.

use super::deployed::{Installation, SYSTEM, kubectl};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloister_tests::cluster;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

const TABLE: &str = "age,weight\n41,70\n52,81\n38,64\n";

/// The namespace of an account.
const ALICE: &str = "team-alice";

/// The service's address on this machine, while this lives.
struct Forward {
    process: Child,
    url: String,
}

impl Forward {
    fn open() -> Self {
        let mut process = cluster::command(&["--namespace", SYSTEM, "port-forward", "service/cloister", ":80"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl");
        let mut line = String::new();
        let out = process.stdout.take().expect("its output");
        let mut reader = BufReader::new(out);
        reader.read_line(&mut line).expect("a line");
        // Forwarding from 127.0.0.1:40123 -> 8090
        let address = line.split_whitespace().nth(2).unwrap_or_else(|| panic!("no address in {line:?}"));
        let url = format!("http://{address}");
        // What it prints later must not stop it.
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        Self { process, url }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `cloister` as one of the people runs it, in a folder of their own.
#[derive(Clone)]
struct Person<'a> {
    url: &'a str,
    key: String,
    folder: &'a Path,
}

impl Person<'_> {
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(cloister_testkit::program("cloister").expect("the program"));
        let output = command
            .args(arguments)
            .current_dir(self.folder)
            .env("CLOISTER_URL", self.url)
            .env("CLOISTER_KEY", &self.key)
            .output()
            .expect("it ends");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cloister {arguments:?}: {complaint}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// A key for another account.
    fn key_of(&self, account: &str, role: &str) -> String {
        self.run(&["key", "create", "--account", account, "--role", role]).trim().to_owned()
    }
}

/// A steward publishes a table, an author a program; the steward allows it; a scientist runs it and fetches the results.
pub(super) fn over_http(installation: &Installation) {
    let forward = Forward::open();
    let folder = tempfile::tempdir().expect("a folder");
    let operator = Person { url: &forward.url, key: installation.operator_key(), folder: folder.path() };
    let person = |account: &str, role: &str| Person { key: operator.key_of(account, role), ..operator.clone() };
    let (alice, bob) = (person("alice", "publisher"), person("bob", "publisher"));
    let carol = person("carol", "consumer");
    write_manifests(folder.path());
    alice.run(&["dataset", "apply", "-f", "table.yaml"]);
    bob.run(&["algorithm", "apply", "-f", "stats.yaml"]);
    alice.run(&["algorithm", "fetch", "bob/stats", "--dir", "review"]);
    let shown: Value =
        serde_json::from_str(&alice.run(&["algorithm", "show", "bob/stats", "-o", "json"])).expect("an algorithm");
    let inspected = shown["filesChecksum"].as_str().unwrap_or_else(|| panic!("no checksum: {shown}"));
    alice.run(&["dataset", "allow", "table", "bob/stats", "--checksum", inspected]);
    let job = carol.run(&["job", "submit", "--dataset", "alice/table", "--algorithm", "bob/stats", "-o", "json"]);
    let job: Value = serde_json::from_str(&job).expect("JSON");
    let job = job["id"].as_str().unwrap_or_else(|| panic!("{job}"));
    carol.run(&["job", "follow", job]);
    carol.run(&["job", "results", job, "--dir", "results"]);
    let written = fs::read_dir(folder.path().join("results")).expect("results").count();
    assert!(written > 0);
    let receipt: Value = serde_json::from_str(&carol.run(&["job", "receipt", job, "-o", "json"])).expect("a receipt");
    assert!(receipt.to_string().contains(job), "{receipt}");
    operator.run(&["audit", "verify"]);
}

/// The same with kubectl alone.
pub(super) fn by_kubectl(_: &Installation) {
    let folder = tempfile::tempdir().expect("a folder");
    kubectl(&["create", "namespace", ALICE]);
    kubectl(&["label", "namespace", ALICE, "cloister.dev/account=alice"]);
    let account = format!("--serviceaccount={SYSTEM}:cloister-api");
    kubectl(&["--namespace", ALICE, "create", "rolebinding", "cloister", "--clusterrole=cloister:account", &account]);
    let program = STANDARD.encode(wat::parse_str(cloister_testkit::guests::WRITES).expect("a guest"));
    let manifests = [
        format!(
            "apiVersion: cloister.dev/v1alpha1\nkind: Algorithm\nmetadata: {{name: numbers}}\nspec:\n  title: Numbers\n  files:\n    \
             - {{type: inline, base64: {program}}}\n  algorithm:\n    container: {{image: wasm, entrypoint: $ALGO}}\n"
        ),
        format!(
            "apiVersion: cloister.dev/v1alpha1\nkind: Dataset\nmetadata: {{name: weights}}\nspec:\n  title: Weights\n  files:\n    \
             - {{type: inline, base64: {}}}\n  compute:\n    publisherTrustedAlgorithmPublishers: [alice]\n",
            STANDARD.encode(TABLE)
        ),
    ];
    for (number, manifest) in manifests.iter().enumerate() {
        let file = folder.path().join(format!("{number}.yaml"));
        fs::write(&file, manifest).expect("written");
        kubectl(&["--namespace", ALICE, "apply", "-f", &file.display().to_string()]);
    }
    for asset in ["algorithm/numbers", "dataset/weights"] {
        kubectl(&["--namespace", ALICE, "wait", "--for=condition=Ready", "--timeout=120s", asset]);
    }
    let did = |asset: &str| kubectl(&["--namespace", ALICE, "get", asset, "-o", "jsonpath={.status.did}"]);
    let request = format!(
        "apiVersion: cloister.dev/v1alpha1\nkind: JobRequest\nmetadata: {{name: first}}\nspec:\n  datasets: [{{did: '{}'}}]\n  algorithm: \
         {{did: '{}'}}\n",
        did("dataset/weights"),
        did("algorithm/numbers")
    );
    let file = folder.path().join("request.yaml");
    fs::write(&file, request).expect("written");
    kubectl(&["--namespace", ALICE, "apply", "-f", &file.display().to_string()]);
    let wait = ["--namespace", ALICE, "wait", "--for=condition=Complete", "--timeout=240s", "jobrequest/first"];
    let waited = cluster::run(&wait, b"");
    assert!(
        waited.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&waited.stderr),
        kubectl(&["--namespace", ALICE, "get", "jobrequest/first", "-o", "yaml"])
    );
    let results = kubectl(&["--namespace", ALICE, "get", "secret", "first-results", "-o", "json"]);
    let results: Value = serde_json::from_str(&results).expect("JSON");
    let files = results["data"].as_object().expect("files");
    assert!(!files.is_empty(), "{results}");
    // An algorithm that the dataset does not allow is denied, with the rule.
    let other = "apiVersion: cloister.dev/v1alpha1\nkind: JobRequest\nmetadata: {name: unknown}\nspec:\n  datasets: [{did: 'did:op:0000'}]\n  algorithm: {rawcode: 'x'}\n";
    fs::write(&file, other).expect("written");
    kubectl(&["--namespace", ALICE, "apply", "-f", &file.display().to_string()]);
    kubectl(&["--namespace", ALICE, "wait", "--for=condition=Failed", "--timeout=60s", "jobrequest/unknown"]);
    kubectl(&["delete", "namespace", ALICE, "--wait=false"]);
}

fn write_manifests(folder: &Path) {
    fs::write(folder.join("table.csv"), TABLE).expect("written");
    let sample = cloister_testkit::guest("column-stats.p1.wasm").expect("the sample");
    fs::copy(sample, folder.join("stats.wasm")).expect("copied");
    fs::write(
        folder.join("table.yaml"),
        "apiVersion: cloister.dev/v1alpha1\nkind: Dataset\nmetadata: {name: table}\nspec:\n  title: A table\n  files: [{type: file, path: table.csv}]\n  compute: {}\n",
    )
    .expect("written");
    fs::write(
        folder.join("stats.yaml"),
        "apiVersion: cloister.dev/v1alpha1\nkind: Algorithm\nmetadata: {name: stats}\nspec:\n  title: Statistics\n  files: [{type: file, path: stats.wasm}]\n  algorithm:\n    inspectors: [alice]\n    container: {image: wasm, entrypoint: $ALGO}\n",
    )
    .expect("written");
}
