//! The same from a terminal: the commands of `cloister`, as people and their scripts use them.

use crate::scenario::{Scenario, penguins};
use cloister_tests::{
    guest, root,
    service::{Setup, Who, cloister, writing},
    shared_home,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

/// A command with an account's key, in a folder of its own.
pub(crate) fn command(scenario: &Scenario, who: &Who, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(cloister());
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command.env("CLOISTER_URL", scenario.service.url()).env("CLOISTER_KEY", &who.key);
    command.output().expect("the program starts")
}

/// What a command printed that has to end with this code.
#[track_caller]
pub(crate) fn prints(output: &Output, code: i32) -> String {
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}\n{complained}");
    assert!(!complained.contains("panicked"), "{complained}");
    said.into_owned()
}

const DATASET: &str = "apiVersion: cloister.dev/v1alpha1
kind: Dataset
metadata: { name: penguins }
spec:
  title: Palmer penguins
  files: [{ type: file, path: ./penguins.csv }]
";

const ALGORITHM: &str = "apiVersion: cloister.dev/v1alpha1
kind: Algorithm
metadata: { name: column-stats }
spec:
  files: [{ type: file, path: ./column-stats.wasm }]
";

#[test]
fn publishing_allowing_computing_and_fetching_from_a_terminal() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, .. } = &scenario;
    let folder = service.folder().join("work");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("penguins.csv"), penguins()).expect("written");
    fs::write(folder.join("dataset.yaml"), DATASET).expect("written");
    fs::write(folder.join("algorithm.yaml"), ALGORITHM).expect("written");
    fs::copy(guest("column-stats.p1.wasm"), folder.join("column-stats.wasm")).expect("copied");
    let run = |who: &Who, arguments: &[&str]| command(&scenario, who, &folder, arguments);

    assert!(prints(&run(carol, &["whoami"]), 0).contains("consumer"));
    let _ = prints(&run(alice, &["apply", "-f", "dataset.yaml"]), 0);
    let _ = prints(&run(bob, &["apply", "-f", "algorithm.yaml"]), 0);
    let job = ["job", "submit", "-d", "alice/penguins", "-a", "bob/column-stats", "-p", "groupBy=species", "--wait"];
    let denied = run(carol, &job);
    let _ = prints(&denied, 3);
    assert!(String::from_utf8_lossy(&denied.stderr).contains("trusts neither"), "it says why");
    // Nothing is allowed that was not looked at.
    let _ = prints(&run(alice, &["dataset", "allow", "penguins", "bob/column-stats"]), 2);
    let shown = prints(&run(alice, &["algorithm", "show", "bob/column-stats", "-o", "json"]), 0);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let allow = ["dataset", "allow", "penguins", "bob/column-stats", "--checksum"];
    let other = "ab".repeat(32);
    let _ = prints(&run(alice, &[&allow[..], &[&other]].concat()), 6);
    let checksum = shown["filesChecksum"].as_str().expect("a checksum");
    let _ = prints(&run(alice, &[&allow[..], &[checksum]].concat()), 0);
    let diff = ["algorithm", "diff", "bob/column-stats", "--dataset", "penguins"];
    assert!(prints(&run(alice, &diff), 0).contains("the same: "), "what is published is what was allowed");
    let said = prints(&run(carol, &job), 0);
    let id = said.split_whitespace().find(|word| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let id = id.unwrap_or_else(|| panic!("no id: {said}"));

    let shown: Value = serde_json::from_str(&prints(&run(carol, &["job", "show", id, "-o", "json"]), 0)).expect("JSON");
    assert_eq!(shown["phase"], "Finished");
    let _ = prints(&run(carol, &["job", "results", id, "--dir", "results"]), 0);
    let fetched = fs::read(folder.join("results/statistics.json")).expect("a result");
    assert_eq!(fetched, service.result(carol, id, "statistics.json"));
    let _ = prints(&run(carol, &["job", "receipt", id, "--verify"]), 0);
    // A receipt that was changed does not verify.
    let receipt = prints(&run(carol, &["job", "receipt", id, "-o", "json"]), 0);
    fs::write(folder.join("receipt.json"), receipt.replace("Finished", "Stopped")).expect("written");
    let _ = prints(&run(carol, &["job", "receipt", "--file", "receipt.json", "--verify"]), 1);

    // The codes for scripts.
    let nothing = "0".repeat(32);
    let _ = prints(&run(carol, &["job", "show", &nothing]), 4);
    let _ = prints(&run(carol, &["job", "show", "x"]), 2);
    let _ = prints(&run(carol, &["audit", "list"]), 3);
    let _ = prints(&run(carol, &["--url", "http://127.0.0.1:1", "whoami"]), 5);
    let forged = Who { key: carol.key.replace("clk_", "clk_0"), ..carol.clone() };
    let _ = prints(&run(&forged, &["whoami"]), 3);
    let _ = prints(&run(carol, &["job", "delete", id]), 0);
    let _ = prints(&run(carol, &["job", "show", id]), 4);

    // Its author publishes another program: the dataset allows the one before, of which its publisher has kept a copy.
    let kept = folder.join("review");
    fs::create_dir(&kept).expect("made");
    fs::copy(folder.join("column-stats.wasm"), kept.join("algorithm-0")).expect("copied");
    let program = wat::parse_str(writing(&[("a", "b")])).expect("a WAT text");
    fs::write(folder.join("column-stats.wasm"), program).expect("written");
    let _ = prints(&run(bob, &["apply", "-f", "algorithm.yaml"]), 0);
    let said = prints(&run(alice, &[&diff[..], &["--kept", "review", "-o", "json"]].concat()), 1);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let states: Vec<&Value> = said["parts"].as_array().into_iter().flatten().map(|part| &part["state"]).collect();
    assert_eq!(states, ["changed", "same"], "{said}");
    assert_eq!((&said["parts"][0]["allowed"], &said["kept"]), (&Value::from(checksum), &json!(["review/algorithm-0"])));
    let _ = prints(&run(alice, &["dataset", "disallow", "penguins", "bob/column-stats"]), 0);
    let _ = prints(&run(alice, &diff), 4);
}

