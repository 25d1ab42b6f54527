//! The programs of a job's three pods, run with the very arguments that the pods are built with, over folders laid out like
//! the volume and the mounts of the pods.

use cloister_k8s_engine::build::{
    Owner, PodSettings, ResultStoreAccess, StepResources, Storage, algorithm, configuration,
    publishing::{self, RunReport},
};
use cloister_model::{
    CommandLine, ConfigureOrder, Did, FilterOrder, JobId, JobInput, JobSource, Limits, ListDigest, OrderedAlgorithm,
    OutputContract, Profile, PublishOrder, ReleaseRules, RunEnd, RunSummary, Said, Sha256, StepFailure, StepMessage,
    StepName, StepVersion,
};
use cloister_tests::{guest, sandbox, service, service::Server};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

const JOB: JobId = JobId::from_bytes([7; 16]);
const PENGUINS: &[u8] = include_bytes!("../../data/penguins.csv");
const CONFIG: &str = "[sources]\nallow_networks = [\"127.0.0.0/8\"]\n";

/// The most bytes of a log that are kept.
const MOST_LOG_BYTES: u64 = 100_000;

/// What the three pods see: the folders of the volume, and what is mounted into single pods.
struct Node {
    directory: TempDir,
}

fn did(name: &str) -> Did {
    name.parse().expect("a DID")
}

fn settings() -> PodSettings {
    let resources = StepResources { cpu_millis: 100, memory_bytes: 1, disk_bytes: 1 };
    PodSettings {
        namespace: "jobs".to_owned(),
        cloister_image: "cloister".to_owned(),
        sandbox_image: "sandbox".to_owned(),
        interpreters: BTreeMap::new(),
        image_pull_secrets: Vec::new(),
        node_selector: BTreeMap::new(),
        tolerations: Vec::new(),
        priority_class: None,
        runtime_class: None,
        container_runtime_class: None,
        user_namespaces: true,
        selinux_levels: true,
        strict_groups: true,
        storage: Storage { class: None, bytes: 1 },
        configuration: resources,
        publishing: resources,
        start_early: false,
        algorithm_cpu_millis: 1,
        sources_secret: Some("sources".to_owned()),
        roots: Vec::new(),
        results: ResultStoreAccess { secret: "results".to_owned(), claim: Some("results".to_owned()) },
    }
}

fn owner() -> Owner {
    Owner { job: JOB, uid: "uid".to_owned() }
}

fn run() -> algorithm::Run {
    algorithm::Run {
        did: Some(did("did:op:algorithm")),
        datasets: vec![did("penguins")],
        contract: OutputContract::default(),
        limits: Limits::default(),
        profile: Profile::Deterministic,
        live_log_bytes: 0,
        interpreter: None,
        command_line: CommandLine::default(),
        roots: Vec::new(),
        awaits_inputs_ms: None,
    }
}

impl Node {
    fn new() -> Self {
        let node = Self { directory: TempDir::new().expect("a folder") };
        for folder in [
            "job/in",
            "job/out",
            "job/run",
            "job/claim",
            "job/control",
            "job/ready",
            "job/checks",
            "scratch",
            "order",
            "etc/cloister",
        ] {
            fs::create_dir_all(node.at(folder)).expect("a folder");
        }
        node
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the next pod: its scratch folder and its termination messages are its own.
    fn next_pod(&self, config: &str) {
        fs::remove_dir_all(self.at("scratch")).expect("removed");
        fs::create_dir(self.at("scratch")).expect("a folder");
        fs::write(self.at("etc/cloister/cloister.toml"), config).expect("a configuration");
    }

    /// Runs a container's program with its arguments, their paths below the node's folder.
    fn run(&self, program: &Path, container: &Value) -> (Output, Option<StepMessage>) {
        let message = self.at("dev/termination-log");
        fs::create_dir_all(self.at("dev")).expect("a folder");
        fs::write(&message, "").expect("a file");
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.directory.path());
        for argument in container["args"].as_array().expect("arguments") {
            let argument = argument.as_str().expect("a text");
            let mounted = ["/job/", "/scratch", "/order", "/etc/cloister", "/dev/termination-log"];
            match mounted.iter().any(|mount| argument.starts_with(mount)) {
                true => command.arg(self.at(&argument[1..])),
                false => command.arg(argument),
            };
        }
        let output = command.output().expect("a process");
        let text = fs::read(message).expect("a message");
        assert!(text.len() <= 3584, "{} bytes", text.len());
        (output, StepMessage::read(&text))
    }

