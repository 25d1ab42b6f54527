//! Kubernetes Events: `kubectl describe computejob` tells the story of a job. They are for people, nothing depends on them, and
//! no job waits for one: those that the API server does not take are dropped.
//!
//! A phase that lasts is said, and an end at once. Phases of a short job are in its history alone, because each event is a write.

use super::known::KnownJob;
use crate::{
    cluster::{CallError, Cluster, call_once},
    due::Due,
};
use cloister_model::{JobId, JobStatus, Phase, escape};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::{sync::mpsc, task::AbortHandle, time::Instant};

/// Events that wait to be written. Those beyond are dropped.
const MOST_WAITING: usize = 256;

/// For how long a job is in a phase before an event says so.
const LASTS: Duration = Duration::from_secs(5);

/// Bytes of a note: the API server refuses more than 1024.
const MOST_NOTE: usize = 1000;

/// Who says it.
const REPORTER: &str = "cloister.dev/engine";

/// Writes events one after the other.
#[derive(Debug)]
pub(super) struct Events {
    waiting: mpsc::Sender<Said>,
    task: AbortHandle,
}

/// What is said of a job.
#[derive(Debug)]
struct Said {
    job: JobId,
    event: Event,
    /// Whether nothing comes after it.
    last: bool,
}

/// The newest event of each job that has not ended, until its phase has lasted.
#[derive(Debug, Default)]
struct Held {
    of_job: BTreeMap<JobId, Event>,
    due: Due<Instant, JobId>,
}

impl Held {
    /// Takes an event in, in place of an earlier one of its job. The event, if it is to be written at once.
    fn take(&mut self, Said { job, event, last }: Said, now: Instant) -> Option<Event> {
        if last {
            self.of_job.remove(&job);
            self.due.remove(job);
            return Some(event);
        }
        self.of_job.insert(job, event);
        self.due.set(job, now + LASTS);
        None
    }

    /// An event whose phase has lasted.
    fn next(&mut self, now: Instant) -> Option<Event> {
        self.due.next(now).and_then(|job| self.of_job.remove(&job))
    }
}

impl Events {
    pub(super) fn start(cluster: &Cluster) -> Self {
        let (waiting, mut events) = mpsc::channel::<Said>(MOST_WAITING);
        let api: Api<Event> = cluster.jobs();
        let write = async move {
            let mut held = Held::default();
            loop {
                let due = held.due.next_at();
                let event = tokio::select! {
                    said = events.recv() => match said {
                        Some(said) => held.take(said, Instant::now()),
                        None => return,
                    },
                    () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => held.next(Instant::now()),
                };
                let Some(event) = event else { continue };
                match call_once("store an event", api.create(&PostParams::default(), &event)).await {
                    // Another controller, or this one before it was killed, has said the same.
                    Ok(_) | Err(CallError::Exists) => {}
                    Err(error) => tracing::debug!(%error, "an event of a job is not shown"),
                }
            }
        };
        Self { waiting, task: tokio::spawn(write).abort_handle() }
    }

    /// Says which phase a job has come to, if it stays there. Those that it has only passed through are in its history.
    pub(super) fn phase(&self, namespace: &str, job: &KnownJob, after: &JobStatus) {
        let event = event(namespace, job, after);
        if self.waiting.try_send(Said { job: job.spec.id, event, last: after.phase.has_ended() }).is_err() {
            tracing::debug!(job = %job.spec.id, "an event of a job is not shown, because too many wait");
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is said of the last step of the history of a job. It has one name, whichever replica says it.
fn event(namespace: &str, job: &KnownJob, status: &JobStatus) -> Event {
    let id = job.spec.id.to_string();
    let number = status.history.len().saturating_sub(1);
    let (phase, at) = status.history.last().map_or((status.phase, status.changed), |step| (step.phase, step.at));
    let ended_badly = phase.has_ended() && phase != Phase::Finished;
    let at = i64::try_from(at.unix_ms()).ok().and_then(|ms| k8s_openapi::jiff::Timestamp::from_millisecond(ms).ok());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{id}.{number:02x}")),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        regarding: Some(ObjectReference {
            api_version: Some(format!("{}/{}", crate::resources::GROUP, crate::resources::VERSION)),
            kind: Some("ComputeJob".to_owned()),
            name: Some(id),
            namespace: Some(namespace.to_owned()),
            uid: Some(job.owner.uid.clone()),
            ..ObjectReference::default()
        }),
        reason: Some(phase.as_str().to_owned()),
        note: Some(note(status)),
        type_: Some(if ended_badly { "Warning" } else { "Normal" }.to_owned()),
        action: Some("Reconcile".to_owned()),
        event_time: at.map(MicroTime),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(REPORTER.to_owned()),
        ..Event::default()
    }
}

/// What the status itself says of its phase, and no other word of a stranger.
fn note(status: &JobStatus) -> String {
    let said = cloister_lifecycle::explain(status, None).text;
    let mut note = escape(said.as_bytes(), MOST_NOTE).to_string();
    let mut end = note.len().min(MOST_NOTE);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note.truncate(end);
    note
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Fault, Reason, Timestamp};

    #[test]
    fn a_phase_that_lasts_is_said_and_an_end_at_once() {
        let said = |number, name: &str, last| {
            let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
            Said { job: cloister_testkit::job_id(number), event: Event { metadata, ..Event::default() }, last }
        };
        let name = |event: Option<Event>| event.and_then(|event| event.metadata.name);
        let (mut held, start) = (Held::default(), Instant::now());
        assert_eq!(held.due.next_at(), None);
        assert_eq!(name(held.take(said(1, "configures", false), start)), None);
        assert_eq!(name(held.take(said(2, "runs", false), start + LASTS / 2)), None);
        // The first one goes on, before its phase has lasted, and then ends.
        assert_eq!(name(held.take(said(1, "runs", false), start + LASTS / 4)), None);
        assert_eq!(name(held.take(said(1, "ends", true), start + LASTS / 3)).as_deref(), Some("ends"));
        // The second one stays where it is.
        assert_eq!(held.due.next_at(), Some(start + LASTS / 2 + LASTS));
        assert_eq!(name(held.next(start + LASTS)), None);
        assert_eq!(name(held.next(start + LASTS * 2)).as_deref(), Some("runs"));
        assert_eq!((name(held.next(start + LASTS * 3)), held.due.next_at()), (None, None));
    }

    #[test]
    fn a_note_is_bounded_and_safe_to_show() {
        for phase in Phase::ALL {
            let mut status =
                cloister_testkit::status_in(phase, cloister_testkit::job_id(1), Timestamp::from_unix_ms(5));
            let plain = note(&status);
            assert!(!plain.is_empty() && plain.len() <= MOST_NOTE, "{phase}: {plain}");
            // The phase is the reason of the event.
            assert!(!phase.has_ended() || plain.starts_with("a reason"), "{phase}: {plain}");
            status.reason = Some(Reason::new(&format!("\u{1b}[31m{}", "ä".repeat(5000)), Fault::Algorithm));
            let long = note(&status);
            assert!(long.len() <= 1024 && !long.contains('\u{1b}'), "{phase}: {long}");
        }
    }
}
