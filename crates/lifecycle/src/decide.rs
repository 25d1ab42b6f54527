use crate::{
    Durability, Permission, ResultList, RunFacts, RunTrace, StepAnswer, StoredReport, TimeLimit, Transition,
    configuration, filtering, permission, publishing, run, stop, store_wait,
};
use cloister_model::{ConfigureOrder, Event, FilterOrder, JobSpec, JobStatus, Phase, PublishOrder};

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
    /// What configuration reported to this process. Its effect on the work folder may not have reached the disk, so that
    /// another process lays the inputs out again.
    pub configured: Option<StepAnswer<'a>>,
    /// Whether the algorithm's file starts as a WebAssembly module does, once it is laid out.
    pub algorithm_is_wasm: bool,
    /// The run. Observed in [`Phase::Running`].
    pub run: &'a RunFacts,
    /// The report of the run, as it is stored. Observed in [`Phase::Filtering`].
    pub report: Option<StoredReport<'a>>,
    /// What filtering reported.
    pub filtered: Option<StepAnswer<'a>>,
    /// What filtering let pass, as it is stored. Observed in [`Phase::Publishing`].
    pub checked: Option<&'a ResultList>,
    /// What publishing reported.
    pub published: Option<StepAnswer<'a>>,
    /// The last answer to the question whether the job may go on. Asked before it leaves its queue, and before its release.
    pub permission: Option<&'a Permission>,
    /// Whether the pause is not over yet before the next attempt at a result store that is away. False once an account has asked for
    /// the attempt.
    pub awaits_store: bool,
    /// Whether the release could not be stored because its dataset's name belongs to another one.
    pub name_taken: bool,
    /// Whether its work folder is gone, and everything else that it needed while it ran.
    pub cleaned: bool,
}

/// The run of a job for which nothing was ever started.
static NO_RUN: RunFacts = RunFacts {
    trace: RunTrace { claimed: false, locked: false, report: None, last_words: String::new() },
    exit: None,
    start_error: None,
    summary: None,
    end: None,
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
            algorithm_is_wasm: false,
            run: &NO_RUN,
            report: None,
            filtered: None,
            checked: None,
            published: None,
            permission: None,
            awaits_store: false,
            name_taken: false,
            cleaned: false,
        }
    }
}

/// What an engine does next for one job. Afterwards it observes and decides again.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Store this transition, all of it or nothing.
    Record(Box<Transition>),
    /// Ask whether the job may still run ([`Permission::ask`]). The answer is [`Facts::permission`].
    AskToRun,
    /// Ask whether its results may still be released. The answer is [`Facts::permission`].
    AskToRelease,
    /// Lay out the inputs in an empty work folder. The report is [`Facts::configured`].
    Configure(Box<ConfigureOrder>),
    /// Start the algorithm, and wait for its end. The engine uses a claim that can be taken once.
    StartRun,
    /// Wait until the run has ended. Another process may have started it.
    AwaitRun,
    /// Check the outputs, from the start. The report is [`Facts::filtered`].
    Filter(Box<FilterOrder>),
    /// Store the results where the consumer can fetch them. The report is [`Facts::published`].
    Publish(Box<PublishOrder>),
    /// Wait until the pause is over ([`store_pause`](crate::store_pause)), or an account asks for the results to be stored at once.
    /// Then [`Facts::awaits_store`] does not hold.
    AwaitStore,
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
    let Facts { spec, status, has_turn, overdue, run_ended, cleaned, .. } = facts;
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
        Phase::Queued if *has_turn => leave_queue(facts),
        Phase::Queued | Phase::InReview => Action::Wait,
        Phase::Accepted => record(Transition::step(&[Event::Configure], Durability::Process)),
        Phase::Configuring | Phase::Configured => configure(facts),
        Phase::Running => run(facts),
        Phase::Filtering => filter(facts),
        Phase::Publishing => publish(facts),
        _ => Action::Nothing,
    }
}

fn leave_queue(facts: &Facts<'_>) -> Action {
    let permission = facts.permission.filter(|permission| !permission.is_to_release());
    let Some(permission) = permission else { return Action::AskToRun };
    record(match permission.denials() {
        [] => Transition {
            revisions: permission.revisions(),
            ..Transition::step(&[Event::Accept, Event::Configure], Durability::Process)
        },
        denials => permission::kept_from_running(facts.spec, denials),
    })
}

fn configure(facts: &Facts<'_>) -> Action {
    let Facts { spec, status, configured, .. } = facts;
    match configured.and_then(|report| configuration::configured(spec, status.phase, report)) {
        Some(transition) => record(transition),
        None => Action::Configure(Box::new(ConfigureOrder::of(spec))),
    }
}

fn run(facts: &Facts<'_>) -> Action {
    let Facts { spec, run, algorithm_is_wasm, .. } = facts;
    match run::next(spec, run) {
        run::Next::Await => Action::AwaitRun,
        run::Next::Ended(transition) => Action::Record(transition),
        run::Next::Start => match configure(facts) {
            // The inputs are laid out, and the phase says so already.
            Action::Record(transition) if transition.reason.is_none() => {
                match configuration::wrong_kind(spec, *algorithm_is_wasm) {
                    Some(reason) => record(run::failed(spec, reason)),
                    None => Action::StartRun,
                }
            }
            otherwise => otherwise,
        },
    }
}

fn filter(facts: &Facts<'_>) -> Action {
    let Facts { spec, report, filtered, published, .. } = facts;
    if facts.awaits_store {
        return Action::AwaitStore;
    }
    match (filtered.and_then(|report| filtering::filtered(spec, report)), report) {
        (Some(transition), _) => {
            // Where one step checks and stores, what a reviewer will look at is stored already.
            let stored_first = transition.events.contains(&Event::ReviewAsked);
            let away = published.filter(|_| stored_first).and_then(|report| store_wait::away(spec, report));
            record(away.unwrap_or(transition))
        }
        (None, Some(StoredReport::Here(report))) => Action::Filter(Box::new(FilterOrder::of(spec, report))),
        (None, Some(StoredReport::Elsewhere)) => Action::Filter(Box::new(FilterOrder::without_outputs(spec))),
        (None, None) => record(filtering::without_report(spec)),
    }
}

fn publish(facts: &Facts<'_>) -> Action {
    let Facts { spec, checked, published, permission, name_taken, .. } = facts;
    let Some(checked) = checked else { return record(publishing::without_list(spec)) };
    if *name_taken {
        return record(publishing::name_taken(spec));
    }
    let permission = permission.filter(|permission| permission.is_to_release());
    let Some(permission) = permission else { return Action::AskToRelease };
    if !permission.denials().is_empty() {
        return record(permission::kept_from_release(permission.denials()));
    }
    match published.and_then(|report| publishing::published(spec, checked, report)) {
        Some(transition) if transition.release.is_some() => {
            record(Transition { revisions: permission.revisions(), ..transition })
        }
        Some(transition) => record(transition),
        None if facts.awaits_store => Action::AwaitStore,
        None => Action::Publish(Box::new(PublishOrder::of(spec, checked.files().to_vec()))),
    }
}

fn record(transition: Transition) -> Action {
    Action::Record(Box::new(transition))
}
