//! Facts for tests.

pub(crate) use cloister_testkit::report;

use crate::{
    drive::{Unrecorded, read, record},
    store::{Durability, Fail, Write},
};
use cloister_lifecycle::{LogFate, Transition};
use cloister_model::{
    AuditAction, AuditEvent, Event, JobId, JobRecord, JobSource, JobSpec, JobStatus, Reason, Timestamp,
};
use serde_json::Value;

/// Files to fetch.
pub(crate) fn source(files: Value) -> JobSource {
    JobSource::Files(serde_json::from_value(files).expect("sources"))
}

/// The job with this number, allowed just now: on an inline dataset without a recorded publisher, with whatever algorithm a test
/// puts in.
pub(crate) fn job(number: u64) -> JobSpec {
    let job = cloister_testkit::job(number, crate::clock::now());
    JobSpec { record: JobRecord { datasets: Vec::new(), ..job.record }, ..job }
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

/// A transition made of these events alone.
pub(crate) fn transition(events: &[Event], reason: Option<&Reason>) -> Transition {
    Transition {
        events: events.to_vec(),
        reason: reason.cloned(),
        detail: None,
        review: None,
        records: Vec::new(),
        report: None,
        checked: None,
        release: None,
        revisions: Vec::new(),
        store_away: None,
        durability: Durability::Process,
        log: LogFate::Discarded,
        discard_results: false,
    }
}

/// Takes a job through events, as a driver would.
pub(crate) fn step(
    write: &mut Write<'_>,
    job: JobId,
    events: &[Event],
    at: Timestamp,
    reason: Option<&Reason>,
) -> Result<JobStatus, Fail<Unrecorded>> {
    apply(write, job, &transition(events, reason), at)
}

/// Stores a transition, as a driver would.
pub(crate) fn apply(
    write: &mut Write<'_>,
    job: JobId,
    transition: &Transition,
    at: Timestamp,
) -> Result<JobStatus, Fail<Unrecorded>> {
    let Some((spec, _)) = read(write, job)? else { return Err(Fail::Rejected(Unrecorded::Gone)) };
    record(write, &spec, transition, at)
}
