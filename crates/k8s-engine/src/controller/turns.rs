//! Whose turn it is in each environment.
//!
//! The decision is [`Schedule`]'s, the one that the local engine has. What waits and what runs is read from the jobs; only how
//! often a job was passed by others is known to this process alone, and begins anew when another one takes over.

use cloister_lifecycle::{Capacity, Place, Schedule, Turn, Waiting};
use cloister_model::{EnvironmentId, JobId, JobSpec, JobStatus, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

#[derive(Debug, Default)]
pub(super) struct Turns {
    environments: BTreeMap<EnvironmentId, Environment>,
}

#[derive(Debug)]
struct Environment {
    capacity: Capacity,
    schedule: Schedule,
    jobs: HashMap<JobId, Known>,
    /// Jobs that store their results again after a wait for the result store. They have no place in the schedule.
    storing_again: HashSet<JobId>,
    /// Jobs that may not store theirs yet, because others do.
    refused: BTreeSet<JobId>,
}

#[derive(Clone, Debug)]
struct Known {
    waiting: Waiting,
    created: (u64, JobId),
    place: Place,
}

impl Environment {
    /// How many jobs may store their results again at once.
    fn most_storing(&self) -> usize {
        usize::try_from(self.capacity.jobs.max(1)).unwrap_or(usize::MAX)
    }
}

impl Turns {
    /// What there is in an environment. If it differs from before, every job of it is placed again, the oldest first.
    pub(super) fn set(&mut self, environment: &EnvironmentId, capacity: Capacity) {
        match self.environments.get_mut(environment) {
            Some(known) if known.capacity == capacity => {}
            Some(known) => {
                known.capacity = capacity;
                known.schedule = Schedule::new(capacity);
                let mut jobs: Vec<Known> = known.jobs.values().cloned().collect();
                jobs.sort_by_key(|job| job.created);
                for job in &jobs {
                    known.schedule.put(&job.waiting, job.place);
                }
            }
            None => {
                let (schedule, jobs, storing_again) = (Schedule::new(capacity), HashMap::new(), HashSet::new());
                let new = Environment { capacity, schedule, jobs, storing_again, refused: BTreeSet::new() };
                self.environments.insert(environment.clone(), new);
            }
        }
    }

    /// How a job is doing. One that was given its turn keeps it until its status says so.
    pub(super) fn observe(&mut self, spec: &JobSpec, status: &JobStatus) {
        let Some(environment) = self.environments.get_mut(&spec.environment) else { return };
        let Environment { schedule, jobs, .. } = environment;
        let after = Place::of(status);
        let known = jobs.get(&spec.id).map(|known| known.place);
        match (known, after) {
            (Some(before), after) if before == after => return,
            // Its turn has come, and the status that this is about is older.
            (Some(Place::Runs), Place::Waits) => return,
            (Some(Place::Waits), _) => schedule.leave(spec.id, &spec.queue),
            (Some(Place::Runs | Place::Rests | Place::None) | None, _) => {}
        }
        let waiting = Waiting::of(spec);
        match (known, after) {
            (Some(_), Place::None) => schedule.end(spec.id),
            (Some(Place::Runs), Place::Rests) => schedule.rest(spec.id),
            _ => schedule.put(&waiting, after),
        }
        if status.phase.has_ended() {
            jobs.remove(&spec.id);
        } else {
            let created = (spec.created.unix_ms(), spec.id);
            jobs.insert(spec.id, Known { waiting, created, place: after });
        }
    }

    /// Whether a job may store its results now, as far as others do: of those that have waited for the result store, as many may at once as
    /// the environment has places. `has_pod`: it does so already. In its pause, a job has no place.
    pub(super) fn may_store(&mut self, spec: &JobSpec, status: &JobStatus, has_pod: bool, now: Timestamp) -> bool {
        let Some(environment) = self.environments.get_mut(&spec.environment) else { return true };
        let most = environment.most_storing();
        let Environment { storing_again, refused, .. } = environment;
        let pause_is_over = status.store_wait.as_ref().map(|wait| wait.next <= now);
        let may = match pause_is_over {
            Some(true) if has_pod => {
                storing_again.insert(spec.id);
                true
            }
            Some(true) if storing_again.contains(&spec.id) => true,
            Some(true) => storing_again.len() < most && storing_again.insert(spec.id),
            Some(false) | None => {
                storing_again.remove(&spec.id);
                true
            }
        };
        if may {
            refused.remove(&spec.id);
        } else {
            refused.insert(spec.id);
        }
        may
    }

    /// Jobs that were refused to store their results, as many as places are free now. Each is named once, until it is refused again.
    pub(super) fn freed(&mut self) -> Vec<JobId> {
        let mut freed = Vec::new();
        for environment in self.environments.values_mut() {
            let free = environment.most_storing().saturating_sub(environment.storing_again.len());
            let named: Vec<JobId> = environment.refused.iter().take(free).copied().collect();
            environment.refused.retain(|job| !named.contains(job));
            freed.extend(named);
        }
        freed
    }

    /// A job is gone.
    pub(super) fn forget(&mut self, job: JobId) {
        for Environment { schedule, jobs, storing_again, refused, .. } in self.environments.values_mut() {
            storing_again.remove(&job);
            refused.remove(&job);
            if let Some(known) = jobs.remove(&job) {
                schedule.leave(job, &known.waiting.queue);
                schedule.end(job);
            }
        }
    }

    /// Gives the next jobs their turn.
    pub(super) fn decide(&mut self) -> Vec<JobId> {
        let mut started = Vec::new();
        for Environment { schedule, jobs, .. } in self.environments.values_mut() {
            for waiting in schedule.decide() {
                if let Some(known) = jobs.get_mut(&waiting.job) {
                    known.place = Place::Runs;
                }
                started.push(waiting.job);
            }
        }
        started
    }

    /// Whether a job has its turn.
    pub(super) fn has_turn(&self, spec: &JobSpec) -> bool {
        let known = self.environments.get(&spec.environment).and_then(|environment| environment.jobs.get(&spec.id));
        known.is_some_and(|known| known.place == Place::Runs)
    }

    /// The place of a job in its queue, and what the first of it lacks; none if it does not wait.
    pub(super) fn turn(&self, spec: &JobSpec) -> Option<Turn> {
        let schedule = &self.environments.get(&spec.environment)?.schedule;
        let ahead = schedule.ahead(spec.id, &spec.queue)?;
        let memory_bytes = spec.limits.memory_bytes;
        Some(Turn { ahead, lacking: schedule.lacking(&spec.queue, memory_bytes), memory_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Phase, StoreWait};

    /// Jobs whose pause is over at 10, in an environment with two places.
    fn three_waiting() -> (Turns, [(JobSpec, JobStatus); 3]) {
        let at = Timestamp::from_unix_ms;
        let jobs = [1, 2, 3].map(|number| {
            let spec = cloister_testkit::job(number, at(1));
            let wait = StoreWait { since: at(5), failures: 1, next: at(10), until: at(100), why: String::new() };
            let queued = JobStatus::queued(spec.id, spec.labels.clone(), at(1));
            (spec, JobStatus { phase: Phase::Publishing, store_wait: Some(wait), ..queued })
        });
        let mut turns = Turns::default();
        let capacity = Capacity { jobs: 2, cpus: 1, memory_bytes: 1, reserved: 0 };
        turns.set(&jobs[0].0.environment, capacity);
        (turns, jobs)
    }

    #[test]
    fn as_many_jobs_store_again_at_once_as_there_are_places() {
        let (mut turns, jobs) = three_waiting();
        let may = |turns: &mut Turns, number: usize, has_pod: bool, now: u64| {
            let (spec, status) = &jobs[number];
            turns.may_store(spec, status, has_pod, Timestamp::from_unix_ms(now))
        };
        for _ in 0..2 {
            assert_eq!([0, 1, 2].map(|number| may(&mut turns, number, false, 10)), [true, true, false]);
        }
        // The first one waits once more, and makes room.
        assert!(may(&mut turns, 0, false, 9));
        assert_eq!([2, 1, 0].map(|number| may(&mut turns, number, number == 1, 10)), [true, true, false]);
        turns.forget(jobs[2].0.id);
        assert_eq!([0, 2].map(|number| may(&mut turns, number, false, 10)), [true, false]);
        // What has begun goes on, as after a start of the controller.
        assert!(may(&mut turns, 2, true, 10));
        // Before its pause is over, the pod of its last attempt is no reason to have a place.
        for number in [1, 2] {
            assert!(may(&mut turns, number, true, 9));
        }
        assert_eq!([1, 2].map(|number| may(&mut turns, number, false, 10)), [true, false]);
    }

    #[test]
    fn a_place_that_becomes_free_wakes_a_job_that_was_refused() {
        let (mut turns, jobs) = three_waiting();
        let ids = [0, 1, 2].map(|number: usize| jobs[number].0.id);
        let may = |turns: &mut Turns, number: usize, now: u64| {
            let (spec, status) = &jobs[number];
            turns.may_store(spec, status, false, Timestamp::from_unix_ms(now))
        };
        assert_eq!([0, 1, 2].map(|number| may(&mut turns, number, 10)), [true, true, false]);
        assert!(turns.freed().is_empty(), "both places are taken");
        turns.forget(ids[0]);
        assert_eq!((turns.freed(), turns.freed()), (vec![ids[2]], Vec::new()));
        assert!(may(&mut turns, 2, 10));
        // Another one waits once more, and the one that was refused goes meanwhile.
        assert!(!may(&mut turns, 0, 10));
        turns.forget(ids[0]);
        assert!(may(&mut turns, 1, 9) && turns.freed().is_empty());
    }

    #[test]
    fn a_job_that_has_not_waited_stores_at_once() {
        let (mut turns, jobs) = three_waiting();
        for (spec, status) in &jobs {
            let status = JobStatus { store_wait: None, ..status.clone() };
            assert!(turns.may_store(spec, &status, false, Timestamp::from_unix_ms(10)));
        }
    }
}
