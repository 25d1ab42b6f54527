use crate::{Durability, LogFate, Recorded, Transition};
use cloister_model::{Event, Fault, FilesChecksum, JobSpec, Outcome, Reason, Report, Sha256, Terms};

/// What a run has left, as it can be observed at any time by any process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunTrace {
    /// The sandbox has taken the claim: it has begun. A claim can be taken once.
    pub claimed: bool,
    /// The run holds its lock: it goes on, or is about to begin.
    pub locked: bool,
    /// What it reported, once it has ended. Whole, or not there.
    pub report: Option<Box<Report>>,
    /// The last line of what the sandbox wrote to stderr, if it ended without a report. Empty: nothing.
    pub last_words: String,
}

/// What is known of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFacts {
    /// What it has left.
    pub trace: RunTrace,
    /// How the sandbox exited, in words, if this process started it and saw it exit.
    pub exit: Option<String>,
    /// Why this process could not start the sandbox.
    pub start_error: Option<String>,
}

/// What to do about a run.
pub(crate) enum Next {
    /// Nothing was ever run: start it.
    Start,
    /// It goes on: wait for its end.
    Await,
    /// It has ended.
    Ended(Box<Transition>),
}

/// Decides from what the run has left. A run is started only if nothing shows that one was begun before.
pub(crate) fn next(spec: &JobSpec, run: &RunFacts) -> Next {
    let RunFacts { trace, exit, start_error } = run;
    // The lock first: whatever else is there may still change while it is held.
    match trace {
        RunTrace { locked: true, .. } => Next::Await,
        RunTrace { claimed: true, report: Some(report), .. } => Next::Ended(Box::new(reported(spec, report))),
        RunTrace { claimed: true, report: None, last_words, .. } => {
            Next::Ended(Box::new(failed(spec, without_report(last_words, exit.as_deref()))))
        }
        // A report without a claim does not belong to this run.
        RunTrace { claimed: false, last_words, .. } => match (start_error, exit) {
            (Some(error), _) => {
                let text = format!("the sandbox could not be started: {error}");
                Next::Ended(Box::new(failed(spec, Reason::new(&text, Fault::System))))
            }
            (None, Some(exit)) => Next::Ended(Box::new(failed(spec, without_report(last_words, Some(exit))))),
            (None, None) => Next::Start,
        },
    }
}

pub(crate) fn failed(spec: &JobSpec, reason: Reason) -> Transition {
    Transition::end(&[Event::Failed], reason, LogFate::without_release(spec))
}

/// What a report means for its job.
fn reported(spec: &JobSpec, report: &Report) -> Transition {
    let stored = Some(Box::new(report.clone()));
    if let Err(reason) = ran_as_allowed(&spec.terms, report) {
        // What was not allowed to run may not speak either.
        let ended = Transition::end(&[Event::Failed], reason, LogFate::Discarded);
        return Transition { report: stored, records: vec![Recorded::refused("files-checksum")], ..ended };
    }
    let (event, reason) = event_of(report);
    match reason {
        // Not durable: the report stays in the work folder until filtering has ended.
        None => Transition { report: stored, ..Transition::step(&[event], Durability::Process) },
        Some(reason) => {
            let ended = Transition::end(&[event], reason, LogFate::without_release(spec));
            Transition { report: stored, ..ended }
        }
    }
}

/// What a run's end means for its job, and why it ended badly if it did.
fn event_of(report: &Report) -> (Event, Option<Reason>) {
    let text = report.outcome.to_string();
    let because = |fault| Some(Reason::new(&text, fault));
    match &report.outcome {
        Outcome::Succeeded => (Event::Succeeded, None),
        Outcome::AlgorithmFailed { .. } | Outcome::Crashed { .. } | Outcome::Refused { .. } => {
            (Event::Failed, because(Fault::Algorithm))
        }
        Outcome::LimitExceeded { .. } => (Event::MetLimit, because(Fault::Algorithm)),
        Outcome::HostFault { .. } => (Event::Failed, because(Fault::System)),
    }
}

/// Compares the bytes that ran, as the sandbox digested them, with those that the terms allow. Configuration checked the
/// files before the run; this check holds even if they were replaced in between.
fn ran_as_allowed(terms: &Terms, report: &Report) -> Result<(), Reason> {
    match report.outcome {
        // Nothing ran.
        Outcome::Refused { .. } | Outcome::HostFault { .. } => return Ok(()),
        Outcome::Succeeded
        | Outcome::AlgorithmFailed { .. }
        | Outcome::Crashed { .. }
        | Outcome::LimitExceeded { .. } => {}
    }
    let allowed = if report.algorithm.runtime.is_some() {
        // An interpreter is given the first file and no other.
        let first = |files: &FilesChecksum| files.files().first() == Some(&report.algorithm.sha256);
        terms.admitted.iter().filter_map(|dataset| dataset.files_checksums.as_ref()).all(|all| all.iter().any(first))
    } else {
        FilesChecksum::of(algorithm_files(report)).is_ok_and(|files| terms.check_files(&files).is_ok())
    };
    if allowed {
        return Ok(());
    }
    let text = format!(
        "the file that ran (sha256 {}) is not one that the datasets allow; nothing of the run is released. It was \
         replaced after it was checked; the operator has to find out how",
        report.algorithm.sha256
    );
    Err(Reason::new(&text, Fault::System))
}

/// The digests of the algorithm's files in order: the one that ran, and those beside it in the guest's view.
fn algorithm_files(report: &Report) -> Vec<Sha256> {
    let beside = |number: usize| {
        let path = format!("transformations/{number}");
        report.inputs.iter().find(|file| file.path == path).map(|file| file.sha256)
    };
    std::iter::once(report.algorithm.sha256).chain((1..).map_while(beside)).collect()
}

/// Why a run ended without a report: what the sandbox said, if anything, and how it exited, if that was seen.
fn without_report(last_words: &str, exit: Option<&str>) -> Reason {
    let text = match (last_words, exit) {
        ("", Some(exit)) => format!("the sandbox ended without a report ({exit}); the algorithm is not run again"),
        ("", None) => {
            "the run was cut off with this machine or its sandbox; the algorithm is not run again. Submit the job again"
                .to_owned()
        }
        (words, _) => format!("the sandbox could not run it: {words}"),
    };
    Reason::new(&text, Fault::System)
}

#[cfg(test)]
mod tests;
