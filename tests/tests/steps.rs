//! The steps of a job as programs, one after the other, by hand: `cloister step configure`, `sandbox run`, `cloister step
//! filter`, `cloister step publish`. What a pod of each step would do.

use cloister_model::{
    Check, ConfigureOrder, FileReport, FilesChecksum, FilterOrder, JobId, JobInput, JobSource, Limits,
    OrderedAlgorithm, OutputContract, PublishOrder, ReleaseRules, Report, ResultFile, Secret, Sha256, Source,
    StepFailure, StepName, StepReport, StepResult, StepVersion,
};
use cloister_tests::{guest, program, sandbox, service, service::Server, shared_home};
use serde::Serialize;
use serde_json::json;
use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const JOB: JobId = JobId::from_bytes([7; 16]);
const PENGUINS: &[u8] = include_bytes!("../../data/penguins.csv");

/// A service's folder, and a job's beside it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().expect("a folder");
        for folder in ["home/uploads", "job"] {
            fs::create_dir_all(directory.path().join(folder)).expect("a folder");
        }
        Self { directory }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn upload(&self, bytes: &[u8]) -> Sha256 {
        let sha256 = Sha256::of(bytes);
        fs::write(self.at("home/uploads").join(sha256.to_string()), bytes).expect("a file");
        sha256
    }

    /// Runs a step, with nothing else in its environment.
    fn step(&self, name: &str, order: &impl Serialize, more: &[&str]) -> Output {
        fs::write(self.at("order.json"), serde_json::to_vec(order).expect("json")).expect("an order");
        let _ = fs::remove_file(self.at("report.json"));
        let mut command = Command::new(service::cloister());
        command.env_clear().current_dir(self.directory.path()).args(["step", name, "--home", "home"]);
        command.args(["--order", "order.json", "--report", "report.json"]);
        command.args(["--set", "sources.allow_networks=127.0.0.0/8"]).arg("--set");
        command.arg(format!("sandbox_home={}", shared_home().display())).arg("--set");
        command.arg(format!("sandbox={}", sandbox().display())).args(more);
        command.output().expect("a process")
    }

    #[track_caller]
    fn report(&self, output: &Output, code: i32) -> StepReport {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        serde_json::from_slice(&fs::read(self.at("report.json")).expect("a report")).expect("a report")
    }

    fn publish(&self, order: &PublishOrder) -> Output {
        self.step("publish", order, &["--outputs", "job/outputs", "--log", "job/log"])
    }

    fn filter(&self, order: &FilterOrder) -> Output {
        self.step("filter", order, &["--outputs", "job/outputs", "--log", "job/log", "--scratch", "job/checks"])
    }
}

fn configure_order(algorithm: Sha256, url: &str) -> ConfigureOrder {
    let file = json!([{"type": "url", "url": url, "sha256": Sha256::of(PENGUINS)}]);
    let did = || "penguins".parse().expect("a DID");
    ConfigureOrder {
        version: StepVersion::V1,
        job: JOB,
        algorithm: OrderedAlgorithm {
            did: None,
            ddo: None,
            source: JobSource::Files(Source::upload(algorithm).into()),
        },
        inputs: vec![JobInput {
            did: did(),
            ddo: Some(json!({"id": "did:op:penguins"})),
            source: JobSource::Files(serde_json::from_value(file).expect("sources")),
        }],
        parameters: None,
        trusted: serde_json::from_value(json!([{
            "did": did(), "service": "compute", "by": "trusted-algorithm",
            "filesChecksums": [FilesChecksum::of(vec![algorithm]).expect("a checksum")],
        }]))
        .expect("trusted"),
        checks: Vec::new(),
    }
}

fn run_algorithm(place: &Place) -> Report {
    let data = place.at("job/data");
    let output = program()
        .current_dir(place.at("job"))
        .arg("run")
        .arg(data.join("transformations/algorithm"))
        .args(["--data", "data", "--outputs", "outputs", "--report", "report.json", "--log", "log"])
        .args(["--dids", "penguins", "--require-isolation", "--json"])
        .output()
        .expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&fs::read(place.at("job/report.json")).expect("a report")).expect("a report")
}

fn filter_order(outputs: Vec<FileReport>, output_directories: u64, checks: Vec<Check>) -> FilterOrder {
    FilterOrder {
        version: StepVersion::V1,
        job: JOB,
        contract: OutputContract::default(),
        release: ReleaseRules { checks, ..ReleaseRules::default() },
        check_limits: Limits::default(),
        outputs,
        output_directories,
        unreported: false,
    }
}

fn publish_order(files: Vec<ResultFile>) -> PublishOrder {
    PublishOrder { version: StepVersion::V1, job: JOB, files, encrypt_to: None }
}

