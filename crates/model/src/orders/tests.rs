use super::*;
use crate::{
    AdmittedBy, AdmittedDataset, AlgorithmReport, Container, Delivery, EngineReport, Event, Fault, FileReport,
    FilesChecksum, JobAlgorithm, JobId, JobInput, JobRecord, JobSource, JobSpec, Labels, Limits, LogReport, Outcome,
    OutputContract, Profile, REPORT_VERSION, Reason, ReleaseRules, Report, ResultFile, ResultKind, RuntimeKind, Secret,
    Sha256, Terms, TimeLimits, Timestamp, Usage,
};
use serde_json::{Value, json};

const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

fn checksum(byte: u8) -> FilesChecksum {
    FilesChecksum::of(vec![Sha256::from_bytes([byte; 32])]).expect("a checksum")
}

/// A job with a text in every field that no step may learn.
fn job() -> JobSpec {
    let files = serde_json::from_value(json!([{"type": "url", "url": "https://u:CREDENTIAL@a.example/"}]));
    let admitted = |did: &str, files_checksums| AdmittedDataset {
        did: did.parse().expect("a DID"),
        service: "compute".to_owned(),
        by: AdmittedBy::TrustedAlgorithm,
        files_checksums,
    };
    JobSpec {
        id: JobId::from_bytes([1; 16]),
        created: Timestamp::from_unix_ms(1),
        environment: "HIDDEN".parse().expect("a name"),
        queue: "HIDDEN".to_owned(),
        inputs: vec![JobInput {
            did: "d".parse().expect("a DID"),
            ddo: Some(json!({"id": "did:op:d"})),
            source: JobSource::Files(files.expect("sources")),
        }],
        algorithm: JobAlgorithm {
            did: None,
            ddo: None,
            container: Container { image: "HIDDEN".to_owned(), tag: None, entrypoint: String::new(), checksum: None },
            interpreter: None,
            source: JobSource::Rawcode(Secret::new("print(1)".to_owned())),
        },
        parameters: Some(Secret::new(json!({"k": "PARAMETER"}))),
        terms: Terms {
            admitted: vec![admitted("d", Some([checksum(1)].into())), admitted("HIDDEN", None)],
            output_contract: OutputContract { max_bytes: 1234, ..OutputContract::default() },
            release: ReleaseRules::default(),
            runtime: RuntimeKind::Wasm,
            profile: Profile::Deterministic,
            runtimes: [RuntimeKind::Wasm].into(),
            profiles: [Profile::Deterministic].into(),
        },
        limits: Limits { memory_bytes: 77 << 20, ..Limits::default() },
        times: TimeLimits::default(),
        delivery: Delivery { encrypt_to: Some(RECIPIENT.parse().expect("a recipient")), register: None },
        labels: Labels::new().with("owner", "HIDDEN").expect("a label"),
        record: JobRecord {
            owner: "HIDDEN".parse().expect("an account"),
            request: None,
            attempt: 1,
            datasets: Vec::new(),
            algorithm: None,
            provider: None,
        },
    }
}

fn file(name: &str) -> ResultFile {
    ResultFile { name: name.to_owned(), kind: ResultKind::Output, bytes: 3, sha256: Sha256::from_bytes([3; 32]) }
}

fn filter_order(job: &JobSpec) -> FilterOrder {
    let digest = Sha256::from_bytes([9; 32]);
    let report = Report {
        version: REPORT_VERSION.to_owned(),
        outcome: Outcome::Succeeded,
        algorithm: AlgorithmReport { sha256: digest, bytes: 1, kind: None, runtime: None },
        engine: EngineReport { name: "HIDDEN".to_owned(), version: "HIDDEN".to_owned(), config_sha256: digest },
        profile: Profile::Deterministic,
        limits: job.limits.clone(),
        output_contract: job.terms.output_contract.clone(),
        usage: Usage::default(),
        isolation: None,
        datasets: Vec::new(),
        inputs: vec![FileReport { path: "HIDDEN".to_owned(), bytes: 1, sha256: digest }],
        outputs: vec![FileReport { path: "a.csv".to_owned(), bytes: 3, sha256: Sha256::from_bytes([3; 32]) }],
        output_directories: 2,
        log: LogReport::default(),
    };
    FilterOrder::of(job, &report)
}

