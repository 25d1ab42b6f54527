//! Whole lives against a simulated machine that fails, stops, expires and is killed at random.

use super::Observed;
use crate::{Action, Asked, NotApplied, Permission, ResultList, RunFacts, RunTrace, TimeLimit, decide, testing::*};
use cloister_model::{Event, Fault, JobSpec, JobStatus, Outcome, Phase, Report, StepFailure, StepName, StepReport};
use proptest::{collection::vec, prelude::*};

/// What happens next to the machine or to a piece of work: one number for each action.
type Fate = u8;

/// What outlives a process: the stored status, the folder of the run, the result store.
struct Machine {
    spec: JobSpec,
    status: JobStatus,
    checked: Option<ResultList>,
    report: Option<Report>,
    trace: RunTrace,
    /// How often an algorithm began.
    begun: u32,
    cleaned: bool,
}

/// What a process remembers, and loses when it is killed.
#[derive(Default)]
struct Memory {
    run_ended: bool,
    configured: Option<StepReport>,
    exit: Option<String>,
    start_error: Option<String>,
    filtered: Option<StepReport>,
    published: Option<StepReport>,
    permission: Option<Permission>,
    awaits_store: bool,
    name_taken: bool,
}

impl Machine {
    fn observe(&self, memory: &Memory, overdue: Option<TimeLimit>) -> Observed {
        let Memory {
            run_ended,
            configured,
            exit,
            start_error,
            filtered,
            published,
            permission,
            awaits_store,
            name_taken,
        } = memory;
        Observed {
            has_turn: true,
            overdue,
            run_ended: *run_ended,
            configured: configured.clone(),
            run: RunFacts {
                trace: self.trace.clone(),
                exit: exit.clone(),
                start_error: start_error.clone(),
                ..RunFacts::default()
            },
            report: self.report.clone(),
            filtered: filtered.clone(),
            checked: self.checked.clone(),
            published: published.clone(),
            permission: permission.clone(),
            awaits_store: *awaits_store,
            name_taken: *name_taken,
            cleaned: self.cleaned,
            ..Observed::new(self.spec.clone(), self.status.clone())
        }
    }

