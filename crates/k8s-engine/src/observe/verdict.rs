//! What comes of a step, from what its pod shows.
//!
//! No state of a pod is final unless it says so: each that is not has a deadline and a sentence. A pod that never began is
//! created once more, and the consumer hears nothing of it; one that began never is, because the claim on the job's volume
//! lets an algorithm begin once.

use super::pod::{PodEnd, PodFacts, PodState, WaitingOn, speaker};
use crate::build::{PodStep, publishing::KEEP};
use cloister_lifecycle::ObservedEnd;
use cloister_model::{ContainerEnd, Said, StepMessage, Timestamp};
use std::{collections::HashMap, time::Duration};

/// How many pods of a step may come to nothing.
pub const MOST_ATTEMPTS: u32 = 3;

/// How long after its grace period a pod that is being deleted may stay.
const LEAVING: Duration = Duration::from_secs(60);

/// The code that the sandbox exits with if an earlier run has the claim.
const CLAIM_TAKEN: i32 = 6;

/// What comes of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Its pod has to be created.
    Create,
    /// Its pod waits or works; look again at this moment at the latest.
    Wait {
        /// What it does, in a sentence for the one who asks.
        text: String,
        /// When patience ends; none: the deadlines of the job count.
        until: Option<Timestamp>,
    },
    /// Its pod came to nothing, and nothing of the step has begun that cannot be done again: delete it, and create it anew.
    Again {
        /// Why.
        text: String,
    },
    /// It said what became of it.
    Said(StepMessage),
    /// It ended, and did not say how.
    Ended(ObservedEnd),
}

/// When the waiting of a pod began, as this process saw it. What it forgets at its end costs a wait of the same length.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    since: HashMap<String, (WaitingOn, Timestamp)>,
}

impl Patience {
    /// Takes note that a pod waits, and says since when.
    pub fn since(&mut self, uid: &str, on: WaitingOn, now: Timestamp) -> Timestamp {
        match self.since.get(uid) {
            Some((known, since)) if *known == on => *since,
            _ => {
                self.since.insert(uid.to_owned(), (on, now));
                now
            }
        }
    }

    /// Forgets a pod.
    pub fn forget(&mut self, uid: &str) {
        self.since.remove(uid);
    }
}

impl PodState {
    /// When a pod that is being deleted is waited for no longer; none: it is not being deleted.
    #[must_use]
    pub fn given_up_at(&self) -> Option<Timestamp> {
        match self {
            Self::Leaving { since, grace_seconds } => {
                Some(after(*since, Duration::from_secs(*grace_seconds).saturating_add(LEAVING)))
            }
            Self::Waiting { .. } | Self::Running | Self::Ended(_) => None,
        }
    }

    /// Whether a pod is being deleted and its node has not said in time that it is gone. Its containers may still run.
    #[must_use]
    pub fn node_is_silent(&self, now: Timestamp) -> bool {
        self.given_up_at().is_some_and(|at| now >= at)
    }
}

impl WaitingOn {
    /// How long a pod may wait for it.
    #[must_use]
    pub fn limit(self) -> Duration {
        match self {
            // Nodes may have to be added first.
            Self::Node => Duration::from_secs(600),
            // A pod that a reboot of its node has caught between its creation and its start stays so for ever.
            Self::Start | Self::AlgorithmContainer => Duration::from_secs(300),
            // A registry that fails for a moment answers again within this.
            Self::Image | Self::AlgorithmImage | Self::Parts => Duration::from_secs(120),
            Self::ImageName | Self::AlgorithmImageName => Duration::ZERO,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Node => "no node takes its pod",
            Self::Start => "its pod does not start",
            Self::Image => "an image of its pod cannot be pulled",
            Self::ImageName => "the name of an image of its pod is invalid",
            Self::AlgorithmImage => "the container image of the algorithm cannot be pulled",
            Self::AlgorithmImageName => "the name of the algorithm's container image is invalid",
            Self::Parts => "a container of its pod cannot be made",
            Self::AlgorithmContainer => "the container of the algorithm cannot be started",
        }
    }
}

