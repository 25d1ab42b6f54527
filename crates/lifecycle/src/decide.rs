use crate::{
    ConfigureFailure, Configured, Durability, FilterResult, PublishFailure, RunFacts, RunTrace, StoredResult,
    TimeLimit, Transition, configuration, filtering, publishing, run, stop,
};
use cloister_model::{Event, JobSpec, JobStatus, Phase, ResultFile};

/// What an engine observes about one job. What it could not observe, or lost when it was killed, is none or false: then the
/// decision is to do the work again where that is harmless, and to end the job where it is not.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The job.
    pub spec: &'a JobSpec,
    /// Its status, as it is stored.
    pub status: &'a JobStatus,
    /// Whether the queue has given it its turn. Matters while it waits in the queue.
    pub has_turn: bool,
    /// The time limit that has passed, if one has.
    pub overdue: Option<TimeLimit>,
    /// Whether nothing of it runs any more, and nothing can begin: [`Action::EndRun`] was performed.
    pub run_ended: bool,
    /// What configuration returned to this process. Its effect on the work folder may not have reached the disk, so that
    /// another process lays the inputs out again.
    pub configured: Option<&'a Result<Configured, ConfigureFailure>>,
    /// The run. Observed in [`Phase::Running`].
    pub run: &'a RunFacts,
    /// What filtering returned.
    pub filtered: Option<&'a FilterResult>,
    /// What filtering let pass, as it is stored.
    pub checked: Option<&'a [ResultFile]>,
    /// What publishing returned.
    pub published: Option<&'a Result<Vec<StoredResult>, PublishFailure>>,
    /// Whether its work folder is gone, and everything else that it needed while it ran.
    pub cleaned: bool,
}

/// The run of a job for which nothing was ever started.
static NO_RUN: RunFacts = RunFacts {
    trace: RunTrace { claimed: false, locked: false, report: None, last_words: String::new() },
    exit: None,
    start_error: None,
};

impl<'a> Facts<'a> {
    /// A job as its status shows it, with nothing observed yet. Enough to decide about a job that waits for its turn or for a
    /// reviewer, because nothing runs for it.
    #[must_use]
    pub fn of(spec: &'a JobSpec, status: &'a JobStatus) -> Self {
        Self {
            spec,
            status,
            has_turn: false,
            overdue: None,
            run_ended: false,
            configured: None,
            run: &NO_RUN,
            filtered: None,
            checked: None,
            published: None,
            cleaned: false,
        }
    }
}

/// What an engine does next for one job. Afterwards it observes and decides again.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Store this transition, all of it or nothing.
    Record(Box<Transition>),
    /// Lay out the inputs in an empty work folder. The result is [`Facts::configured`].
    Configure,
    /// Start the algorithm, and wait for its end. The engine uses a claim that can be taken once.
    StartRun,
    /// Wait until the run has ended. Another process may have started it.
    AwaitRun,
    /// Check the outputs, from the start. The result is [`Facts::filtered`].
    Filter,
    /// Store the files of [`Facts::checked`] where the consumer can fetch them. The result is [`Facts::published`].
    Publish,
    /// End whatever runs for the job, and see to it that nothing begins. Then [`Facts::run_ended`] holds.
    EndRun,
    /// Do nothing until something changes: it waits for its turn, or for a reviewer.
    Wait,
    /// It has ended: remove its work folder.
    Clean,
    /// It has ended, and nothing is left to do.
    Nothing,
}

/// What comes next for a job.
///
/// A request to stop comes before everything else, and a passed time limit before any work. Whatever runs is ended before
/// the end is stored, so that an ended job uses nothing.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Action {
    let Facts { spec, status, has_turn, overdue, run_ended, configured, run, filtered, checked, published, cleaned } =
        facts;
    if status.phase.has_ended() {
        return if *cleaned { Action::Nothing } else { Action::Clean };
    }
    // Nothing runs for a job that waits.
    let may_run = !matches!(status.phase, Phase::Queued | Phase::InReview);
    if status.stop_requested.is_some() || overdue.is_some() {
        if may_run && !run_ended {
            return Action::EndRun;
        }
        return record(match overdue {
            Some(limit) if status.stop_requested.is_none() => stop::expired(spec, status, *limit),
            _ => stop::stopped(spec, status),
        });
    }
    match status.phase {
        Phase::Queued if *has_turn => record(Transition::step(&[Event::Accept, Event::Configure], Durability::Process)),
        Phase::Queued => Action::Wait,
        Phase::Accepted => record(Transition::step(&[Event::Configure], Durability::Process)),
        Phase::Configuring | Phase::Configured => match configured {
            None => Action::Configure,
            Some(result) => record(configuration::configured(spec, status.phase, result)),
        },
        Phase::Running => match run::next(spec, run) {
            run::Next::Await => Action::AwaitRun,
            run::Next::Ended(transition) => record(transition),
            run::Next::Start => match configured {
                None => Action::Configure,
                Some(result @ Err(_)) => record(configuration::configured(spec, status.phase, result)),
                Some(Ok(configured)) => match configuration::wrong_kind(spec, *configured) {
                    Some(reason) => record(run::failed(spec, reason)),
                    None => Action::StartRun,
                },
            },
        },
        Phase::Filtering => match filtered {
            None => Action::Filter,
            Some(result) => record(filtering::filtered(spec, result)),
        },
        Phase::InReview => Action::Wait,
        Phase::Publishing => match (published, checked) {
            (Some(result), Some(checked)) => record(publishing::published(spec, checked, result)),
            _ => Action::Publish,
        },
        _ => Action::Nothing,
    }
}

fn record(transition: Transition) -> Action {
    Action::Record(Box::new(transition))
}
