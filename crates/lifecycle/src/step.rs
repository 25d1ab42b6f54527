use cloister_model::{Event, FailureDetail, Fault, JobSpec, Reason, StepFailure, StepName, StepReport, StepResult};

/// What a step answered.
pub(crate) enum Answer<'a> {
    /// It was done.
    Done(&'a StepResult),
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

/// Reads the report of a step of this job. A report of another job or step is a failure of the system.
pub(crate) fn answer<'a>(spec: &JobSpec, step: StepName, report: &'a StepReport) -> Answer<'a> {
    let StepReport { version: _, job, step: found, result, progress: _ } = report;
    let fits = match result {
        StepResult::Configured { .. } => step == StepName::Configure,
        StepResult::Passed { .. } => step == StepName::Filter,
        StepResult::Published { .. } => step == StepName::Publish,
        StepResult::Failed { .. } => true,
    };
    if *job != spec.id || *found != step || !fits {
        let text = "the report of a step belongs to another job or another step";
        let reason = Reason::new(text, Fault::System);
        return Answer::Failed { event: failed(step, None), rule: None, reason, detail: None };
    }
    match result {
        StepResult::Failed { failure: StepFailure::Cancelled, .. } => Answer::Again,
        StepResult::Failed { failure, rule, reason, detail } => {
            let event = failed(step, Some(*failure));
            Answer::Failed { event, rule: rule.as_deref(), reason: reason.clone(), detail: detail.clone() }
        }
        done => Answer::Done(done),
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