/// What comes of a step whose pod shows this. `attempts` is how many pods of the step came to nothing, the present one
/// included, as the status of the job says.
#[must_use]
pub fn verdict(
    step: PodStep,
    pod: Option<&PodFacts>,
    attempts: u32,
    patience: &mut Patience,
    now: Timestamp,
) -> Verdict {
    // Whether it was never created, or was deleted from outside, or the engine was killed before it could create it: an
    // algorithm that has begun left its claim.
    let Some(pod) = pod else { return Verdict::Create };
    match &pod.state {
        PodState::Waiting { on, text } => waiting(*on, text, attempts, patience.since(&pod.uid, *on, now), now),
        PodState::Running => Verdict::Wait { text: running(step).to_owned(), until: None },
        PodState::Leaving { .. } if pod.state.node_is_silent(now) => {
            cut_off("its node does not answer, and what that node holds is lost; submit the job again".to_owned())
        }
        PodState::Leaving { .. } => {
            Verdict::Wait { text: "its pod is being deleted".to_owned(), until: pod.state.given_up_at() }
        }
        PodState::Ended(end) => ended(step, pod, end, attempts),
    }
}

fn waiting(on: WaitingOn, text: &str, attempts: u32, since: Timestamp, now: Timestamp) -> Verdict {
    let until = after(since, on.limit());
    let said = if text.is_empty() { on.text().to_owned() } else { format!("{}: {text}", on.text()) };
    if now < until {
        // What the cluster says may be long, and comes last.
        return Verdict::Wait { text: format!("the controller waits, because {said}"), until: Some(until) };
    }
    match on {
        WaitingOn::Start => again(attempts, said),
        WaitingOn::AlgorithmImage | WaitingOn::AlgorithmImageName => Verdict::Ended(ObservedEnd::NotStarted(said)),
        // Another pod would find that the claim is taken, and not begin.
        WaitingOn::AlgorithmContainer
        | WaitingOn::Node
        | WaitingOn::Image
        | WaitingOn::ImageName
        | WaitingOn::Parts => cut_off(format!("{said}. Waited {} s for it", on.limit().as_secs())),
    }
}

fn ended(step: PodStep, pod: &PodFacts, end: &PodEnd, attempts: u32) -> Verdict {
    if let (true, PodEnd::Exit(code)) = (pod.is_container, end)
        && let Some(end) = ContainerEnd::of(*code)
    {
        return Verdict::Ended(ObservedEnd::Container(end));
    }
    let said = pod.messages.get(if pod.keeps { KEEP } else { speaker(step) });
    // The first container of publishing says why the second one did not run.
    let said = said.or_else(|| pod.messages.values().find(|message| matches!(message.said, Said::Failed { .. })));
    match (end, said) {
        (PodEnd::OutOfMemory, _) => Verdict::Ended(ObservedEnd::OutOfMemory),
        (_, Some(message)) => Verdict::Said(message.clone()),
        (PodEnd::Deadline, None) => Verdict::Ended(ObservedEnd::Deadline),
        (PodEnd::Disk, None) => Verdict::Ended(ObservedEnd::Disk),
        (PodEnd::Exit(CLAIM_TAKEN), None) if step == PodStep::Algorithm => Verdict::Ended(ObservedEnd::Repeated),
        // Killed from outside, with nothing said: if it had begun, the claim says so to its successor.
        (PodEnd::Exit(code @ (137 | 143)), None) => {
            again(attempts, format!("its pod was ended from outside (exit code {code})"))
        }
        (PodEnd::Exit(code), None) => cut_off(format!("its program ended and did not say why (exit code {code})")),
        // A containerd that is killed while it starts a program says that the program could not be started.
        (PodEnd::NodeGaveUp(text) | PodEnd::NotStarted(text), None) => again(attempts, text.clone()),
        // The next one would be changed in the same way.
        (PodEnd::Changed(text), None) => cut_off(text.clone()),
    }
}

/// Once more, unless it was tried often enough.
fn again(attempts: u32, text: String) -> Verdict {
    if attempts < MOST_ATTEMPTS {
        Verdict::Again { text }
    } else {
        cut_off(format!("{text}. {attempts} pods of this step failed"))
    }
}

fn cut_off(text: String) -> Verdict {
    Verdict::Ended(ObservedEnd::CutOff(text))
}

fn after(since: Timestamp, limit: Duration) -> Timestamp {
    let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_unix_ms(since.unix_ms().saturating_add(ms))
}

fn running(step: PodStep) -> &'static str {
    match step {
        PodStep::Configuration => "its datasets and its algorithm are being fetched",
        PodStep::Algorithm => "its algorithm runs",
        PodStep::Publishing => "its outputs are being checked and stored",
    }
}

#[cfg(test)]
mod tests;
