use super::log;
use crate::{
    arguments::Context,
    client::{Client, follow_job},
    exit::{Ended, FAILED, INTERRUPTED},
    output::{Format, Progress, note, print_document, shown},
};
use anyhow::Context as _;
use cloister_model::Phase;
use serde_json::Value;
use std::time::Duration;

/// What is shown of a job while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// Every phase, and the log.
    Everything,
    /// One line on a terminal.
    Line,
}

/// Waits for a job's end. Ctrl-C ends the waiting, not the job.
pub(super) async fn follow(client: &Client, job: &str, show: Show) -> anyhow::Result<Value> {
    let mut progress = Progress::new();
    let mut last = String::new();
    let events = follow_job(client, job, |job| {
        let phase = shown(job["phase"].as_str().unwrap_or("?"));
        if show == Show::Everything {
            if phase != last {
                progress.clear();
                note(&format!("-- {phase}"));
            }
        } else {
            progress.show(&format!("{phase}{}", fetched(&job["progress"])));
        }
        last = phase;
    });
    let ended = async {
        if show == Show::Line {
            return events.await;
        }
        let log = log::follow(client, job);
        tokio::pin!(events, log);
        let mut is_open = true;
        loop {
            tokio::select! {
                // What was printed comes before the word that all is over.
                biased;
                // A log that cannot be followed is read at the end.
                _ = &mut log, if is_open => is_open = false,
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
            Err(Ended::error(INTERRUPTED, format!("not waiting any longer; the job goes on: `cloister job follow {job}`")))
        }
    }
}

/// How far its inputs are.
fn fetched(progress: &Value) -> String {
    match (progress["doneBytes"].as_u64(), progress["totalBytes"].as_u64()) {
        (Some(done), Some(total)) => format!(" ({done} of {total} bytes)"),
        (Some(done), None) => format!(" ({done} bytes)"),
        (None, _) => String::new(),
    }
}

/// Why a job ended, if it says so; safe to show.
pub(super) fn reason(job: &Value) -> Option<String> {
    let text = shown(job["reason"]["text"].as_str()?);
    let fault = job["reason"]["fault"].as_str().filter(|fault| *fault != "nobody");
    Some(fault.map_or(text.clone(), |fault| format!("{text} (fault: {})", shown(fault))))
}

/// Says how a job ended, and makes that the end of the command.
pub(super) fn conclude(context: &Context, job: &Value) -> anyhow::Result<()> {
    if context.format != Format::Table {
        print_document(context.format, job)?;
    }
    outcome(job)
}

fn outcome(job: &Value) -> anyhow::Result<()> {
    let phase = job["phase"].as_str().unwrap_or("?");
    let finished = serde_json::to_value(Phase::Finished).is_ok_and(|finished| finished == phase);
    let id = shown(job["id"].as_str().unwrap_or_default());
    let reason = reason(job).map(|reason| format!(": {reason}")).unwrap_or_default();
    if finished {
        note(&format!("job {id} finished"));
        return Ok(());
    }
    Err(Ended::error(FAILED, format!("job {id} ended in {}{reason}", shown(phase))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code_of;
    use serde_json::json;

    #[test]
    fn only_a_finished_job_is_a_success() {
        outcome(&json!({"id": "a", "phase": "Finished"})).expect("a success");
        for phase in ["AlgorithmFailed", "LimitExceeded", "OutputRefused", "Stopped", "Expired", "finished", ""] {
            let error = outcome(&json!({"phase": phase, "reason": {"text": "a\u{1b}", "fault": "algorithm"}}));
            let error = error.expect_err(phase);
            assert_eq!(code_of(&error), FAILED, "{phase}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }

    #[test]
    fn a_reason_names_whose_fault_it_was() {
        let job = |fault: &str| json!({"reason": {"text": "no", "fault": fault}});
        assert_eq!(reason(&job("algorithm")).as_deref(), Some("no (fault: algorithm)"));
        assert_eq!(reason(&job("nobody")).as_deref(), Some("no"));
        assert_eq!(reason(&json!({"reason": null})), None);
    }
}
