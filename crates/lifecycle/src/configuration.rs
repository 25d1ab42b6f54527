use crate::{
    Durability, LogFate, StepAnswer, Transition,
    step::{Answer, Done, answer},
};
use cloister_model::{Event, Fault, JobSpec, Phase, Reason, Said, StepName, StepResult};

/// What configuration's report means for a job in [`Phase::Configuring`], or in a later phase whose inputs had to be laid out
/// again. None: it is done again.
pub(crate) fn configured(spec: &JobSpec, phase: Phase, report: StepAnswer<'_>) -> Option<Transition> {
    let configuring = phase == Phase::Configuring;
    let failed = |event, reason| {
        // There is no way back to the codes of configuration.
        let event = if configuring { event } else { Event::Failed };
        Some(Transition::end(&[event], reason, LogFate::Discarded))
    };
    match answer(spec, StepName::Configure, report) {
        Answer::Again => None,
        Answer::Failed { event, rule: _, reason, detail } => {
            failed(event, reason).map(|ended| Transition { detail, ..ended })
        }
        Answer::Done(done) if !lays_out_what_is_allowed(spec, &done) => {
            let text = "the algorithm's files are not those that were allowed, and configuration laid them out";
            failed(Event::AlgorithmUnavailable, Reason::new(text, Fault::System))
        }
        // Stored for good before anything runs.
        Answer::Done(_) if configuring => Some(Transition::step(&[Event::Provisioned, Event::Run], Durability::Disk)),
        Answer::Done(_) => Some(Transition::step(&[Event::Run], Durability::Disk)),
    }
}

/// Whether the algorithm's files are those that were allowed, as far as configuration's answer says.
fn lays_out_what_is_allowed(spec: &JobSpec, done: &Done<'_>) -> bool {
    match done {
        Done::Report(StepResult::Configured { datasets: _, files: _, algorithm }) => {
            spec.terms.check_files(algorithm).is_ok()
        }
        Done::Message(Said::Configured { algorithm, is_wasm: _ }) => spec.terms.allows_files(Some(*algorithm)),
        Done::Report(_) | Done::Message(_) => true,
    }
}

/// Why the algorithm's file cannot be run as the job says; none if it can. The sandbox would refuse it too, but as a mistake of
/// its caller.
pub(crate) fn wrong_kind(spec: &JobSpec, algorithm_is_wasm: bool) -> Option<Reason> {
    let text = "the algorithm is a WebAssembly program, and its container asks for an interpreter";
    let wrong = algorithm_is_wasm && spec.algorithm.interpreter.is_some();
    wrong.then(|| Reason::new(text, Fault::Algorithm))
}
