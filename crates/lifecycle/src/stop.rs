use crate::{LogFate, TimeLimit, Transition};
use cloister_model::{Event, Fault, JobSpec, JobStatus, Phase, Reason};

/// The end of a job that was asked to stop.
pub(crate) fn stopped(spec: &JobSpec, status: &JobStatus) -> Transition {
    end_early(spec, status, Event::Stop, Reason::new("stopped", Fault::Nobody))
}

/// The end of a job that took too long.
pub(crate) fn expired(spec: &JobSpec, status: &JobStatus, limit: TimeLimit) -> Transition {
    let mut text = format!("expired: {}", limit.text());
    if let Some(wait) = &status.store_wait {
        text = format!("{text}: {}", wait.why);
    }
    end_early(spec, status, Event::Expire, Reason::new(&text, Fault::System))
}

fn end_early(spec: &JobSpec, status: &JobStatus, event: Event, reason: Reason) -> Transition {
    let publishing = status.history.iter().any(|step| step.phase == Phase::Publishing);
    let ran = status.history.iter().any(|step| step.phase == Phase::Running);
    let log = if ran { LogFate::without_release(spec) } else { LogFate::Discarded };
    let ended = Transition::end(&[event], reason, log);
    Transition { discard_results: publishing, ..ended }
}

/// The end of a job that its environment cannot run ([`fits`](crate::fits)), for a job in [`Phase::Queued`]. It ends where
/// its algorithm would be prepared.
#[must_use]
pub fn ended_unfit(reason: &str) -> Transition {
    let events = [Event::Accept, Event::Configure, Event::AlgorithmUnavailable];
    Transition::end(&events, Reason::new(reason, Fault::Algorithm), LogFate::Discarded)
}
