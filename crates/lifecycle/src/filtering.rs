use crate::{
    Durability, LogFate, Recorded, ResultList, StepAnswer, Transition,
    step::{Answer, Done, answer},
};
use cloister_model::{Event, Fault, JobSpec, Reason, Said, StepName, StepResult};

/// What filtering's report means for a job in [`Phase::Filtering`](cloister_model::Phase::Filtering). None: it is done again.
pub(crate) fn filtered(spec: &JobSpec, report: StepAnswer<'_>) -> Option<Transition> {
    match answer(spec, StepName::Filter, report) {
        Answer::Again => None,
        Answer::Failed { event: _, rule, reason, detail: _ } => Some(refused(spec, rule.unwrap_or("step"), reason)),
        Answer::Done(result) => {
            let checked = match result {
                Done::Report(StepResult::Passed { files }) => ResultList::Files(files.clone()),
                Done::Message(Said::Passed { checked }) => ResultList::Digest(*checked),
                Done::Report(_) | Done::Message(_) => return None,
            };
            let event = if spec.terms.release.review { Event::ReviewAsked } else { Event::Passed };
            // Not durable: filtering can be done again.
            Some(Transition { checked: Some(checked), ..Transition::step(&[event], Durability::Process) })
        }
    }
}

/// The end of a job whose run is not described any more, so that nothing can be compared with its report.
pub(crate) fn without_report(spec: &JobSpec) -> Transition {
    let text = "the outputs may not leave: the report of the run is lost";
    refused(spec, "output-report", Reason::new(text, Fault::System))
}

fn refused(spec: &JobSpec, rule: &str, reason: Reason) -> Transition {
    let ended = Transition::end(&[Event::Refused], reason, LogFate::without_release(spec));
    Transition { records: vec![Recorded::refused(rule)], ..ended }
}