    fn configure(&self, order: &ConfigureOrder) -> (Output, Option<StepMessage>) {
        let text = serde_json::to_vec(order).expect("an order");
        // In several parts, beside the hidden folders of a mounted secret.
        fs::create_dir_all(self.at("order/..data")).expect("a folder");
        for (number, part) in text.chunks(100).enumerate() {
            fs::write(self.at(&format!("order/{number:04}")), part).expect("a part");
        }
        let parts = configuration::OrderParts {
            secrets: Vec::new(),
            sha256: Sha256::of(&text),
            reads_store: false,
            reads_local: false,
        };
        let pod = json!(configuration::build(&settings(), &owner(), 1, (&parts, &[]), 60, 1));
        self.next_pod(CONFIG);
        self.run(&service::cloister(), &pod["spec"]["containers"][0])
    }

    fn algorithm(&self, run: &algorithm::Run) -> (Output, Option<StepMessage>) {
        let pod = json!(algorithm::build(&settings(), &owner(), 1, run));
        self.next_pod("");
        self.run(&sandbox(), &pod["spec"]["containers"][0])
    }

    /// The same volume, for a pod that runs at the same time.
    fn beside(&self) -> Self {
        let node = Self::new();
        fs::remove_dir_all(node.at("job")).expect("removed");
        std::os::unix::fs::symlink(self.at("job"), node.at("job")).expect("a link");
        node
    }

    /// The containers of the publishing pod, one after the other; the second one only if the first has ended well.
    fn publish(&self, contract: OutputContract, report: impl Into<RunReport>) -> Vec<(Output, Option<StepMessage>)> {
        let filter = FilterOrder {
            version: StepVersion::V1,
            job: JOB,
            contract,
            release: ReleaseRules::default(),
            check_limits: Limits::default(),
            outputs: Vec::new(),
            output_directories: 0,
            unreported: false,
        };
        let publish = PublishOrder { version: StepVersion::V1, job: JOB, files: Vec::new(), encrypt_to: None };
        let run = publishing::RunFiles { report: report.into(), log_bytes: MOST_LOG_BYTES };
        let outputs = publishing::Outputs { filter: &filter, publish: &publish, reviewed: false, run };
        let pod = json!(publishing::build(&settings(), &owner(), 1, &outputs, 60));
        self.next_pod(&format!("[results]\nurl = \"file://{}\"\n", self.at("results").display()));
        let mut ended = vec![self.run(&service::cloister(), &pod["spec"]["initContainers"][0])];
        if ended[0].0.status.success() {
            ended.push(self.run(&service::cloister(), &pod["spec"]["containers"][0]));
        }
        ended
    }

    /// The pod that keeps the report and the log of a run.
    fn keep(&self, report: Option<Sha256>) -> (Output, Option<StepMessage>) {
        let run = publishing::RunFiles { report: report.into(), log_bytes: MOST_LOG_BYTES };
        let pod = json!(publishing::keep(&settings(), &owner(), 1, run));
        self.next_pod(&format!("[results]\nurl = \"file://{}\"\n", self.at("results").display()));
        self.run(&service::cloister(), &pod["spec"]["containers"][0])
    }

    /// What is in the store of results under this name.
    fn stored(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.at("results").join(JOB.to_string()).join(name)).ok()
    }

    fn ran(&self) -> RunSummary {
        let (output, message) = self.algorithm(&run());
        match said(&output, message, 0) {
            Said::Ran(summary) => summary,
            other => unreachable!("{other:?}"),
        }
    }
}

