//! Facts for tests.

use crate::{Asked, Permission};
use cloister_model::{
    AlgorithmReport, Container, Delivery, EngineReport, Event, Fault, FileReport, FilesChecksum, JobAlgorithm, JobId,
    JobInput, JobRecord, JobSource, JobSpec, JobStatus, Labels, Limits, LogReport, Outcome, OutputContract, Profile,
    REPORT_VERSION, Reason, RecordedAsset, RecordedDataset, ReleaseRules, Report, ResultFile, ResultKind, RuntimeKind,
    Secret, Sha256, StepFailure, StepName, StepReport, StepResult, Terms, TimeLimits, Timestamp, Usage,
};
use serde_json::json;

pub(crate) const ALGORITHM: Sha256 = Sha256::from_bytes([7; 32]);

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

pub(crate) fn report(outcome: Outcome) -> Report {
    let file =
        |path: &str, byte| FileReport { path: path.to_owned(), bytes: 3, sha256: Sha256::from_bytes([byte; 32]) };
    Report {
        version: REPORT_VERSION.to_owned(),
        outcome,
        algorithm: AlgorithmReport { sha256: ALGORITHM, bytes: 1, kind: None, runtime: None },
        engine: EngineReport { name: "wasmtime".to_owned(), version: "48".to_owned(), config_sha256: ALGORITHM },
        profile: Profile::Deterministic,
        limits: Limits::default(),
        output_contract: OutputContract::default(),
        usage: Usage::default(),
        isolation: None,
        datasets: vec!["d".parse().expect("a DID")],
        inputs: vec![file("inputs/d/0", 1), file("inputs/d/1", 2), file("transformations/algorithm", 7)],
        outputs: vec![],
        output_directories: 0,
        log: LogReport::default(),
    }
}

pub(crate) fn spec() -> JobSpec {
    JobSpec {
        id: JobId::from_bytes([1; 16]),
        created: at(1000),
        environment: "local".parse().expect("a name"),
        queue: "alice".to_owned(),
        inputs: vec![JobInput {
            did: "d".parse().expect("a DID"),
            ddo: None,
            source: JobSource::Files(
                serde_json::from_value(json!([{"type": "inline", "content": "1"}])).expect("sources"),
            ),
        }],
        algorithm: JobAlgorithm {
            did: None,
            ddo: None,
            container: Container {
                image: "wasm".to_owned(),
                tag: None,
                entrypoint: "$ALGO".to_owned(),
                checksum: None,
            },
            interpreter: None,
            source: JobSource::Rawcode(Secret::new(String::new())),
        },
        parameters: Some(Secret::new(json!({"bins": 20}))),
        terms: Terms {
            admitted: Vec::new(),
            output_contract: OutputContract::default(),
            release: ReleaseRules::default(),
            runtime: RuntimeKind::Wasm,
            profile: Profile::Deterministic,
            runtimes: [RuntimeKind::Wasm].into(),
            profiles: [Profile::Deterministic].into(),
        },
        limits: Limits::default(),
        times: TimeLimits::default(),
        delivery: Delivery::default(),
        labels: Labels::new(),
        record: JobRecord {
            owner: "alice".parse().expect("an account"),
            request: None,
            attempt: 1,
            datasets: vec![RecordedDataset {
                asset: RecordedAsset {
                    did: "d".parse().expect("a DID"),
                    service: "compute".to_owned(),
                    publisher: "bob".parse().expect("an account"),
                    revision: 1,
                },
                review: false,
                log_bytes: OutputContract::default().max_log_bytes,
            }],
            algorithm: None,
            provider: None,
        },
    }
}

/// A job whose log and outputs wait for a reviewer.
pub(crate) fn reviewed_spec() -> JobSpec {
    let mut spec = spec();
    spec.terms.release.review = true;
    spec.record.datasets[0].log_bytes = 0;
    spec
}

/// What becomes of the log of a job whose dataset withholds it.
pub(crate) fn withheld() -> crate::LogFate {
    crate::LogFate::Withheld(vec!["d".parse().expect("a DID")])
}

