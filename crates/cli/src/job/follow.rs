use super::log;
use crate::{
    client::{Client, Job, JobExplanation, Progress as Fetched, Reason, follow_job, read},
    context::Context,
    exit::{Ended, FAILED, INTERRUPTED},
    output::{Format, Progress, note, print_document, shown},
};
use anyhow::Context as _;
use serde_json::Value;
use std::{convert::Infallible, time::Duration};
use tokio::sync::Notify;

/// The phase of a job that succeeded.
pub(super) const FINISHED: &str = "Finished";

/// The phase of a job whose outputs wait for a reviewer.
const IN_REVIEW: &str = "InReview";

/// What is shown of a job while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// Every phase, and the log.
    Everything,
    /// One progress line, on a terminal only.
    Line,
}

/// Waits until a job has ended, and returns its last state. Ctrl-C ends the waiting, not the job.
pub(super) async fn follow(client: &Client, job: &str, show: Show) -> anyhow::Result<Value> {
    let mut progress = Progress::new();
    let mut last = String::new();
    let in_review = Notify::new();
    let events = follow_job(client, job, |job| {
        let phase = shown(&job.phase);
        if show == Show::Everything {
            if phase != last {
                progress.clear();
                match phase == IN_REVIEW {
                    // Said with whom it waits for, because this can last for days.
                    true => in_review.notify_one(),
                    false => note(&format!("-- {phase}")),
                }
            }
        } else {
            progress.show(&format!("{phase}{}", job.progress.as_ref().map(fetched).unwrap_or_default()));
        }
        last = phase;
    });
    let ended = async {
        if show == Show::Line {
            return events.await;
        }
        let (log, waits) = (log::follow(client, job), say_reviews(client, job, &in_review));
        tokio::pin!(events, log, waits);
        let mut is_open = true;
        loop {
            tokio::select! {
                // The log is printed before the end is reported.
                biased;
                // If the log cannot be followed, the job still can.
                _ = &mut log, if is_open => is_open = false,
                never = &mut waits => match never {},
                ended = &mut events => {
                    if is_open {
                        let _ = tokio::time::timeout(Duration::from_secs(10), &mut log).await;
                    }
                    return ended;
                }
            }
        }
    };
    tokio::select! {
        ended = ended => Ok(ended?),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("waiting for Ctrl-C")?;
            Err(Ended::error(INTERRUPTED, format!("stopped waiting; the job continues: `cloister job follow {job}`")))
        }
    }
}

/// Says whom the outputs of a job wait for, whenever it is told that they do.
async fn say_reviews(client: &Client, job: &str, in_review: &Notify) -> Infallible {
    loop {
        in_review.notified().await;
        note(&format!("-- {IN_REVIEW}: {}; Ctrl-C leaves the job waiting", waits_for(client, job).await));
    }
}

/// Whom the outputs of a job wait for.
async fn waits_for(client: &Client, job: &str) -> String {
    let answer = client.get(&["v1", "jobs", job, "explain"], &[]).await;
    let explanation = answer.and_then(|answer| read::<JobExplanation>(&answer)).ok();
    let waits = explanation.and_then(|explanation| explanation.review);
    waits.map_or_else(|| "waiting for a review of the outputs".to_owned(), |waits| waits.sentence())
}

/// How much of the inputs has been fetched.
fn fetched(Fetched { done_bytes, total_bytes }: &Fetched) -> String {
    match total_bytes {
        Some(total) => format!(" ({done_bytes} of {total} bytes)"),
        None => format!(" ({done_bytes} bytes)"),
    }
}

/// Why a job ended, if it has a reason. Escaped.
pub(super) fn reason(job: &Job) -> Option<String> {
    let Reason { text, fault } = job.reason.as_ref()?;
    let text = shown(text);
    Some(if fault == "nobody" { text } else { format!("{text} (fault: {})", shown(fault)) })
}

/// Reports how a job ended, and ends the command accordingly.
pub(super) fn conclude(context: &Context, job: &Value) -> anyhow::Result<()> {
    if context.format != Format::Table {
        print_document(context.format, job)?;
    }
    outcome(&read(job)?)
}

fn outcome(job: &Job) -> anyhow::Result<()> {
    let Job { id, phase, .. } = job;
    if phase == FINISHED {
        note(&format!("job {id} finished"));
        return Ok(());
    }
    let reason = reason(job).map(|reason| format!(": {reason}")).unwrap_or_default();
    if let Some(log) = job.withheld_log.as_ref().filter(|log| log.released.is_none()) {
        note(&shown(&log.text));
    }
    Err(Ended::error(FAILED, format!("job {id} ended in {}{reason}", shown(phase))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::code_of;
    use cloister_model::Phase;
    use serde_json::json;

    fn job(phase: &str, reason: &Value) -> Job {
        let job = json!({"id": "0".repeat(32), "phase": phase, "created": "", "changed": "", "datasets": [],
            "algorithm": {"raw": true}, "history": [], "reason": reason});
        read(&job).expect("a job")
    }

    #[test]
    fn only_a_finished_job_is_a_success() {
        outcome(&job("Finished", &json!(null))).expect("a success");
        for phase in ["AlgorithmFailed", "LimitExceeded", "OutputRefused", "Stopped", "Expired", "finished", ""] {
            let error = outcome(&job(phase, &json!({"text": "a\u{1b}", "fault": "algorithm"}))).expect_err(phase);
            assert_eq!(code_of(&error), FAILED, "{phase}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }

    #[test]
    fn phases_have_the_names_of_the_model() {
        for (name, phase) in [(FINISHED, Phase::Finished), (IN_REVIEW, Phase::InReview)] {
            assert_eq!(serde_json::to_value(phase).expect("JSON"), name);
        }
    }

    #[test]
    fn a_reason_names_who_is_at_fault() {
        let reason = |fault: &str| reason(&job("Stopped", &json!({"text": "no", "fault": fault})));
        assert_eq!(reason("algorithm").as_deref(), Some("no (fault: algorithm)"));
        assert_eq!(reason("nobody").as_deref(), Some("no"));
        assert_eq!(super::reason(&job("Stopped", &json!(null))), None);
    }
}