#[track_caller]
fn said(output: &Output, message: Option<StepMessage>, code: i32) -> Said {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{complaint}");
    assert!(output.stdout.is_empty(), "nothing is shipped to a cluster's logs: {:?}", output.stdout);
    let message = message.ok_or(complaint).expect("a message");
    assert_eq!(message.job, JOB);
    message.said
}

fn order(algorithm: &Server, data: &Server) -> ConfigureOrder {
    let source =
        |url: String| JobSource::Files(serde_json::from_value(json!([{"type": "url", "url": url}])).expect("a source"));
    ConfigureOrder {
        version: StepVersion::V1,
        job: JOB,
        algorithm: OrderedAlgorithm { did: None, ddo: None, source: source(algorithm.url("/algorithm")) },
        inputs: vec![JobInput { did: did("penguins"), ddo: None, source: source(data.url("/penguins.csv")) }],
        parameters: None,
        trusted: Vec::new(),
        checks: Vec::new(),
    }
}

/// A node on which configuration has laid out this algorithm.
fn configured(algorithm: &'static [u8]) -> Node {
    let (node, program, data) = (Node::new(), Server::of(algorithm), Server::of(PENGUINS));
    let (output, message) = node.configure(&order(&program, &data));
    let Said::Configured { algorithm: files, is_wasm } = said(&output, message, 0) else {
        unreachable!("configuration said something else");
    };
    assert_eq!(files, Sha256::of(Sha256::of(algorithm).to_string().as_bytes()));
    assert_eq!(is_wasm, algorithm.starts_with(b"\0asm"));
    node
}

/// For as long as a server may need it.
fn sample() -> &'static [u8] {
    fs::read(guest("column-stats.p1.wasm")).expect("the sample").leak()
}

#[test]
fn three_pods_carry_a_job_from_its_order_to_its_results() {
    let algorithm = sample();
    let node = configured(algorithm);
    let summary = node.ran();
    assert_eq!((summary.end, summary.algorithm), (RunEnd::Succeeded, Sha256::of(algorithm)));
    let report = fs::read(node.at("job/run/report.json")).expect("a report");
    assert_eq!(summary.report, Some(Sha256::of(&report)), "the message binds the report");

    let mut ended = node.publish(OutputContract::default(), Some(Sha256::of(&report))).into_iter();
    let (output, message) = ended.next().expect("filtering");
    let Said::Passed { checked } = said(&output, message, 0) else { panic!("not passed") };
    let (output, message) = ended.next().expect("publishing");
    let Said::Published { checked: found, stored } = said(&output, message, 0) else { panic!("not published") };
    assert_eq!((found, stored), (checked, checked));
    let manifest: Value = serde_json::from_slice(&node.stored("manifest.json").expect("a manifest")).expect("JSON");
    let files: Vec<cloister_model::ResultFile> = serde_json::from_value(manifest["files"].clone()).expect("a list");
    assert_eq!(ListDigest::of(&files), stored, "the message binds the manifest");
    assert_eq!(node.stored("report.json"), Some(report));
    assert_eq!(node.stored("log"), Some(fs::read(node.at("job/run/log")).expect("a log")));
}

