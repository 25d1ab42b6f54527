use crate::{Durability, LogFate, Transition};
use cloister_model::{Did, Event, Fault, JobSpec, Phase, Reason};

/// The inputs of a job lie in its work folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configured {
    /// Whether the algorithm's file starts as a WebAssembly module does.
    pub algorithm_is_wasm: bool,
}

/// Why the inputs of a job could not be laid out. The texts are safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigureFailure {
    /// A dataset could not be provided.
    Dataset {
        /// Which.
        did: Did,
        /// Why.
        reason: String,
        /// Whose doing it was.
        fault: Fault,
    },
    /// The algorithm could not be provided, or its bytes are not those that were allowed.
    Algorithm {
        /// Why.
        reason: String,
        /// Whose doing it was.
        fault: Fault,
    },
    /// This machine failed.
    System(String),
}

impl ConfigureFailure {
    fn event(&self) -> Event {
        match self {
            Self::Dataset { .. } | Self::System(_) => Event::DataUnavailable,
            Self::Algorithm { .. } => Event::AlgorithmUnavailable,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Dataset { did, reason, fault } => {
                Reason::new(&format!("dataset {did} could not be provided: {reason}"), *fault)
            }
            Self::Algorithm { reason, fault } => {
                Reason::new(&format!("the algorithm could not be provided: {reason}"), *fault)
            }
            Self::System(problem) => {
                Reason::new(&format!("the inputs could not be laid out: {problem}"), Fault::System)
            }
        }
    }
}

/// What configuration's result means for a job in [`Phase::Configuring`], or in a later phase whose inputs had to be laid
/// out again.
pub(crate) fn configured(spec: &JobSpec, phase: Phase, result: &Result<Configured, ConfigureFailure>) -> Transition {
    let configuring = phase == Phase::Configuring;
    match result {
        // Stored for good before anything runs.
        Ok(_) if configuring => Transition::step(&[Event::Provisioned, Event::Run], Durability::Disk),
        Ok(_) => Transition::step(&[Event::Run], Durability::Disk),
        Err(failure) => {
            let event = if configuring { failure.event() } else { Event::Failed };
            Transition::end(&[event], failure.reason(), LogFate::without_release(&spec.terms))
        }
    }
}

/// Why the algorithm's file cannot be run as the job says; none if it can. The sandbox would refuse it too, but as a mistake of
/// its caller.
pub(crate) fn wrong_kind(spec: &JobSpec, configured: Configured) -> Option<Reason> {
    let text = "the algorithm is a WebAssembly program, and its container asks for an interpreter";
    let wrong = configured.algorithm_is_wasm && spec.algorithm.interpreter.is_some();
    wrong.then(|| Reason::new(text, Fault::Algorithm))
}
