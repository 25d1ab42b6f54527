use crate::inline;
use cloister_model::{
    Account, AuditAction, AuditEvent, Container, Delivery, Event, Fault, JobAlgorithm, JobId, JobInput, JobRecord,
    JobSource, JobSpec, JobStatus, Labels, Limits, OutputContract, Phase, Profile, Reason, RecordedAsset,
    RecordedDataset, ReleaseRules, RuntimeKind, Secret, Terms, TimeLimits, Timestamp,
};
use std::{
    collections::{BTreeSet, VecDeque},
    time::SystemTime,
};

/// The owner of jobs and assets here, unless a test says otherwise.
pub const OWNER: &str = "alice";

/// The machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    SystemTime::now().into()
}

/// The account of this name.
///
/// # Panics
/// If the name is not an account's.
#[must_use]
pub fn account(name: &str) -> Account {
    name.parse().expect("an account")
}

/// The id with this number: spread like real ones, which are random.
#[must_use]
pub fn job_id(number: u64) -> JobId {
    let mut id = [0; 16];
    let (first, second) = id.split_at_mut(8);
    first.copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    second.copy_from_slice(&number.to_be_bytes());
    JobId::from_bytes(id)
}

/// Labels of these names and values.
///
/// # Panics
/// If one is not a label.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().try_fold(Labels::new(), |labels, (name, value)| labels.with(name, value)).expect("labels")
}

/// Terms that let anything leave.
#[must_use]
pub fn terms() -> Terms {
    Terms {
        admitted: Vec::new(),
        output_contract: OutputContract::default(),
        release: ReleaseRules::default(),
        runtime: RuntimeKind::Wasm,
        profile: Profile::Deterministic,
        runtimes: [RuntimeKind::Wasm].into(),
        profiles: [Profile::Deterministic].into(),
    }
}

/// A dataset of a job's record.
///
/// # Panics
/// If the texts are not a DID and an account.
#[must_use]
pub fn recorded_dataset(did: &str, publisher: &str, review: bool) -> RecordedDataset {
    let did = did.parse().expect("a DID");
    let asset = RecordedAsset { did, service: "compute".to_owned(), publisher: account(publisher), revision: 1 };
    let log_bytes = if review { 0 } else { OutputContract::default().max_log_bytes };
    RecordedDataset { asset, review, log_bytes }
}

/// The job with this number, allowed at `created`: [`OWNER`]'s, on one inline dataset, with an empty algorithm. A test
/// puts in the algorithm that it needs. Its record names no dataset of a registry, so that no rule has to allow it.
///
/// # Panics
/// Never: all of its texts are valid.
#[must_use]
pub fn job(number: u64, created: Timestamp) -> JobSpec {
    let container = Container { image: "wasm".to_owned(), tag: None, entrypoint: "$ALGO".to_owned(), checksum: None };
    JobSpec {
        id: job_id(number),
        created,
        environment: "local".parse().expect("the name of an environment"),
        queue: OWNER.to_owned(),
        inputs: vec![JobInput { did: "d".parse().expect("a DID"), ddo: None, source: inline("1,2,3\n") }],
        algorithm: JobAlgorithm {
            did: None,
            ddo: None,
            container,
            interpreter: None,
            source: JobSource::Rawcode(Secret::new(String::new())),
        },
        parameters: None,
        terms: terms(),
        limits: Limits { memory_bytes: 64 * 1024 * 1024, ..Limits::default() },
        times: TimeLimits::default(),
        delivery: Delivery::default(),
        labels: labels(&[("owner", OWNER)]),
        record: JobRecord {
            owner: account(OWNER),
            request: None,
            attempt: number,
            datasets: Vec::new(),
            algorithm: None,
            provider: None,
        },
    }
}

/// The status of a job that came to this phase on a shortest path, one millisecond after the other.
///
/// # Panics
/// Never: every phase can be reached.
#[must_use]
pub fn status_in(phase: Phase, id: JobId, created: Timestamp) -> JobStatus {
    let mut seen = BTreeSet::from([Phase::Queued]);
    let mut open = VecDeque::from([JobStatus::queued(id, labels(&[("owner", OWNER)]), created)]);
    while let Some(status) = open.pop_front() {
        if status.phase == phase {
            return status;
        }
        let at = Timestamp::from_unix_ms(status.changed.unix_ms() + 1);
        for event in Event::ALL {
            let reason = Reason::new("a reason", Fault::System);
            if let Ok(next) = status.after(event, at, Some(reason))
                && seen.insert(next.phase)
            {
                open.push_back(next);
            }
        }
    }
    unreachable!("no events lead to {phase:?}")
}

/// An event of [`OWNER`]'s for the audit log.
#[must_use]
pub fn event(action: AuditAction, at: Timestamp) -> AuditEvent {
    let (actor, subject) = (OWNER.to_owned(), "subject".to_owned());
    AuditEvent { at, actor, action, subject, detail: "{}".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_a_status() {
        let created = Timestamp::from_unix_ms(7);
        for phase in Phase::ALL {
            let status = status_in(phase, job_id(1), created);
            assert_eq!((status.phase, status.ended.is_some()), (phase, phase.has_ended()));
            assert_eq!(status.history.last().map(|step| step.phase), Some(phase));
        }
    }

    #[test]
    fn jobs_of_different_numbers_are_different_jobs() {
        let ids: BTreeSet<JobId> = (0..1000).map(job_id).collect();
        assert_eq!(ids.len(), 1000);
    }
}
