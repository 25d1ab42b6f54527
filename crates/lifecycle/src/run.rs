use crate::{Durability, LogFate, Recorded, Transition};
use cloister_model::{
    ContainerEnd, Event, Fault, FilesChecksum, JobSpec, Limit, Reason, Report, RunEnd, RunSummary, Terms,
};

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
    /// What the sandbox said of its report, where the report itself is elsewhere.
    pub summary: Option<RunSummary>,
    /// How it ended, as the machine that ran it saw.
    pub end: Option<ObservedEnd>,
}

/// How a run ended, as the machine that ran it saw: a run that is ended from outside says nothing itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedEnd {
    /// The machine had to take memory back from it. Its own word does not count: a process that lost a child so may still
    /// exit with 0.
    OutOfMemory,
    /// It took longer than the machine gave it.
    Deadline,
    /// It filled more of the machine's disk than it was given.
    Disk,
    /// An earlier run has its claim, and what that run left is lost.
    Repeated,
    /// The container of the algorithm ended, as its process 1 says. It left no report that counts.
    Container(ContainerEnd),
    /// What the algorithm names could not be started, such as its image: one sentence.
    NotStarted(String),
    /// It could not be carried on, for a reason that is not its own: one sentence.
    CutOff(String),
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
    let RunFacts { trace, exit, start_error, summary, end } = run;
    let ended = |transition| Next::Ended(Box::new(transition));
    match (end, summary) {
        (Some(ObservedEnd::OutOfMemory), _) => return ended(ended_outside(spec, &ObservedEnd::OutOfMemory)),
        // What a container wrote does not count, and configuration has checked the files that it was given.
        (Some(ObservedEnd::Container(ContainerEnd::Exited(0))), _) => {
            return ended(Transition::step(&[Event::Succeeded], Durability::Process));
        }
        // What it said before it was ended counts.
        (_, Some(summary)) => return ended(reported(spec, summary, None)),
        (Some(end), None) => return ended(ended_outside(spec, end)),
        (None, None) => {}
    }
    // The lock first: whatever else is there may still change while it is held.
    match trace {
        RunTrace { locked: true, .. } => Next::Await,
        RunTrace { claimed: true, report: Some(report), .. } => {
            ended(reported(spec, &RunSummary::of(report), Some(report.clone())))
        }
        RunTrace { claimed: true, report: None, last_words, .. } => {
            ended(failed(spec, without_report(last_words, exit.as_deref())))
        }
        // A report without a claim does not belong to this run.
        RunTrace { claimed: false, last_words, .. } => match (start_error, exit) {
            (Some(error), _) => {
                let text = format!("the sandbox could not be started: {error}");
                ended(failed(spec, Reason::new(&text, Fault::System)))
            }
            (None, Some(exit)) => ended(failed(spec, without_report(last_words, Some(exit)))),
            (None, None) => Next::Start,
        },
    }
}

pub(crate) fn failed(spec: &JobSpec, reason: Reason) -> Transition {
    Transition::end(&[Event::Failed], reason, LogFate::without_release(spec))
}

/// What the end of a run means that the machine saw and the sandbox did not report.
fn ended_outside(spec: &JobSpec, end: &ObservedEnd) -> Transition {
    let limit = |limit: Limit, text: &str| {
        let text = format!("limit exceeded: {} ({text})", limit.as_str());
        let reason = Reason::new(&text, Fault::Algorithm);
        Transition::end(&[Event::MetLimit], reason, LogFate::without_release(spec))
    };
    let system = |text: &str| failed(spec, Reason::new(text, Fault::System));
    match end {
        ObservedEnd::OutOfMemory => limit(Limit::Memory, "the machine ended the run because it took more than it may"),
        ObservedEnd::Deadline => limit(Limit::WallTime, "the machine ended the run because it took longer than it may"),
        ObservedEnd::Disk => limit(Limit::OutputBytes, "the machine ended the run because it filled its disk"),
        ObservedEnd::Repeated => system(
            "the run was begun before, what it left is lost, and the algorithm is not run again; submit the job again",
        ),
        ObservedEnd::CutOff(text) => system(text),
        ObservedEnd::NotStarted(text) => failed(spec, Reason::new(text, Fault::Algorithm)),
        ObservedEnd::Container(end) => {
            let algorithm = |text: &str| failed(spec, Reason::new(text, Fault::Algorithm));
            match end {
                ContainerEnd::Exited(code) => algorithm(&format!("the algorithm exited with code {code}")),
                ContainerEnd::Signal(0) => algorithm("a signal ended the algorithm"),
                ContainerEnd::Signal(signal) => algorithm(&format!("signal {signal} ended the algorithm")),
                ContainerEnd::NoProgram => {
                    algorithm("the image of the algorithm has no program of the name in `container.entrypoint`")
                }
                ContainerEnd::NoCommand => algorithm("`container.entrypoint` of the algorithm is not a command"),
                ContainerEnd::WallTime => ended_outside(spec, &ObservedEnd::Deadline),
                ContainerEnd::Memory => ended_outside(spec, &ObservedEnd::OutOfMemory),
                ContainerEnd::BegunBefore => ended_outside(spec, &ObservedEnd::Repeated),
                ContainerEnd::NoWall => {
                    system("its node lacks a wall that a container has to run behind; the algorithm was not started")
                }
                ContainerEnd::HostFault => system("process 1 of its container could not do its work"),
            }
        }
    }
}

