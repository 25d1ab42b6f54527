//! Whose turn it is in each environment.
//!
//! The decision is [`Schedule`]'s, the one that the local engine has. What waits and what runs is read from the jobs; only how
//! often a job was passed by others is known to this process alone, and begins anew when another one takes over.

use cloister_lifecycle::{Capacity, Place, Schedule, Turn, Waiting};
use cloister_model::{EnvironmentId, JobId, JobSpec, JobStatus};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default)]
pub(super) struct Turns {
    environments: BTreeMap<EnvironmentId, Environment>,
}

#[derive(Debug)]
struct Environment {
    capacity: Capacity,
    schedule: Schedule,
    jobs: HashMap<JobId, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    waiting: Waiting,
    created: (u64, JobId),
    place: Place,
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
                let new = Environment { capacity, schedule: Schedule::new(capacity), jobs: HashMap::new() };
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

    /// A job is gone.
    pub(super) fn forget(&mut self, job: JobId) {
        for Environment { schedule, jobs, .. } in self.environments.values_mut() {
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
