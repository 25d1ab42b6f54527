//! Whole lives against a simulated machine that fails, stops, expires and is killed at random.

use super::Observed;
use crate::{
    Action, ConfigureFailure, Configured, FilterResult, NotApplied, PublishFailure, RunFacts, RunTrace, StoredResult,
    TimeLimit, decide, testing::*,
};
use cloister_model::{Event, Fault, FileDigest, JobSpec, JobStatus, Outcome, Phase};
use proptest::{collection::vec, prelude::*};

/// What happens next to the machine or to a piece of work: one number for each action.
type Fate = u8;

/// What outlives a process: the stored status, the folder of the run, the result store.
struct Machine {
    spec: JobSpec,
    status: JobStatus,
    checked: Option<Vec<cloister_model::ResultFile>>,
    trace: RunTrace,
    /// How often an algorithm began.
    begun: u32,
    cleaned: bool,
}

/// What a process remembers, and loses when it is killed.
#[derive(Default)]
struct Memory {
    run_ended: bool,
    configured: Option<Result<Configured, ConfigureFailure>>,
    exit: Option<String>,
    start_error: Option<String>,
    filtered: Option<FilterResult>,
    published: Option<Result<Vec<StoredResult>, PublishFailure>>,
}

impl Machine {
    fn observe(&self, memory: &Memory, overdue: Option<TimeLimit>) -> Observed {
        let Memory { run_ended, configured, exit, start_error, filtered, published } = memory;
        Observed {
            has_turn: true,
            overdue,
            run_ended: *run_ended,
            configured: configured.clone(),
            run: RunFacts { trace: self.trace.clone(), exit: exit.clone(), start_error: start_error.clone() },
            filtered: filtered.clone(),
            checked: self.checked.clone(),
            published: published.clone(),
            cleaned: self.cleaned,
            ..Observed::new(self.spec.clone(), self.status.clone())
        }
    }

    /// Performs an action; false if there was nothing to do.
    fn perform(&mut self, action: Action, memory: &mut Memory, fate: Fate, now: u64) -> Result<bool, TestCaseError> {
        match action {
            Action::Record(transition) => {
                match transition.apply(&self.status, at(now), keep()) {
                    Ok(applied) => {
                        prop_assert!(applied.status.phase > self.status.phase);
                        self.status = applied.status;
                    }
                    // A stop came between the look and the write.
                    Err(NotApplied::Stopping) => prop_assert!(self.status.stop_requested.is_some()),
                    Err(NotApplied::Impossible(error)) => prop_assert!(false, "{error}"),
                }
                if let Some(files) = &transition.checked {
                    self.checked = Some(files.clone());
                }
            }
            Action::Configure => {
                prop_assert!(!self.trace.claimed && !self.trace.locked);
                memory.configured = Some(match fate % 8 {
                    0 => Err(ConfigureFailure::System("disk".to_owned())),
                    _ => Ok(Configured { algorithm_is_wasm: true }),
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
            Action::Filter => {
                memory.filtered = Some(match fate % 4 {
                    0 => FilterResult::CheckRefused {
                        check: "c".to_owned(),
                        text: "no".to_owned(),
                        fault: Fault::System,
                    },
                    _ => FilterResult::Passed(checked()),
                });
            }
            Action::Publish => {
                let digest = |file: &cloister_model::ResultFile| FileDigest { sha256: file.sha256, bytes: file.bytes };
                let files = self.checked.clone().expect("something to publish");
                let stored = files.into_iter().map(|file| StoredResult { content: digest(&file), file });
                memory.published = Some(match fate % 4 {
                    0 => Err(PublishFailure::NameTaken),
                    _ => Ok(stored.collect()),
                });
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
                let starts = matches!(action, Action::StartRun | Action::Configure | Action::Publish);
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
