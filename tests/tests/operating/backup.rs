//! `cloister backup` of a service that works, and `cloister restore` on another machine.

use cloister_model::Phase;
use cloister_tests::service::{ENDLESS, Service, Setup, Who, cloister, phase, text, writing};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    thread,
};

/// Runs the program with a service's folder.
fn run(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(cloister());
    command.args(arguments).arg("--home").arg(home).env_remove("CLOISTER_KEY").env_remove("CLOISTER_URL");
    command.output().expect("the program starts")
}

#[track_caller]
fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn job_on(service: &Service, who: &Who, dataset: &str, wat: &str) -> serde_json::Value {
    json!({"datasets": [dataset], "algorithm": service.raw(who, wat)})
}

/// A service that has finished a job, has one in review and one that runs.
struct Busy {
    service: Service,
    alice: Who,
    carol: Who,
    dataset: String,
    finished: String,
    in_review: String,
    running: String,
}

fn busy() -> Busy {
    let service = Setup::new().start();
    let (alice, carol) = (service.account("alice", "publisher"), service.account("carol", "consumer"));
    let dataset = service.open_dataset(&alice, "d");
    let reviewed = service.publish_dataset(
        &alice,
        "reviewed",
        &json!({"files": [{"type": "inline", "content": "data"}],
            "compute": {"allowRawAlgorithm": true, "outputContract": {"review": true}}}),
    );
    let output = writing(&[("result.txt", "the answer")]);
    let finished = service.finish(&carol, &job_on(&service, &carol, &dataset, &output));
    let in_review = service.submit(&carol, &job_on(&service, &carol, &reviewed, &output));
    let in_review = text(&in_review, "id");
    let _ = service.job_in(&carol, &in_review, Phase::InReview);
    let running = text(&service.submit(&carol, &job_on(&service, &carol, &dataset, ENDLESS)), "id");
    let _ = service.job_in(&carol, &running, Phase::Running);
    Busy { finished, service, alice, carol, dataset, in_review, running }
}

#[test]
fn a_backup_of_a_working_service_is_restored_elsewhere() {
    let Busy { mut service, alice, carol, dataset, finished, in_review, running } = busy();
    let to = service.folder().join("backup");
    // While jobs come and go.
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for _ in 0..5 {
                let _ = service.finish(&carol, &job_on(&service, &carol, &dataset, &writing(&[("a", "b")])));
            }
        });
        let backup = run(&service.home(), &["backup", "--to", to.to_str().expect("a path")]);
        let told = said(&backup);
        assert!(told.contains("files"), "{told}");
        worker.join().expect("the service works on");
    });
    assert_eq!(fs::metadata(&to).expect("there").permissions().mode() & 0o777, 0o700);
    let receipt = service.get(&carol, &format!("/v1/jobs/{finished}/receipt")).expect_json(200);
    // The machine is lost, with everything that ran on it.
    let kept = tempfile::tempdir().expect("a folder");
    let from = kept.path().join("backup");
    service.kill();
    said(&Command::new("cp").arg("-a").arg(&to).arg(&from).output().expect("cp"));
    drop(service);

    let home = kept.path().join("home");
    let told = said(&run(&home, &["restore", "--from", from.to_str().expect("a path")]));
    assert!(told.contains("runtime add python"), "what is to be done next: {told}");
    said(&run(&home, &["audit", "verify", "--offline"]));
    let service = Setup::new().home(&home).start();
    said(&run(&home, &["audit", "verify"]));
    assert_eq!(service.result(&carol, &finished, "result.txt"), b"the answer");
    let again = service.get(&carol, &format!("/v1/jobs/{finished}/receipt")).expect_json(200);
    assert_eq!(again["receipt"], receipt["receipt"]);
    let key = text(&receipt, "publicKey");
    said(&run(&home, &["job", "receipt", &finished, "--verify", "--public-key", &key]));
    // What waits for a reviewer still does, and can be released.
    let approved = service.post(&alice, &format!("/v1/jobs/{in_review}/review"), &json!({"verdict": "approve"}));
    assert!((200..300).contains(&approved.status), "{}", approved.shown());
    assert_eq!(phase(&service.ended(&carol, &in_review)), Phase::Finished);
    assert_eq!(service.result(&carol, &in_review, "result.txt"), b"the answer");
    // An algorithm is not run a second time.
    let lost = service.ended(&carol, &running);
    assert_eq!(phase(&lost), Phase::AlgorithmFailed, "{lost:#}");
    assert_eq!(lost["reason"]["fault"], "system", "{lost:#}");
    let _ = service.finish(&carol, &job_on(&service, &carol, &dataset, &writing(&[("a", "b")])));
}

#[test]
fn a_damaged_backup_and_a_used_folder_are_refused() {
    let service = Service::start();
    let to = service.folder().join("backup");
    let to_text = to.to_str().expect("a path");
    let made = run(&service.home(), &["backup", "--to", to_text, "-o", "json"]);
    said(&made);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    assert!(made["files"].as_u64().is_some_and(|files| files >= 4) && made["results"] == true, "{made}");
    let refused = |home: &Path, arguments: &[&str], code: i32, expected: &str| {
        let output = run(home, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && said.contains(expected), "{:?}: {said}", output.status);
    };
    // Neither is anything written over.
    refused(&service.home(), &["backup", "--to", to_text], 6, "is not empty");
    refused(&service.home(), &["restore", "--from", to_text], 6, "is not empty");
    fs::write(to.join("home/receipt.key"), [7; 32]).expect("written");
    let home = service.folder().join("elsewhere");
    refused(&home, &["restore", "--from", to_text], 1, "receipt.key");
    assert_eq!(fs::read_dir(&home).map_or(0, Iterator::count), 0, "nothing is left of it");
    refused(&home, &["restore", "--from", service.home().to_str().expect("a path")], 1, "not a complete backup");
    refused(&home, &["backup", "--to", service.folder().join("b").to_str().expect("a path")], 2, "--home");
}

#[test]
fn the_first_key_is_in_a_file_and_in_no_log() {
    let service = Service::start();
    let path = service.home().join("operator.key");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&path).expect("the key");
    let logs = service.logs();
    // Standard error is a file here, as the journal would be.
    assert!(logs.contains("operator.key") && !logs.contains(key.trim()), "{logs}");
    assert!(!logs.contains("clk_"), "{logs}");
}
