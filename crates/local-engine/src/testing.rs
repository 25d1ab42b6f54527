//! Facts for tests.

use cloister_model::{
    AlgorithmReport, AuditAction, AuditEvent, Container, Delivery, EngineReport, JobAlgorithm, JobId, JobInput,
    JobRecord, JobSource, JobSpec, Labels, Limits, LogReport, Outcome, OutputContract, Profile, REPORT_VERSION,
    ReleaseRules, Report, RuntimeKind, Secret, Sha256, Terms, TimeLimits, Timestamp, Usage,
};
use serde_json::json;

pub(crate) fn report() -> Report {
    let sha256 = Sha256::from_bytes([7; 32]);
    Report {
        version: REPORT_VERSION.to_owned(),
        outcome: Outcome::Succeeded,
        algorithm: AlgorithmReport { sha256, bytes: 1, kind: None, runtime: None },
        engine: EngineReport { name: "wasmtime".to_owned(), version: "48".to_owned(), config_sha256: sha256 },
        profile: Profile::Deterministic,
        limits: Limits::default(),
        output_contract: OutputContract::default(),
        usage: Usage::default(),
        isolation: None,
        datasets: vec![],
        inputs: vec![],
        outputs: vec![],
        output_directories: 0,
        log: LogReport::default(),
    }
}

/// The job with this number: an inline dataset, and whatever algorithm a test puts in.
pub(crate) fn job(number: u64) -> JobSpec {
    let mut id = [0; 16];
    // Spread like real ones, which are random.
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    let files = json!([{"type": "inline", "content": "1,2,3\n"}]);
    JobSpec {
        id: JobId::from_bytes(id),
        created: crate::times::now(),
        environment: "local".to_owned(),
        queue: "alice".to_owned(),
        inputs: vec![JobInput {
            did: "d".parse().expect("a DID"),
            ddo: None,
            source: JobSource::Files(Secret::new(files)),
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
        parameters: None,
        terms: Terms {
            admitted: Vec::new(),
            output_contract: OutputContract::default(),
            release: ReleaseRules::default(),
            runtime: RuntimeKind::Wasm,
            profile: Profile::Deterministic,
            network: false,
            runtimes: [RuntimeKind::Wasm].into(),
            profiles: [Profile::Deterministic].into(),
        },
        limits: Limits { memory_bytes: 64 * 1024 * 1024, ..Limits::default() },
        times: TimeLimits::default(),
        delivery: Delivery::default(),
        labels: Labels::new().with("owner", "alice").expect("a label"),
        record: JobRecord {
            owner: "alice".parse().expect("an account"),
            request: None,
            attempt: number,
            datasets: Vec::new(),
            algorithm: None,
        },
    }
}

/// Something for the record, at a moment.
pub(crate) fn event_at(action: AuditAction, at: Timestamp) -> AuditEvent {
    let (actor, subject) = ("alice".to_owned(), "something".to_owned());
    AuditEvent { at, actor, action, subject, detail: "{}".to_owned() }
}

/// Something for the record.
pub(crate) fn event(action: AuditAction) -> AuditEvent {
    event_at(action, at(1))
}

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}