/// The pods of a job whose pods start together: each does its work when the one before it has done its own.
#[test]
fn pods_that_start_early_wait_for_each_other_on_the_volume() {
    let early = algorithm::Run { awaits_inputs_ms: Some(600_000), ..run() };
    for (program, succeeds) in
        [(sample(), true), (wat::parse_str(cloister_testkit::guests::FAILS).expect("a guest").leak(), false)]
    {
        let (node, program, data) = (Node::new(), Server::of(program), Server::of(PENGUINS));
        let (runs, publishes) = (node.beside(), node.beside());
        std::thread::scope(|scope| {
            let ran = scope.spawn(|| runs.algorithm(&early));
            let published = scope.spawn(|| publishes.publish(OutputContract::default(), RunReport::Awaited));
            std::thread::sleep(std::time::Duration::from_millis(300));
            assert!(!ran.is_finished() && !published.is_finished());
            assert!(!node.at("job/claim/claim").exists(), "it began without its inputs");
            let order = order(&program, &data);
            let (output, first) = node.configure(&order);
            assert!(matches!(said(&output, first.clone(), 0), Said::Configured { .. }));
            let ran = ran.join().expect("a run").1.expect("a message");
            let Said::Ran(summary) = &ran.said else { panic!("{ran:?}") };
            let mut published = published.join().expect("publishing").into_iter();
            let (output, message) = published.next().expect("filtering");
            if succeeds {
                let Said::Passed { checked } = said(&output, message, 0) else { panic!("not passed") };
                let (output, message) = published.next().expect("publishing");
                let Said::Published { checked: found, .. } = said(&output, message, 0) else { panic!("not published") };
                assert_eq!(found, checked);
                assert_eq!(summary.report, node_report(&publishes), "the report that is kept is the one of the run");
            } else {
                assert_ne!(output.status.code(), Some(0), "outputs of a run that failed are not looked at");
                assert!(published.next().is_none() && publishes.stored("manifest.json").is_none());
            }
            // Another attempt finds the inputs in use: it leaves them alone, and says the same.
            let input = node.at("job/in/inputs/penguins/0");
            fs::write(&input, "in use").expect("written");
            assert_eq!(node.configure(&order).1, first);
            assert_eq!(fs::read(&input).expect("an input"), b"in use");
        });
    }
}

/// The digest of the report that is kept in the store.
fn node_report(node: &Node) -> Option<Sha256> {
    node.stored("report.json").map(|report| Sha256::of(&report))
}

/// What a pod prints is shipped to places outside every contract.
#[test]
fn a_pod_prints_no_more_of_a_log_than_its_consumer_may_read_at_once() {
    let node = configured(wat::parse_str(cloister_testkit::guests::FAILS).expect("a guest").leak());
    let (output, message) = node.algorithm(&algorithm::Run { live_log_bytes: 2, ..run() });
    assert!(matches!(message.map(|message| message.said), Some(Said::Ran(_))));
    assert_eq!(fs::read(node.at("job/run/log")).expect("a log"), b"a,b\n");
    assert_eq!(output.stdout, b"a,");
    // A log that is held is not printed, nor one that is longer than a kubelet gives back.
    let mut terms = cloister_testkit::job(1, cloister_testkit::now()).terms;
    assert_eq!(algorithm::live_log_bytes(&terms), terms.output_contract.max_log_bytes);
    terms.output_contract.max_log_bytes = 9 << 20;
    assert_eq!(algorithm::live_log_bytes(&terms), 0);
    terms.output_contract.max_log_bytes = 5;
    terms.release.review = true;
    assert_eq!(algorithm::live_log_bytes(&terms), 0);
}

#[test]
fn a_second_pod_of_a_run_runs_nothing_and_repeats_its_report() {
    let node = configured(sample());
    let first = node.ran();
    let outputs = fs::read_dir(node.at("job/out")).expect("outputs").count();
    let (output, message) = node.algorithm(&run());
    let Said::Ran(second) = said(&output, message, 6) else { panic!("it ran again") };
    assert_eq!(second, first);
    assert_eq!(fs::read_dir(node.at("job/out")).expect("outputs").count(), outputs);
    // A run that was cut off has left a claim and no report.
    fs::remove_file(node.at("job/run/report.json")).expect("removed");
    let (output, message) = node.algorithm(&run());
    assert_eq!((output.status.code(), message), (Some(6), None));
}

#[test]
fn a_run_that_cannot_begin_says_why_and_a_module_that_is_refused_too() {
    let node = configured(b"#!/bin/sh\n");
    let (output, message) = node.algorithm(&run());
    let Said::Ran(summary) = said(&output, message, 4) else { panic!("not refused") };
    assert_eq!((summary.end, summary.files.is_some()), (RunEnd::Refused, true));
    assert!(summary.reason.is_some());
    let node = Node::new();
    let (output, message) = node.algorithm(&run());
    assert_ne!(output.status.code(), Some(0));
    assert!(matches!(message.map(|message| message.said), Some(Said::NotRun { .. } | Said::Ran(_))));
}

