use super::{beside, log};
use crate::{
    client::{Client, Job, JobExplanation, Progress as Fetched, Reason, follow_job, read},
    context::Context,
    exit::{Ended, FAILED, INTERRUPTED},
    output::{Format, Progress, note, print_document, shown},
};
use anyhow::Context as _;
use serde_json::Value;
use std::{
    cell::RefCell,
    convert::Infallible,
    time::{Duration, Instant},
};
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
    /// The log, below which one progress line moves; where there is no terminal, as [`Show::Everything`].
    Moving,
}

/// How often a moving line moves.
const TICK: Duration = Duration::from_millis(250);

/// The progress line of a job: its phase, for how long, and a sign of life.
#[derive(Debug)]
struct Line {
    phase: String,
    fetched: String,
    since: Instant,
    ticks: usize,
}

impl Line {
    fn text(&self, now: Instant) -> String {
        let Self { phase, fetched, since, ticks } = self;
        let sign = ['-', '\\', '|', '/'][ticks % 4];
        format!("{sign} {phase}{fetched} {} s", now.saturating_duration_since(*since).as_secs())
    }
}

/// Waits until a job has ended, and returns its last state. Ctrl-C ends the waiting, not the job.
pub(super) async fn follow(client: &Client, job: &str, show: Show) -> anyhow::Result<Value> {
    let progress = RefCell::new(Progress::new());
    let moves = show == Show::Moving && progress.borrow().is_shown();
    let line = RefCell::new(Line { phase: String::new(), fetched: String::new(), since: Instant::now(), ticks: 0 });
    let in_review = Notify::new();
    let events = follow_job(client, job, |job| {
        let (phase, fetched) = (shown(&job.phase), job.progress.as_ref().map(fetched).unwrap_or_default());
        let (mut line, mut progress) = (line.borrow_mut(), progress.borrow_mut());
        let is_new = line.phase != phase;
        line.fetched = fetched;
        if is_new {
            (line.phase, line.since) = (phase, Instant::now());
        }
        // Said with whom it waits for, because this can last for days.
        let waits = line.phase == IN_REVIEW;
        let is_said = match show {
            Show::Everything => true,
            Show::Moving => !moves || waits,
            Show::Line => false,
        };
        if is_said && is_new {
            progress.clear();
            match waits {
                true => in_review.notify_one(),
                false => note(&format!("-- {}", line.phase)),
            }
        }
        if moves {
            progress.show(&line.text(Instant::now()));
        } else if show == Show::Line {
            progress.show(&format!("{}{}", line.phase, line.fetched));
        }
    });
    let ticks = async {
        if !moves {
            return std::future::pending::<Infallible>().await;
        }
        loop {
            tokio::time::sleep(TICK).await;
            let mut line = line.borrow_mut();
            line.ticks += 1;
            // Nothing is known before the first event.
            if !line.phase.is_empty() {
                progress.borrow_mut().show(&line.text(Instant::now()));
            }
        }
    };
    let ended = async {
        if show == Show::Line {
            return events.await;
        }
        let log = log::follow(client, job, || progress.borrow_mut().clear());
        let waits = say_reviews(client, job, &in_review);
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
        never = ticks => match never {},
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("waiting for Ctrl-C")?;
            progress.borrow_mut().clear();
            let text = format!(
                "stopped waiting; the job continues: `cloister job follow {job}` follows it, `cloister job stop {job}` stops it"
            );
            Err(Ended::error(INTERRUPTED, text))
        }
    }
}

/// Prints whom the outputs of a job wait for, each time that an event says that they wait.
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

pub(super) fn outcome(job: &Job) -> anyhow::Result<()> {
    let Job { id, phase, .. } = job;
    if let Some(log) = job.withheld_log.as_ref().filter(|log| log.released.is_none()) {
        note(&shown(&log.text));
    }
    if phase == FINISHED {
        note(&format!("job {id} finished"));
        return Ok(());
    }
    let ended = reason(job).map_or_else(|| shown(phase), |reason| beside(phase, &reason));
    Err(Ended::error(FAILED, format!("job {id} ended in {ended}")))
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
    fn a_moving_line_says_what_for_how_long_and_that_it_lives() {
        let since = Instant::now();
        let line = |ticks, seconds| {
            let line = Line { phase: "Running".to_owned(), fetched: String::new(), since, ticks };
            line.text(since + Duration::from_secs(seconds))
        };
        assert_eq!(line(0, 0), "- Running 0 s");
        assert_eq!(line(5, 61), "\\ Running 61 s");
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
