use crate::{Durability, LogFate, Recorded, Transition, guest_text_may_leave};
use cloister_model::{Check, Event, Fault, JobSpec, Limits, Outcome, OutputContract, Reason, Report, ResultFile};

/// What the algorithm log is called among the results.
pub const LOG_NAME: &str = "algorithm.log";

/// What filtering found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterResult {
    /// The outputs keep every rule. These files may leave: the outputs, and then the log, with the digests of what was
    /// checked.
    Passed(Vec<ResultFile>),
    /// A rule is broken.
    Refused {
        /// The rule's name.
        rule: String,
        /// What broke it, safe to show. It may hold text that the guest chose.
        text: String,
        /// The same without the guest's text.
        text_without_guest: String,
    },
    /// A check program did not agree, or could not be asked.
    CheckRefused {
        /// The check's name.
        check: String,
        /// Why, safe to show.
        text: String,
        /// Whose doing it was.
        fault: Fault,
    },
}

/// What filtering's result means for a job in [`Phase::Filtering`](cloister_model::Phase::Filtering).
pub(crate) fn filtered(spec: &JobSpec, result: &FilterResult) -> Transition {
    let refused = |rule: &str, text: &str, fault| {
        let reason = Reason::new(&format!("the outputs may not leave: {text}"), fault);
        let ended = Transition::end(&[Event::Refused], reason, LogFate::without_release(&spec.terms));
        Transition { records: vec![Recorded::refused(rule)], ..ended }
    };
    match result {
        FilterResult::Passed(files) => {
            let event = if spec.terms.release.review { Event::ReviewAsked } else { Event::Passed };
            // Not durable: filtering can be done again.
            Transition { checked: Some(files.clone()), ..Transition::step(&[event], Durability::Process) }
        }
        FilterResult::Refused { rule, text, text_without_guest } => {
            let shown = if guest_text_may_leave(&spec.terms) { text } else { text_without_guest };
            refused(rule, shown, Fault::Algorithm)
        }
        FilterResult::CheckRefused { check, text, fault } => {
            refused("check", &format!("check `{check}`: {text}"), *fault)
        }
    }
}

/// What a check program may leave: nothing. It answers yes or no by its exit code.
#[must_use]
pub fn check_contract() -> OutputContract {
    OutputContract {
        max_bytes: 0,
        max_files: 0,
        max_directories: 0,
        names: Vec::new(),
        max_log_bytes: 0,
        ..OutputContract::default()
    }
}

/// What a check program may use: the memory of the job that it checks, and the default of everything else.
#[must_use]
pub fn check_limits(job: &Limits) -> Limits {
    Limits { memory_bytes: job.memory_bytes, ..Limits::default() }
}

/// What the report of a check program says about the outputs.
///
/// # Errors
/// Why they may not leave, safe to show, and whose doing that is.
pub fn check_verdict(check: &Check, report: &Report) -> Result<(), (String, Fault)> {
    if report.algorithm.sha256 != check.sha256 {
        return Err(("the program that ran is not the one that was asked for".to_owned(), Fault::System));
    }
    match &report.outcome {
        Outcome::Succeeded => Ok(()),
        outcome @ Outcome::HostFault { .. } => Err((outcome.to_string(), Fault::System)),
        outcome => Err((outcome.to_string(), Fault::Algorithm)),
    }
}