#[test]
fn configuration_says_what_could_not_be_fetched() {
    let (node, program) = (Node::new(), Server::of(sample()));
    let mut order = order(&program, &program);
    order.inputs[0].source = JobSource::Files(
        serde_json::from_value(json!([{"type": "url", "url": "http://127.0.0.1:9/"}])).expect("a source"),
    );
    let (output, message) = node.configure(&order);
    match said(&output, message, 1) {
        Said::Failed { step: StepName::Configure, failure: StepFailure::Data, .. } => {}
        other => panic!("{other:?}"),
    }
    assert!(!node.at("job/in/inputs/penguins/0").exists());
}

#[test]
fn an_order_that_was_exchanged_is_not_carried_out() {
    let (node, server) = (Node::new(), Server::of(PENGUINS));
    let meant = order(&server, &server);
    let parts = configuration::OrderParts {
        secrets: Vec::new(),
        sha256: Sha256::of(b"another order"),
        reads_store: false,
        reads_local: false,
    };
    fs::write(node.at("order/0000"), serde_json::to_vec(&meant).expect("an order")).expect("a part");
    let pod = json!(configuration::build(&settings(), &owner(), 1, (&parts, &[]), 60, 1));
    node.next_pod(CONFIG);
    let (output, message) = node.run(&service::cloister(), &pod["spec"]["containers"][0]);
    assert_eq!((output.status.code(), message), (Some(2), None));
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn outputs_that_are_refused_are_not_published() {
    let node = configured(sample());
    let report = node.ran().report.expect("a digest");
    let contract = OutputContract { max_files: 0, ..OutputContract::default() };
    let ended = node.publish(contract, Some(report));
    let codes: Vec<Option<i32>> = ended.iter().map(|(output, _)| output.status.code()).collect();
    assert_eq!(codes, [Some(0), Some(1)]);
    // The container with the credentials repeats what the other one said, and keeps what publishers may see.
    for (_, message) in ended {
        match message.expect("a message").said {
            Said::Failed { step: StepName::Filter, failure: StepFailure::Outputs, rule: Some(_), .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let mut stored: Vec<_> = fs::read_dir(node.at("results").join(JOB.to_string())).expect("a folder").collect();
    stored.retain(|entry| {
        entry.as_ref().is_ok_and(|entry| !["report.json", "log"].iter().any(|name| entry.file_name() == *name))
    });
    assert!(stored.is_empty(), "{stored:?}");
    assert!(node.stored("report.json").is_some() && node.stored("log").is_some());
}

#[test]
fn the_report_and_the_log_of_a_run_are_kept_without_its_outputs() {
    let node = configured(sample());
    let report = node.ran().report;
    assert!(report.is_some());
    let (output, message) = node.keep(report);
    assert_eq!(said(&output, message, 0), Said::Kept);
    let log = fs::read(node.at("job/run/log")).expect("a log");
    assert_eq!(node.stored("log").expect("a log"), log);
    assert_eq!(node.stored("report.json").map(|report| Sha256::of(&report)), report);
    assert_eq!((node.stored("manifest.json"), node.stored("files/0")), (None, None));
}

/// A run that was cut off has left a part of its log and no report; one that was cut off early has left nothing.
#[test]
fn of_a_run_that_was_cut_off_is_kept_what_there_is() {
    let node = Node::new();
    let (output, message) = node.keep(None);
    assert_eq!((said(&output, message, 0), node.stored("log")), (Said::Kept, None));
    let long = vec![b'x'; usize::try_from(MOST_LOG_BYTES).expect("a size") + 9];
    fs::create_dir_all(node.at("job/run")).expect("a folder");
    fs::write(node.at("job/run/log"), &long).expect("a log");
    let (output, message) = node.keep(None);
    assert_eq!(said(&output, message, 0), Said::Kept);
    assert_eq!(node.stored("log").map(|log| log.len() as u64), Some(MOST_LOG_BYTES));
    assert_eq!(node.stored("report.json"), None);
}

#[test]
fn a_report_that_was_exchanged_is_not_believed() {
    let node = configured(sample());
    node.ran();
    let ended = node.publish(OutputContract::default(), Some(Sha256::of(b"another report")));
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].0.status.code(), ended[0].1.clone()), (Some(2), None));
}
