use crate::StepAnswer;
use cloister_model::{
    Event, FailureDetail, Fault, JobId, JobSpec, Reason, Said, StepFailure, StepMessage, StepName, StepReport,
    StepResult,
};

/// What a step answered.
pub(crate) enum Answer<'a> {
    /// It was done.
    Done(Done<'a>),
    /// It could not be done.
    Failed {
        /// What that means for the job.
        event: Event,
        /// The rule that outputs broke; none if it was another failure.
        rule: Option<&'a str>,
        /// For the consumer.
        reason: Reason,
        /// For the publisher and the operator.
        detail: Option<FailureDetail>,
    },
    /// It was told to end before it was done: it is done again.
    Again,
}

/// What a step did.
pub(crate) enum Done<'a> {
    /// As its report says.
    Report(&'a StepResult),
    /// As its message says.
    Message(&'a Said),
}

/// Reads the answer of a step of this job. An answer of another job or step is a failure of the system.
pub(crate) fn answer<'a>(spec: &JobSpec, step: StepName, answer: StepAnswer<'a>) -> Answer<'a> {
    match answer {
        StepAnswer::Report(report) => reported(spec, step, report),
        StepAnswer::Message(message) => said(spec, step, message),
    }
}

fn said<'a>(spec: &JobSpec, step: StepName, message: &'a StepMessage) -> Answer<'a> {
    let StepMessage { version: _, job, said } = message;
    let of = match said {
        Said::Configured { .. } => Some(StepName::Configure),
        Said::Passed { .. } => Some(StepName::Filter),
        Said::Published { .. } => Some(StepName::Publish),
        Said::Failed { step, .. } => Some(*step),
        Said::Ran(_) | Said::NotRun { .. } | Said::Kept => None,
    };
    match said {
        _ if !is_of(spec, step, *job, of) => foreign(step),
        Said::Failed { step: _, failure, rule, reason, detail } => {
            failed_with(step, *failure, rule.as_deref(), reason, detail.clone())
        }
        done => Answer::Done(Done::Message(done)),
    }
}

fn is_of(spec: &JobSpec, step: StepName, job: JobId, found: Option<StepName>) -> bool {
    job == spec.id && found == Some(step)
}

fn foreign<'a>(step: StepName) -> Answer<'a> {
    let text = "the report of a step belongs to another job or another step";
    Answer::Failed { event: failed(step, None), rule: None, reason: Reason::new(text, Fault::System), detail: None }
}

fn failed_with<'a>(
    step: StepName,
    failure: StepFailure,
    rule: Option<&'a str>,
    reason: &Reason,
    detail: Option<FailureDetail>,
) -> Answer<'a> {
    if failure == StepFailure::Cancelled {
        return Answer::Again;
    }
    Answer::Failed { event: failed(step, Some(failure)), rule, reason: reason.clone(), detail }
}

fn reported<'a>(spec: &JobSpec, step: StepName, report: &'a StepReport) -> Answer<'a> {
    let StepReport { version: _, job, step: found, result, progress: _ } = report;
    let fits = match result {
        StepResult::Configured { .. } => step == StepName::Configure,
        StepResult::Passed { .. } => step == StepName::Filter,
        StepResult::Published { .. } => step == StepName::Publish,
        StepResult::Failed { .. } => true,
    };
    match result {
        _ if !fits || !is_of(spec, step, *job, Some(*found)) => foreign(step),
        StepResult::Failed { failure, rule, reason, detail } => {
            failed_with(step, *failure, rule.as_deref(), reason, detail.clone())
        }
        done => Answer::Done(Done::Report(done)),
    }
}

/// The event of a step that could not be done: one that the step can cause, whatever its report says.
fn failed(step: StepName, failure: Option<StepFailure>) -> Event {
    match (step, failure) {
        (StepName::Configure, Some(StepFailure::Algorithm)) => Event::AlgorithmUnavailable,
        (StepName::Configure, _) => Event::DataUnavailable,
        (StepName::Filter, _) => Event::Refused,
        (StepName::Publish, _) => Event::PublishFailed,
    }
}