#[test]
fn a_job_can_be_carried_out_by_hand() {
    let place = Place::new();
    let server = Server::of(PENGUINS);
    let algorithm = place.upload(&fs::read(guest("column-stats.p1.wasm")).expect("the sample"));

    let order = configure_order(algorithm, &server.url("/penguins.csv"));
    let report = place.report(&place.step("configure", &order, &["--into", "job/data"]), 0);
    let StepResult::Configured { files, algorithm: checksum, .. } = &report.result else { panic!("{report:?}") };
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        ["ddos/penguins", "inputs/algoCustomData.json", "inputs/penguins/0", "transformations/algorithm"]
    );
    assert_eq!((report.job, report.step, checksum.files()), (JOB, StepName::Configure, [algorithm].as_slice()));
    assert_eq!(fs::read(place.at("job/data/inputs/penguins/0")).expect("the data"), PENGUINS);
    let fetched = report.progress.expect("progress").done_bytes;
    assert!(fetched >= u64::try_from(PENGUINS.len()).expect("a size"), "{fetched}");

    let run = run_algorithm(&place);
    assert!(!run.outputs.is_empty(), "column-stats writes a table");

    let agrees = place.upload(&wat::parse_str(service::NOTHING).expect("a guest"));
    let check = |sha256| Check { name: "small groups".to_owned(), sha256 };
    let order = filter_order(run.outputs.clone(), run.output_directories, vec![check(agrees)]);
    let report = place.report(&place.filter(&order), 0);
    let StepResult::Passed { files } = report.result else { panic!("{report:?}") };
    assert_eq!(files.len(), run.outputs.len() + 1, "the outputs and the log");

    let report = place.report(&place.publish(&publish_order(files.clone())), 0);
    let StepResult::Published { files: stored } = &report.result else { panic!("{report:?}") };
    assert_eq!(*stored, files);
    let stored = fs::read(place.at("home/results").join(JOB.to_string()).join("files/0")).expect("a result");
    assert_eq!(stored, fs::read(place.at("job/outputs").join(&files[0].name)).expect("an output"));
}

/// As in a pod: the home folder is empty, and the store of results is the one that the settings name, read-only.
#[test]
fn configuration_finds_uploads_in_the_store_of_results() {
    let place = Place::new();
    let server = Server::of(PENGUINS);
    let algorithm = Sha256::of(b"a program");
    let store = place.at("store");
    let setting = format!("results.url=file://{}", store.display());
    let more = ["--into", "job/data", "--set", &setting];

    // An order that needs nothing of the store does not ask whether it is there.
    let mut order = configure_order(algorithm, &server.url("/penguins.csv"));
    order.algorithm.source = JobSource::Rawcode(Secret::new("a program".to_owned()));
    place.report(&place.step("configure", &order, &more), 0);
    assert!(!store.exists(), "it was made, in a pod that cannot see it");
    fs::remove_dir_all(place.at("job/data")).expect("removed");

    let order = configure_order(algorithm, &server.url("/penguins.csv"));
    let report = place.report(&place.step("configure", &order, &more), 1);
    assert!(matches!(report.result, StepResult::Failed { failure: StepFailure::Algorithm, .. }), "{report:?}");

    let upload = store.join("uploads").join(algorithm.to_string());
    fs::create_dir_all(store.join("uploads")).expect("a folder");
    fs::write(&upload, "a pr0gram").expect("an upload");
    let report = place.report(&place.step("configure", &order, &more), 1);
    assert!(matches!(report.result, StepResult::Failed { failure: StepFailure::Algorithm, .. }), "{report:?}");
    assert!(!place.at("job/data/transformations/algorithm").exists(), "it was laid out");

    fs::write(&upload, "a program").expect("an upload");
    for folder in [store.join("uploads"), store.clone()] {
        fs::set_permissions(&folder, Permissions::from_mode(0o500)).expect("read-only");
    }
    place.report(&place.step("configure", &order, &more), 0);
    assert_eq!(fs::read(place.at("job/data/transformations/algorithm")).expect("the program"), b"a program");
    for folder in [store.clone(), store.join("uploads")] {
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("writable again");
    }
}

#[test]
fn outputs_that_a_program_refuses_do_not_leave() {
    let place = Place::new();
    fs::create_dir(place.at("job/outputs")).expect("a folder");
    fs::write(place.at("job/outputs/a.csv"), "a\n1\n").expect("an output");
    let outputs = vec![FileReport { path: "a.csv".to_owned(), bytes: 4, sha256: Sha256::of(b"a\n1\n") }];
    let refuses = place.upload(&wat::parse_str(service::EXITS_WITH_7).expect("a guest"));
    let check = Check { name: "small groups".to_owned(), sha256: refuses };
    let report = place.report(&place.filter(&filter_order(outputs, 0, vec![check])), 1);
    let StepResult::Failed { failure: StepFailure::Outputs, rule, reason, .. } = report.result else {
        panic!("{report:?}")
    };
    assert_eq!(rule.as_deref(), Some("check"));
    assert!(reason.text().contains("small groups"), "{}", reason.text());
}