/// Old records go into files, whatever was cut off; log and files are verified together and apart.
#[test]
fn old_records_are_archived_and_verified() {
    let scenario = Scenario::with(Setup::new().set("audit.keep", "0s"));
    let Scenario { service, carol, .. } = &scenario;
    let operator = &service.operator;
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("archive");
    let into = archive.to_str().expect("text");
    let run = |who: &Who, arguments: &[&str]| command(&scenario, who, folder.path(), arguments);
    let verified = |arguments: &[&str]| -> Value {
        let arguments = [&["audit", "verify", "-o", "json"], arguments].concat();
        serde_json::from_str(&prints(&run(operator, &arguments), 0)).expect("JSON")
    };
    let take_out = |before: &str| run(operator, &["audit", "archive", "--before", before, "--into", into]);
    let head = verified(&[])["head"].as_str().expect("a hash").to_owned();
    let _ = prints(&run(carol, &["audit", "archive", "--before", "2999-01-01", "--into", into]), 3);
    let _ = prints(&take_out("2000-01-01"), 0);
    assert_eq!(fs::read_dir(&archive).expect("a folder").count(), 0, "nothing is old enough");
    let _ = prints(&take_out("2999-01-01"), 0);
    let alone = verified(&[]);
    assert_eq!(alone["records"], 1, "{alone}");
    let unseen = alone["unseen"].as_u64().expect("a number");
    let whole = verified(&["--archive", into, "--head", &head]);
    assert_eq!((&whole["records"], &whole["unseen"]), (&json!(unseen + 1), &Value::Null));
    // The records in the files stay when their log goes on, and another call goes on after them.
    let _ = service.account("dave", "consumer");
    let _ = prints(&take_out("2999-01-01"), 0);
    let whole = verified(&["--archive", into]);
    assert_eq!(whole["unseen"], Value::Null, "{whole}");
    let mut files: Vec<_> =
        fs::read_dir(&archive).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");

    // Cut off after a file was in its place and before its records were out of the log: the next call takes them out.
    let _ = service.account("erin", "consumer");
    let log = prints(&run(operator, &["audit", "export"]), 0);
    let (first, last) = (log.lines().next().expect("a record"), log.lines().last().expect("a record"));
    let sequence =
        |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["sequence"].as_u64().expect("a number");
    fs::write(archive.join(format!("audit-{:020}-{:020}.jsonl", sequence(first), sequence(last))), &log)
        .expect("written");
    let _ = verified(&["--archive", into]);
    let _ = prints(&take_out("2000-01-01"), 0);
    assert_eq!(verified(&[])["unseen"], sequence(last));
    let _ = verified(&["--archive", into]);

    // Also without the service, and never after a change.
    let content = fs::read_to_string(&files[0]).expect("read");
    fs::write(&files[0], content.replacen("key-created", "key-revoked", 1)).expect("written");
    let _ = prints(&run(operator, &["audit", "verify", "--archive", into]), 1);
    let _ = prints(&take_out("2999-01-01"), 1);
    fs::write(&files[0], content).expect("written");
    let _ = verified(&["--archive", into]);
    fs::rename(&files[1], folder.path().join("away")).expect("moved");
    let _ = prints(&run(operator, &["audit", "verify", "--archive", into]), 1);
}

#[test]
fn uploads_are_listed_and_deleted() {
    let scenario = Scenario::with(Setup::new().set("uploads.per_account", "100B"));
    let Scenario { service, carol, .. } = &scenario;
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| command(&scenario, carol, folder.path(), arguments);
    let sha256 = service.upload(carol, &[1; 90]);
    let listed: Value = serde_json::from_str(&prints(&run(&["upload", "list", "-o", "json"]), 0)).expect("JSON");
    assert_eq!((&listed["usedBytes"], &listed["limitBytes"]), (&json!(90), &json!(100)), "{listed}");
    assert!(prints(&run(&["uploads", "list"]), 0).contains(&sha256));
    let _ = prints(&run(&["upload", "delete", &sha256]), 0);
    let _ = prints(&run(&["upload", "rm", &sha256]), 4);
    assert_eq!(service.upload(carol, &[2; 90]).len(), 64);
}

#[test]
fn the_demo_succeeds_and_shows_each_step() {
    for name in ["column-stats.p1.wasm", "exfiltrate.p1.wasm"] {
        let _ = guest(name);
    }
    let mut command = Command::new(cloister());
    command.arg("demo").arg("--repository").arg(root()).arg("--sandbox-home").arg(shared_home());
    let output = command.env_remove("CLOISTER_SANDBOX_HOME").stdin(Stdio::null()).output().expect("the program starts");
    let said = prints(&output, 0);
    assert!(said.contains("Gentoo") || said.contains("Finished"), "{said}");
}
