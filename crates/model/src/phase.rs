use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a job is. Numbers below 100 are Ocean's and keep their meaning for Ocean's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Phase {
    /// Waiting for an engine.
    Queued,
    /// An engine has it.
    Accepted,
    /// Inputs and algorithm are being fetched.
    Configuring,
    /// Everything it needs is there.
    Configured,
    /// The algorithm runs.
    Running,
    /// Its outputs are being checked against the output contract.
    Filtering,
    /// Its outputs wait for a person's word.
    InReview,
    /// Its results are being stored for the consumer.
    Publishing,
    /// Ended: results can be read.
    Finished,
    /// Ended: a dataset could not be fetched.
    DataProvisioningFailed,
    /// Ended: the algorithm could not be fetched, or is not what was allowed.
    AlgorithmProvisioningFailed,
    /// Ended: the algorithm failed, or could not be run.
    AlgorithmFailed,
    /// Ended: the algorithm met a limit.
    LimitExceeded,
    /// Ended: the outputs may not leave.
    OutputRefused,
    /// Ended: the results could not be stored.
    PublishingFailed,
    /// Ended: it was stopped on request.
    Stopped,
    /// Ended: it waited too long for its turn, its review or its time as a whole.
    Expired,
}

/// Something that happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// An engine took it.
    Accept,
    /// Configuration started.
    Configure,
    /// Configuration is done.
    Provisioned,
    /// Configuration could not fetch a dataset.
    DataUnavailable,
    /// Configuration could not fetch the algorithm, or its bytes are not those that were allowed.
    AlgorithmUnavailable,
    /// The algorithm started.
    Run,
    /// The algorithm ended well.
    Succeeded,
    /// The algorithm ended badly, or the host could not run it.
    Failed,
    /// The algorithm met a limit.
    MetLimit,
    /// The outputs keep the contract, and no publisher reviews them.
    Passed,
    /// The outputs keep the contract, and a publisher reviews them first.
    ReviewAsked,
    /// The outputs break the contract, or could not be checked; or the reviewer said no; or the permission was taken back.
    Refused,
    /// The reviewer said yes.
    Approved,
    /// The results are stored.
    Published,
    /// The results could not be stored.
    PublishFailed,
    /// A request to stop it takes effect.
    Stop,
    /// A time limit outside the run passed.
    Expire,
}

/// An event that cannot happen in this phase. It is a fault of the engine, or old news: the phase stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job in phase {phase:?} cannot take the event {event:?}; read the phase again before acting")]
pub struct ImpossibleStep {
    /// Where the job is.
    pub phase: Phase,
    /// What was said to have happened.
    pub event: Event,
}

impl Phase {
    /// Every phase, in the order of a job's life; the ended ones last.
    pub const ALL: [Self; 17] = [
        Self::Queued,
        Self::Accepted,
        Self::Configuring,
        Self::Configured,
        Self::Running,
        Self::Filtering,
        Self::InReview,
        Self::Publishing,
        Self::Finished,
        Self::DataProvisioningFailed,
        Self::AlgorithmProvisioningFailed,
        Self::AlgorithmFailed,
        Self::LimitExceeded,
        Self::OutputRefused,
        Self::PublishingFailed,
        Self::Stopped,
        Self::Expired,
    ];

    /// What becomes of a job in this phase when this happens.
    ///
    /// Every step leads to a later phase (in the order of [`Phase::ALL`]), so every job ends.
    ///
    /// # Errors
    /// If it cannot happen; always, once the job has ended.
    pub fn next(self, event: Event) -> Result<Self, ImpossibleStep> {
        Ok(match (self, event) {
            (phase, event) if phase.has_ended() => return Err(ImpossibleStep { phase, event }),
            (_, Event::Stop) => Self::Stopped,
            (_, Event::Expire) => Self::Expired,
            (Self::Queued, Event::Accept) => Self::Accepted,
            (Self::Accepted, Event::Configure) => Self::Configuring,
            (Self::Configuring, Event::Provisioned) => Self::Configured,
            (Self::Configuring, Event::DataUnavailable) => Self::DataProvisioningFailed,
            (Self::Configuring, Event::AlgorithmUnavailable) => Self::AlgorithmProvisioningFailed,
            (Self::Configured, Event::Run) => Self::Running,
            (Self::Running, Event::Succeeded) => Self::Filtering,
            // The host may fail before the first instruction, too.
            (Self::Configured | Self::Running, Event::Failed) => Self::AlgorithmFailed,
            (Self::Running, Event::MetLimit) => Self::LimitExceeded,
            (Self::Filtering, Event::Passed) | (Self::InReview, Event::Approved) => Self::Publishing,
            (Self::Filtering, Event::ReviewAsked) => Self::InReview,
            // While they are published, because the permission may be taken back until the release.
            (Self::Filtering | Self::InReview | Self::Publishing, Event::Refused) => Self::OutputRefused,
            (Self::Publishing, Event::Published) => Self::Finished,
            (Self::Publishing, Event::PublishFailed) => Self::PublishingFailed,
            (phase, event) => return Err(ImpossibleStep { phase, event }),
        })
    }

    /// Whether nothing can happen to the job any more.
    #[must_use]
    pub fn has_ended(self) -> bool {
        self >= Self::Finished
    }