/// What a report means for its job. `report` is the report itself, where it is at hand.
fn reported(spec: &JobSpec, summary: &RunSummary, report: Option<Box<Report>>) -> Transition {
    let stored = report;
    if let Err(reason) = ran_as_allowed(&spec.terms, summary) {
        // What was not allowed to run may not speak either.
        let ended = Transition::end(&[Event::Failed], reason, LogFate::Discarded);
        return Transition { report: stored, records: vec![Recorded::refused("files-checksum")], ..ended };
    }
    let (event, reason) = event_of(summary);
    let reason = reason.map(|reason| if spec.terms.lets_log_out() { reason } else { coarse(summary.end, reason) });
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
fn event_of(summary: &RunSummary) -> (Event, Option<Reason>) {
    let event = match summary.end {
        RunEnd::Succeeded => return (Event::Succeeded, None),
        RunEnd::Failed | RunEnd::Refused | RunEnd::HostFault => Event::Failed,
        RunEnd::MetLimit => Event::MetLimit,
    };
    let fault = if summary.end == RunEnd::HostFault { Fault::System } else { Fault::Algorithm };
    let unsaid = || Reason::new("the run ended badly, and its report does not say how", fault);
    (event, Some(summary.reason.clone().unwrap_or_else(unsaid)))
}

/// What is told of an end where nothing of the log may leave: neither an exit code nor a number that the algorithm chose.
fn coarse(end: RunEnd, reason: Reason) -> Reason {
    const SILENT: &str = "the data's contract lets nothing of the log out";
    match end {
        RunEnd::Succeeded | RunEnd::Refused | RunEnd::HostFault => reason,
        // That it failed is its phase.
        RunEnd::Failed => Reason::new(&format!("how it failed is not told, because {SILENT}"), reason.fault()),
        RunEnd::MetLimit => {
            let limit = reason.text().split(" (").next().unwrap_or_default();
            Reason::new(&format!("{limit}; no more is told, because {SILENT}"), reason.fault())
        }
    }
}

/// Compares the bytes that ran, as the sandbox digested them, with those that the terms allow. Configuration checked the
/// files before the run; this check holds even if they were replaced in between.
pub(crate) fn ran_as_allowed(terms: &Terms, summary: &RunSummary) -> Result<(), Reason> {
    match summary.end {
        // Nothing ran.
        RunEnd::Refused | RunEnd::HostFault => return Ok(()),
        RunEnd::Succeeded | RunEnd::Failed | RunEnd::MetLimit => {}
    }
    let allowed = if summary.interpreted {
        // An interpreter is given the first file and no other.
        let first = |files: &FilesChecksum| files.files().first() == Some(&summary.algorithm);
        terms.admitted.iter().filter_map(|dataset| dataset.files_checksums.as_ref()).all(|all| all.iter().any(first))
    } else {
        terms.allows_files(summary.files)
    };
    if allowed {
        return Ok(());
    }
    let text = format!(
        "the file that ran (sha256 {}) is not one that the datasets allow; nothing of the run is released. It was \
         replaced after it was checked; the operator has to find out how",
        summary.algorithm
    );
    Err(Reason::new(&text, Fault::System))
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