    /// Performs an action; false if there was nothing to do.
    fn perform(&mut self, action: Action, memory: &mut Memory, fate: Fate, now: u64) -> Result<bool, TestCaseError> {
        match action {
            Action::Record(transition) => {
                match transition.apply(&self.status, at(now), keep(), &[]) {
                    Ok(applied) => {
                        let waits = transition.store_away.is_some();
                        prop_assert_eq!(applied.status.store_wait.is_some(), waits);
                        prop_assert!(waits || applied.status.phase > self.status.phase);
                        self.status = applied.status;
                    }
                    // A stop came between the look and the write.
                    Err(NotApplied::Stopping) => prop_assert!(self.status.stop_requested.is_some()),
                    // Another process asked for a permission in between, and so on: asked again.
                    Err(NotApplied::AssetsChanged) => memory.permission = None,
                    Err(NotApplied::Impossible(error)) => prop_assert!(false, "{error}"),
                }
                if transition.store_away.is_some() {
                    (memory.published, memory.awaits_store) = (None, true);
                }
                if transition.release.is_some() && fate.is_multiple_of(8) && !self.status.phase.has_ended() {
                    memory.name_taken = true;
                }
                self.checked = transition.checked.or(self.checked.take());
                self.report = transition.report.map(|report| *report).or(self.report.take());
            }
            Action::AskToRun | Action::AskToRelease => {
                let asked = if action == Action::AskToRun { Asked::ToRun } else { Asked::ToRelease(None) };
                memory.permission = Some(if fate.is_multiple_of(16) { refused(asked) } else { allowed(asked) });
            }
            Action::Configure(_) => {
                prop_assert!(!self.trace.claimed && !self.trace.locked);
                memory.configured = Some(match fate % 8 {
                    0 => failure(StepName::Configure, StepFailure::Data, None, Fault::System),
                    1 => failure(StepName::Configure, StepFailure::Cancelled, None, Fault::Nobody),
                    _ => laid_out(),
                });
            }
            Action::StartRun => {
                prop_assert!(!self.trace.claimed && !self.trace.locked && memory.configured.is_some());
                match fate % 4 {
                    0 => memory.start_error = Some("no memory".to_owned()),
                    // It ends before it makes its claim.
                    1 => memory.exit = Some("exit status: 5".to_owned()),
                    _ => {
                        self.trace.locked = true;
                        // Its own claim keeps a second one from beginning; the decision must not rely on that.
                        self.begun += 1;
                    }
                }
            }
            Action::AwaitRun => {
                prop_assert!(self.trace.locked);
                self.trace.locked = false;
                self.trace.claimed = true;
                memory.exit = Some("ended".to_owned());
                self.trace.report = match fate % 4 {
                    0 => None,
                    1 => Some(Box::new(report(Outcome::AlgorithmFailed { exit_code: 1 }))),
                    _ => Some(Box::new(report(Outcome::Succeeded))),
                };
            }
            Action::EndRun => {
                self.trace.locked = false;
                memory.run_ended = true;
            }
            Action::Filter(_) => {
                memory.filtered = Some(match fate % 4 {
                    0 => failure(StepName::Filter, StepFailure::Outputs, Some("check"), Fault::System),
                    1 => failure(StepName::Filter, StepFailure::Cancelled, None, Fault::Nobody),
                    _ => passed(),
                });
            }
            Action::Publish(order) => {
                memory.published = Some(match fate % 4 {
                    0 => failure(StepName::Publish, StepFailure::Results, None, Fault::System),
                    1 => failure(StepName::Publish, StepFailure::Cancelled, None, Fault::Nobody),
                    2 => failure(StepName::Publish, StepFailure::StoreAway, None, Fault::System),
                    _ => published(order.files),
                });
            }
            Action::AwaitStore => {
                prop_assert!(self.status.store_wait.is_some());
                memory.awaits_store = false;
            }
            Action::Clean => self.cleaned = true,
            Action::Wait => {
                // Only a review waits in this world, and its reviewer decides in the end.
                prop_assert_eq!(self.status.phase, Phase::InReview);
                self.status = self.status.after(Event::Approved, at(now), None).expect("approved");
            }
            Action::Nothing => return Ok(false),
        }
        Ok(true)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever happens: the job ends, with a reason, in a bounded number of actions after the last kill; no algorithm
    /// begins twice; nothing begins after a stop was stored.
    #[test]
    fn every_job_ends_once_and_runs_at_most_once(
        fates in vec(any::<Fate>(), 0..60),
        kills in vec(any::<bool>(), 60),
        stop_at in proptest::option::of(0_usize..40),
        late_at in proptest::option::of(0_usize..40),
        review: bool,
    ) {
        let spec = if review { reviewed_spec() } else { spec() };
        let mut machine = Machine {
            spec,
            status: queued(),
            checked: None,
            report: None,
            trace: RunTrace::default(),
            begun: 0,
            cleaned: false,
        };
        let mut memory = Memory::default();
        let mut ended_at = None;
        for step in 0..200_usize {
            let now = 2000 + step as u64;
            if stop_at == Some(step) && !machine.status.phase.has_ended() {
                machine.status.stop_requested = Some(at(now));
            }
            let overdue = late_at.filter(|late| *late <= step).map(|_| TimeLimit::Total);
            let action = decide(&machine.observe(&memory, overdue).facts());
            if machine.status.stop_requested.is_some() {
                let starts = matches!(action, Action::StartRun | Action::Configure(_) | Action::Publish(_));
                prop_assert!(!starts, "{action:?} after a stop");
            }
            let fate = fates.get(step).copied().unwrap_or(7);
            if !machine.perform(action, &mut memory, fate, now)? {
                ended_at = Some(step);
                break;
            }
            if kills.get(step) == Some(&true) && step < 50 {
                memory = Memory::default();
            }
            prop_assert!(machine.begun <= 1);
        }
        prop_assert!(ended_at.is_some_and(|step| step < 80), "still {:?}", machine.status.phase);
        prop_assert!(machine.status.phase.has_ended() && machine.status.reason.is_some() && machine.cleaned);
        prop_assert!(!machine.trace.locked, "something runs after the end");
        prop_assert!(machine.status.ended.is_some() && machine.status.expires.is_some());
    }
}