/// A job whose log may not leave.
pub(crate) fn silent_spec() -> JobSpec {
    let mut spec = spec();
    spec.terms.output_contract.max_log_bytes = 0;
    spec.record.datasets[0].log_bytes = 0;
    spec
}

pub(crate) fn queued() -> JobStatus {
    JobStatus::queued(spec().id, Labels::new(), at(1000))
}

/// The status after these events, all at one moment.
pub(crate) fn status(events: &[Event]) -> JobStatus {
    let reason = Some(Reason::new("why", cloister_model::Fault::System));
    events.iter().fold(queued(), |status, event| status.after(*event, at(2000), reason.clone()).expect("a step"))
}

/// The permission of a job whose assets do not change.
pub(crate) fn allowed(asked: Asked<'_>) -> Permission {
    let mut spec = spec();
    spec.record.datasets.clear();
    permission(&spec, asked)
}

/// The permission of a job whose dataset is gone.
pub(crate) fn refused(asked: Asked<'_>) -> Permission {
    let mut spec = spec();
    let asset = RecordedAsset {
        did: "d".parse().expect("a DID"),
        service: "compute".to_owned(),
        publisher: "bob".parse().expect("an account"),
        revision: 1,
    };
    spec.record.datasets = vec![RecordedDataset { asset, review: false, log_bytes: 0 }];
    permission(&spec, asked)
}

/// The permission of a job when the registry is empty.
fn permission(spec: &JobSpec, asked: Asked<'_>) -> Permission {
    let Ok(permission) = Permission::ask::<std::convert::Infallible>(spec, asked, |_| Ok(None), |_| Ok(None));
    permission
}

pub(crate) const RUNNING: [Event; 4] = [Event::Accept, Event::Configure, Event::Provisioned, Event::Run];

pub(crate) fn running() -> JobStatus {
    status(&RUNNING)
}

pub(crate) fn algorithm_failed() -> JobStatus {
    status(&[RUNNING.as_slice(), &[Event::Failed]].concat())
}

pub(crate) fn filtering() -> JobStatus {
    status(&[RUNNING.as_slice(), &[Event::Succeeded]].concat())
}

pub(crate) fn publishing() -> JobStatus {
    status(&[RUNNING.as_slice(), &[Event::Succeeded, Event::Passed]].concat())
}

pub(crate) fn in_review() -> JobStatus {
    status(&[RUNNING.as_slice(), &[Event::Succeeded, Event::ReviewAsked]].concat())
}

/// An output and the log.
pub(crate) fn checked() -> Vec<ResultFile> {
    let file = |name: &str, kind, byte| ResultFile {
        name: name.to_owned(),
        kind,
        bytes: 5,
        sha256: Sha256::from_bytes([byte; 32]),
    };
    vec![file("a.csv", ResultKind::Output, 3), file("algorithm.log", ResultKind::AlgorithmLog, 4)]
}

pub(crate) fn keep() -> crate::Retention {
    crate::Retention { keep_ms: 1000, needed: false }
}

pub(crate) fn step_report(step: StepName, result: StepResult) -> StepReport {
    StepReport::new(spec().id, step, result)
}

pub(crate) fn laid_out() -> StepReport {
    let algorithm = FilesChecksum::of(vec![ALGORITHM]).expect("a checksum");
    let result = StepResult::Configured { datasets: vec!["d".parse().expect("a DID")], files: vec![], algorithm };
    step_report(StepName::Configure, result)
}

pub(crate) fn passed() -> StepReport {
    step_report(StepName::Filter, StepResult::Passed { files: checked() })
}

pub(crate) fn published(files: Vec<ResultFile>) -> StepReport {
    step_report(StepName::Publish, StepResult::Published { files })
}

pub(crate) fn failure(step: StepName, failure: StepFailure, rule: Option<&str>, fault: Fault) -> StepReport {
    let reason = Reason::new("it failed", fault);
    step_report(step, StepResult::Failed { failure, rule: rule.map(str::to_owned), reason, detail: None })
}
