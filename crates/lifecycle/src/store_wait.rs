//! A result store that is away, or that refuses what it is asked: the outputs are kept, and it is tried again with pauses that grow, for as
//! long as [`TimeLimits::publishing_ms`](cloister_model::TimeLimits::publishing_ms) says, or at once on request.

use crate::{Durability, StepAnswer, Transition};
use cloister_model::{
    JobId, JobSpec, JobStatus, Phase, Reason, Said, StepFailure, StepMessage, StepName, StepReport, StepResult,
    StoreWait, Timestamp,
};
use std::time::Duration;

/// After the first attempt that failed. Each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause: an attempt may cost a pod.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Characters of why an attempt failed.
const MOST_CHARACTERS: usize = 500;

/// That an attempt to store the results of a job found the result store away, or was refused by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAway {
    why: String,
    publishing_ms: u64,
}

/// How long to wait before the next attempt after so many that failed.
#[must_use]
pub fn store_pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(LONGEST_PAUSE)
}

/// The step of a job whose results the store does not take now: it stays where it is. None: publishing answered something else.
pub(crate) fn away(spec: &JobSpec, report: StepAnswer<'_>) -> Option<Transition> {
    let reason = match report {
        StepAnswer::Report(StepReport { job, step, result: StepResult::Failed { failure, reason, .. }, .. }) => {
            is_away(spec, *job, *step, *failure).then_some(reason)
        }
        StepAnswer::Message(StepMessage { job, said: Said::Failed { step, failure, reason, .. }, .. }) => {
            is_away(spec, *job, *step, *failure).then_some(reason)
        }
        StepAnswer::Report(_) | StepAnswer::Message(_) => None,
    }?;
    let away = StoreAway::of(spec, reason);
    // What is lost with the machine costs an attempt.
    Some(Transition { store_away: Some(away), ..Transition::step(&[], Durability::Process) })
}

fn is_away(spec: &JobSpec, job: JobId, step: StepName, failure: StepFailure) -> bool {
    job == spec.id && step == StepName::Publish && failure == StepFailure::StoreAway
}

impl StoreAway {
    /// For a job, with the reason that its attempt gave.
    #[must_use]
    pub fn of(spec: &JobSpec, reason: &Reason) -> Self {
        let why = reason.text().chars().take(MOST_CHARACTERS).collect();
        Self { why, publishing_ms: spec.times.publishing_ms }
    }

    /// The wait of a job after this attempt, which failed at this moment.
    pub(crate) fn wait(&self, before: &JobStatus, at: Timestamp) -> StoreWait {
        let (since, failures) = before.store_wait.as_ref().map_or((at, 0), |wait| (wait.since, wait.failures));
        let failures = failures.saturating_add(1);
        let begun = if before.phase == Phase::Publishing { before.changed } else { since };
        let pause_ms = u64::try_from(store_pause(failures).as_millis()).unwrap_or(u64::MAX);
        let later = |at: Timestamp, ms: u64| Timestamp::from_unix_ms(at.unix_ms().saturating_add(ms));
        let (next, until) = (later(at, pause_ms), later(begun, self.publishing_ms));
        StoreWait { since, failures, next, until, why: self.why.clone() }
    }
}

/// What is waited for, since when, until when, and what to do: one line, safe to show.
pub(crate) fn explained(job: JobId, wait: &StoreWait) -> String {
    let StoreWait { since, failures, next, until, why } = wait;
    let attempts = if *failures == 1 { "1 attempt has".to_owned() } else { format!("{failures} attempts have") };
    format!(
        "its results are kept and wait for the result store since {}: {why}. {attempts} failed; the next one begins at {}, or at \
         once with `cloister job publish {job}`. If none succeeds, the job ends at {} without results",
        date(*since),
        date(*next),
        date(*until)
    )
}