    /// Whether it did what it was for.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Finished
    }

    /// The number in answers.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Queued => 1,
            Self::Accepted => 10,
            Self::Configuring => 20,
            Self::Configured => 30,
            Self::DataProvisioningFailed => 31,
            Self::AlgorithmProvisioningFailed => 32,
            Self::Running => 40,
            Self::AlgorithmFailed => 41,
            Self::LimitExceeded => 42,
            Self::Filtering => 50,
            Self::OutputRefused => 51,
            Self::InReview => 55,
            Self::Publishing => 60,
            Self::PublishingFailed => 62,
            Self::Finished => 70,
            Self::Stopped => 100,
            Self::Expired => 101,
        }
    }

    /// Its name, as everywhere: in answers, records, receipts and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Accepted => "Accepted",
            Self::Configuring => "Configuring",
            Self::Configured => "Configured",
            Self::Running => "Running",
            Self::Filtering => "Filtering",
            Self::InReview => "InReview",
            Self::Publishing => "Publishing",
            Self::Finished => "Finished",
            Self::DataProvisioningFailed => "DataProvisioningFailed",
            Self::AlgorithmProvisioningFailed => "AlgorithmProvisioningFailed",
            Self::AlgorithmFailed => "AlgorithmFailed",
            Self::LimitExceeded => "LimitExceeded",
            Self::OutputRefused => "OutputRefused",
            Self::PublishingFailed => "PublishingFailed",
            Self::Stopped => "Stopped",
            Self::Expired => "Expired",
        }
    }

    /// The phase of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }

    /// The phase with this number.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.code() == code)
    }

    /// The text beside the number: Ocean's where it has one (without the blank that it puts after "algorithm").
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Queued => "Warming up",
            Self::Accepted => "Job started",
            Self::Configuring => "Configuring volumes",
            Self::Configured => "Provisioning success",
            Self::DataProvisioningFailed => "Data provisioning failed",
            Self::AlgorithmProvisioningFailed => "Algorithm provisioning failed",
            Self::Running => "Running algorithm",
            Self::AlgorithmFailed => "Algorithm failed",
            Self::LimitExceeded => "Limit exceeded",
            Self::Filtering => "Filtering results",
            Self::OutputRefused => "Results refused by the output contract",
            Self::InReview => "Results in review",
            Self::Publishing => "Publishing results",
            Self::PublishingFailed => "Publishing results failed",
            Self::Finished => "Job finished",
            Self::Stopped => "Job stopped",
            Self::Expired => "Job expired",
        }
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 17] = [
        Self::Accept,
        Self::Configure,
        Self::Provisioned,
        Self::DataUnavailable,
        Self::AlgorithmUnavailable,
        Self::Run,
        Self::Succeeded,
        Self::Failed,
        Self::MetLimit,
        Self::Passed,
        Self::ReviewAsked,
        Self::Refused,
        Self::Approved,
        Self::Published,
        Self::PublishFailed,
        Self::Stop,
        Self::Expire,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select};

    #[test]
    fn names_are_those_of_the_json() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).expect("json"), phase.as_str());
            assert_eq!(Phase::from_name(phase.as_str()), Some(phase));
        }
        assert_eq!(Phase::from_name("running"), None);
    }

    #[test]
    fn an_ordinary_life() {
        let events = [
            Event::Accept,
            Event::Configure,
            Event::Provisioned,
            Event::Run,
            Event::Succeeded,
            Event::Passed,
            Event::Published,
        ];
        let codes: Vec<u16> = events
            .iter()
            .scan(Phase::Queued, |phase, event| {
                *phase = phase.next(*event).expect("a step");
                Some(phase.code())
            })
            .collect();
        assert_eq!(codes, [10, 20, 30, 40, 50, 60, 70]);
    }

    #[test]
    fn nothing_leaves_an_ended_phase_and_every_other_can_end() {
        for phase in Phase::ALL {
            let ways: Vec<Phase> = Event::ALL.into_iter().filter_map(|event| phase.next(event).ok()).collect();
            assert_eq!(ways.is_empty(), phase.has_ended(), "{phase:?}");
            assert!(ways.iter().all(|next| *next > phase), "{phase:?} leads back: {ways:?}");
            assert!(phase.has_ended() || (ways.contains(&Phase::Stopped) && ways.contains(&Phase::Expired)));
        }
    }

    #[test]
    fn every_phase_can_be_reached() {
        let mut reached = vec![Phase::Queued];
        for phase in Phase::ALL {
            if reached.contains(&phase) {
                reached.extend(Event::ALL.into_iter().filter_map(|event| phase.next(event).ok()));
            }
        }
        assert!(Phase::ALL.iter().all(|phase| reached.contains(phase)));
    }

    #[test]
    fn only_checked_outputs_are_published() {
        for phase in Phase::ALL {
            for event in Event::ALL {
                if phase.next(event) == Ok(Phase::Publishing) {
                    assert!(matches!(
                        (phase, event),
                        (Phase::Filtering, Event::Passed) | (Phase::InReview, Event::Approved)
                    ));
                }
            }
        }
    }

    #[test]
    fn codes_are_oceans_and_unique() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from_code(phase.code()), Some(phase));
        }
        let oceans =
            [(1, "Warming up"), (31, "Data provisioning failed"), (60, "Publishing results"), (70, "Job finished")];
        for (code, text) in oceans {
            assert_eq!(Phase::from_code(code).expect("a phase").text(), text);
        }
        assert_eq!(Phase::from_code(5), None);
    }

    proptest! {
        #[test]
        fn every_job_ends(events in vec(select(Event::ALL.to_vec()), 0..400)) {
            let mut phase = Phase::Queued;
            let mut steps = 0;
            for event in events {
                match phase.next(event) {
                    Ok(next) => {
                        steps += 1;
                        phase = next;
                    }
                    Err(error) => prop_assert_eq!(error, ImpossibleStep { phase, event }),
                }
            }
            prop_assert!(steps <= 9);
        }
    }
}