#[test]
fn an_order_holds_what_its_step_needs_and_nothing_else() {
    let job = job();
    let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let configure = serde_json::to_value(ConfigureOrder::of(&job)).expect("json");
    assert_eq!(fields(&configure), ["algorithm", "inputs", "job", "parameters", "trusted", "version"]);
    let text = configure.to_string();
    assert!(text.contains("CREDENTIAL") && text.contains("PARAMETER") && !text.contains("HIDDEN"), "{text}");
    let filter = serde_json::to_value(filter_order(&job)).expect("json");
    assert_eq!(
        fields(&filter),
        ["checkLimits", "contract", "job", "outputDirectories", "outputs", "release", "version"]
    );
    let publish = serde_json::to_value(PublishOrder::of(&job, vec![file("a.csv")])).expect("json");
    assert_eq!(fields(&publish), ["encryptTo", "files", "job", "version"]);
    for order in [filter, publish] {
        let text = order.to_string();
        assert!(!["CREDENTIAL", "PARAMETER", "HIDDEN"].iter().any(|word| text.contains(word)), "{text}");
    }
    assert!(!format!("{:?}", ConfigureOrder::of(&job)).contains("CREDENTIAL"));
}

#[test]
fn orders_are_read_as_they_were_written_and_no_other_version() {
    fn check<T>(order: &T)
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let written = serde_json::to_value(order).expect("json");
        assert_eq!(serde_json::from_value::<T>(written.clone()).expect("an order"), *order);
        for (field, value) in [("version", json!("cloister.dev/step/v2")), ("later", json!(1)), ("job", json!("x"))] {
            let mut other = written.clone();
            other[field] = value;
            serde_json::from_value::<T>(other).expect_err(field);
        }
    }
    let job = job();
    check(&ConfigureOrder::of(&job));
    check(&filter_order(&job));
    check(&PublishOrder::of(&job, vec![file("a.csv")]));
    check(&StepReport::new(
        job.id,
        StepName::Configure,
        StepResult::Configured {
            datasets: vec!["d".parse().expect("a DID")],
            files: vec![GuestFile {
                path: "inputs/d/0".to_owned(),
                file: crate::FileDigest { sha256: Sha256::from_bytes([1; 32]), bytes: 1 },
            }],
            algorithm: checksum(1),
        },
    ));
    check(&StepReport::new(job.id, StepName::Publish, StepResult::Published { files: vec![file("a.csv.age")] }));
}

#[test]
fn only_trusted_files_may_run() {
    let order = ConfigureOrder::of(&job());
    assert_eq!(order.check_files(&checksum(1)), Ok(()));
    assert_eq!(order.check_files(&checksum(2)).expect_err("other files").len(), 1);
}

#[test]
fn a_check_has_the_memory_of_the_algorithm_and_a_silent_algorithm_stays_silent() {
    let mut order = filter_order(&job());
    assert_eq!((order.check_limits.memory_bytes, order.check_limits.wall_ms), (77 << 20, Limits::default().wall_ms));
    assert_eq!(order.outputs, [FileReport { path: "a.csv".to_owned(), bytes: 3, sha256: Sha256::from_bytes([3; 32]) }]);
    assert!(order.may_quote_the_guest());
    order.release.review = true;
    assert!(!order.may_quote_the_guest());
}

#[test]
fn a_report_says_what_happened_to_the_job() {
    let report = |failure| {
        let reason = Reason::new("no", Fault::System);
        StepReport::new(
            JobId::from_bytes([1; 16]),
            StepName::Filter,
            StepResult::Failed { failure, rule: None, reason, detail: None },
        )
    };
    for (failure, event) in [
        (StepFailure::Data, Some(Event::DataUnavailable)),
        (StepFailure::Algorithm, Some(Event::AlgorithmUnavailable)),
        (StepFailure::Outputs, Some(Event::Refused)),
        (StepFailure::Results, Some(Event::PublishFailed)),
        (StepFailure::StoreAway, None),
        (StepFailure::Cancelled, None),
    ] {
        assert_eq!(report(failure).event(), event);
    }
}