/// In whole seconds (RFC 3339).
fn date(at: Timestamp) -> String {
    let moment = i64::try_from(at.unix_ms() / 1000).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    moment.unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Asked, Facts, ResultList, decide, testing::*};
    use cloister_model::{Event, Fault};

    fn store_is_away() -> StepReport {
        failure(StepName::Publish, StepFailure::StoreAway, None, Fault::System)
    }

    /// The status after one more attempt that failed at this moment.
    fn after_an_attempt(before: &JobStatus, now: u64) -> JobStatus {
        let waits = away(&spec(), StepAnswer::from(&store_is_away())).expect("it waits");
        waits.apply(before, at(now), keep(), &[]).expect("applied").status
    }

    #[test]
    fn pauses_grow_up_to_five_minutes() {
        let pauses = [0, 1, 2, 3, 6, 7, 8, u32::MAX].map(|failures| store_pause(failures).as_secs());
        assert_eq!(pauses, [5, 5, 10, 20, 160, 300, 300, 300]);
    }

    #[test]
    fn a_job_whose_store_is_away_waits_where_it_is_and_tries_again_after_the_pause() {
        let (spec, report, checked) = (spec(), store_is_away(), ResultList::Files(checked()));
        let permission = allowed(Asked::ToRelease(None));
        let before = publishing();
        let facts = Facts { checked: Some(&checked), permission: Some(&permission), ..Facts::of(&spec, &before) };
        let Action::Record(first) = decide(&Facts { published: Some(StepAnswer::from(&report)), ..facts.clone() })
        else {
            panic!("it is not recorded")
        };
        assert_eq!((first.events.len(), first.discard_results, &first.reason), (0, false, &None));
        let waiting = first.apply(&before, at(5000), keep(), &[]).expect("applied").status;
        assert_eq!((waiting.phase, waiting.revision), (Phase::Publishing, before.revision + 1));
        let until = before.changed.unix_ms() + spec.times.publishing_ms;
        let why = "it failed".to_owned();
        let wait = StoreWait { since: at(5000), failures: 1, next: at(10_000), until: at(until), why };
        assert_eq!(waiting.store_wait, Some(wait.clone()));
        let facts = Facts { status: &waiting, ..facts };
        assert_eq!(decide(&Facts { awaits_store: true, ..facts.clone() }), Action::AwaitStore);
        assert!(matches!(decide(&facts), Action::Publish(_)), "the pause is over");
        // The time limit does not begin again.
        let second = after_an_attempt(&waiting, 11_000);
        assert_eq!(second.store_wait, Some(StoreWait { failures: 2, next: at(21_000), ..wait }));
        // What comes next leaves the wait behind.
        assert_eq!(second.after(Event::Published, at(22_000), None).expect("a step").store_wait, None);
    }

    /// An engine that checks and stores in one go stores outputs before their review.
    #[test]
    fn outputs_that_a_reviewer_will_look_at_wait_for_the_store_first() {
        let (spec, passed, report) = (reviewed_spec(), passed(), store_is_away());
        let before = filtering();
        let filtered = Some(StepAnswer::from(&passed));
        let facts = Facts { filtered, published: Some(StepAnswer::from(&report)), ..Facts::of(&spec, &before) };
        let Action::Record(waits) = decide(&facts) else { panic!("it is not recorded") };
        let waiting = waits.apply(&before, at(5000), keep(), &[]).expect("applied").status;
        assert_eq!(waiting.phase, Phase::Filtering);
        let until = waiting.store_wait.as_ref().expect("it waits").until;
        assert_eq!(until.unix_ms(), 5000 + spec.times.publishing_ms);
        let nothing = Facts { awaits_store: true, ..Facts::of(&spec, &waiting) };
        assert_eq!(decide(&nothing), Action::AwaitStore);
        // Without a review, nothing is stored in this phase that counts.
        let spec = crate::testing::spec();
        let facts = Facts { spec: &spec, ..facts };
        assert!(matches!(decide(&facts), Action::Record(next) if next.events == [Event::Passed]));
    }

    #[test]
    fn a_foreign_answer_is_no_wait() {
        let (mut other_job, mut other_step) = (store_is_away(), store_is_away());
        other_job.job = JobId::from_bytes([9; 16]);
        other_step.step = StepName::Filter;
        for report in [other_job, other_step, failure(StepName::Publish, StepFailure::Results, None, Fault::System)] {
            assert_eq!(away(&spec(), StepAnswer::from(&report)), None, "{report:?}");
        }
    }

    #[test]
    fn the_wait_is_explained_and_its_end_says_what_was_waited_for() {
        let waiting = after_an_attempt(&after_an_attempt(&publishing(), 5000), 10_000);
        let said = crate::explain(&waiting, None).text;
        let id = waiting.id;
        let until = date(waiting.store_wait.as_ref().expect("it waits").until);
        for part in [
            "since 1970-01-01T00:00:05Z: it failed. 2 attempts have failed",
            "begins at 1970-01-01T00:00:20Z",
            &format!("`cloister job publish {id}`"),
            &format!("ends at {until}"),
        ] {
            assert!(said.contains(part), "{said}: {part}");
        }
        let overdue = Some(crate::TimeLimit::Publishing);
        let Action::Record(end) = decide(&Facts { overdue, run_ended: true, ..Facts::of(&spec(), &waiting) }) else {
            panic!("it does not end")
        };
        let reason = end.reason.as_ref().expect("a reason").text();
        assert_eq!(reason, "expired: its results could not be stored within its publishing time limit: it failed");
        assert!(end.discard_results);
        let ended = end.apply(&waiting, at(20_000), keep(), &[]).expect("applied").status;
        assert_eq!((ended.phase, ended.store_wait), (Phase::Expired, None));
    }
}