#[test]
fn what_was_changed_after_it_was_checked_is_not_stored() {
    let place = Place::new();
    fs::create_dir(place.at("job/outputs")).expect("a folder");
    fs::write(place.at("job/log"), "").expect("a log");
    fs::write(place.at("job/outputs/a.csv"), "a\n1\n").expect("an output");
    let outputs = vec![FileReport { path: "a.csv".to_owned(), bytes: 4, sha256: Sha256::of(b"a\n1\n") }];
    let report = place.report(&place.filter(&filter_order(outputs, 0, Vec::new())), 0);
    let StepResult::Passed { files } = report.result else { panic!("{report:?}") };
    fs::write(place.at("job/outputs/a.csv"), "a\n2\n").expect("an output");
    let report = place.report(&place.publish(&publish_order(files)), 1);
    let StepResult::Failed { failure: StepFailure::Results, .. } = report.result else { panic!("{report:?}") };
    assert!(!place.at("home/results").join(JOB.to_string()).join("manifest.json").exists());
}

/// An engine waits for the store, and has the step done again: nothing of the outputs is changed, and the answer says so.
#[test]
fn a_store_that_is_away_is_said_to_be_away_also_in_the_message_of_a_pod() {
    let place = Place::new();
    fs::create_dir(place.at("job/outputs")).expect("a folder");
    fs::write(place.at("job/log"), "what it printed").expect("a log");
    fs::write(place.at("job/outputs/a.csv"), "a\n1\n").expect("an output");
    let outputs = vec![FileReport { path: "a.csv".to_owned(), bytes: 4, sha256: Sha256::of(b"a\n1\n") }];
    let report = place.report(&place.filter(&filter_order(outputs, 0, Vec::new())), 0);
    let StepResult::Passed { files } = report.result else { panic!("{report:?}") };
    // Nothing listens there, and the system gives that port to no other test.
    let options = json!({
        "endpoint": "http://127.0.0.1:1", "region": "us-east-1", "allow_http": "true",
        "access_key_id": "a", "secret_access_key": "SECRET"
    });
    let options = format!("results.options={options}");
    let mut more = vec!["--outputs", "job/outputs", "--log", "job/log", "--termination-message", "message"];
    more.extend(["--set", "results.url=s3://bucket/results", "--set", &options]);
    let kept = ["--run-log", "job/log", "--run-log-bytes", "100"];
    // Where the log of the run is kept first, it is the same.
    for also in [[].as_slice(), &kept] {
        let report = place.report(&place.step("publish", &publish_order(files.clone()), &[&more, also].concat()), 1);
        let StepResult::Failed { failure: StepFailure::StoreAway, reason, .. } = report.result else {
            panic!("{report:?}")
        };
        assert!(reason.text().contains("the result store does not answer"), "{}", reason.text());
        let message = fs::read_to_string(place.at("message")).expect("a message");
        assert!(message.contains("store-away") && !message.contains("SECRET"), "{message}");
    }
    assert_eq!(fs::read(place.at("job/outputs/a.csv")).expect("an output"), b"a\n1\n");
}

/// What is known of a run without results is kept as soon as the store takes it.
#[test]
fn the_log_of_a_run_without_results_is_tried_again() {
    let place = Place::new();
    fs::write(place.at("job/log"), "what it printed").expect("a log");
    fs::create_dir(place.at("home/results")).expect("a folder");
    // A file is where the folder of the job would be.
    let in_the_way = place.at("home/results").join(JOB.to_string());
    fs::write(&in_the_way, "").expect("a file");
    let mut command = Command::new(service::cloister());
    command.env_clear().current_dir(place.directory.path()).args(["step", "keep", "--home", "home"]);
    command.args(["--job", &JOB.to_string(), "--run-log", "job/log", "--run-log-bytes", "100"]);
    command.args(["--termination-message", "message"]).stderr(Stdio::piped());
    let mut keeps = command.spawn().expect("a process");
    let mut said = BufReader::new(keeps.stderr.take().expect("what it says")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("it is tried again")), "it has ended");
    assert!(!place.at("message").exists(), "nothing is kept yet");
    fs::remove_file(&in_the_way).expect("removed");
    assert!(keeps.wait().expect("its end").success());
    assert_eq!(fs::read(in_the_way.join("log")).expect("a log"), b"what it printed");
    assert!(place.at("message").exists());
}

#[test]
fn other_files_than_trusted_do_not_run_and_no_data_is_fetched() {
    let place = Place::new();
    let server = Server::of(PENGUINS);
    let mut order = configure_order(place.upload(b"trusted"), &server.url("/"));
    order.algorithm.source = JobSource::Files(Source::upload(place.upload(b"another")).into());
    let report = place.report(&place.step("configure", &order, &["--into", "job/data"]), 1);
    let StepResult::Failed { failure: StepFailure::Algorithm, .. } = report.result else { panic!("{report:?}") };
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn an_order_of_another_step_or_version_is_refused_without_quoting_it() {
    let place = Place::new();
    let order = configure_order(Sha256::of(b"x"), "http://user:SECRET@127.0.0.1:9/");
    let mut later = serde_json::to_value(&order).expect("json");
    later["version"] = "SECRET".into();
    for (step, order, more) in [
        ("publish", json!(order), ["--outputs", "job", "--log", "job/log"].as_slice()),
        ("configure", later, &["--into", "job/data"]),
    ] {
        let output = place.step(step, &order, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("is not an order for this step") && !said.contains("SECRET"), "{said}");
        assert!(!Path::exists(&place.at("report.json")));
    }
}
