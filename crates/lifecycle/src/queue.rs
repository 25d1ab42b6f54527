//! Which jobs start: a pure decision over what waits, what runs and how much there is.
//!
//! Within a queue, first in, first out. Between queues, round robin: a queue whose job started goes to the end of the round. A
//! job that does not fit lets others pass, but not for ever: after a bounded number of them nothing starts before it.
//!
//! No job is taken from its place for another one. So that long jobs of one queue do not keep all others out, a queue
//! without a job in progress may use places and processors beyond the others' ([`Capacity::reserved`]), and a queue with one
//! may not use the last quarter of the memory.

use cloister_model::{JobId, JobSpec, JobStatus, Phase};
use std::collections::{HashMap, VecDeque};

/// Jobs that may start while the first of a queue does not fit.
const MOST_PASSES: u32 = 16;

/// A job that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which job.
    pub job: JobId,
    /// The queue that it waits in.
    pub queue: String,
    /// The memory that it may use, in bytes.
    pub memory_bytes: u64,
}

impl Waiting {
    /// What the schedule needs to know of a job.
    #[must_use]
    pub fn of(spec: &JobSpec) -> Self {
        Self { job: spec.id, queue: spec.queue.clone(), memory_bytes: spec.limits.memory_bytes }
    }
}

/// What there is for all jobs together. Every job takes one place until it ends or waits for a reviewer or for the result store, and one
/// processor and its memory until its algorithm and the programs that check its outputs have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Jobs at once.
    pub jobs: u64,
    /// Processors.
    pub cpus: u64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Places and processors beyond those, for jobs of queues that have no job in progress.
    pub reserved: u64,
}

/// What a job holds of what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It waits for its turn.
    Waits,
    /// It has a place, a processor and its memory.
    Runs,
    /// It has a place alone.
    Rests,
    /// It has none.
    None,
}

impl Place {
    /// What a job that is there holds.
    #[must_use]
    pub fn of(status: &JobStatus) -> Self {
        match status.phase {
            Phase::Queued => Self::Waits,
            // Nothing is done for it before the reviewer decides.
            Phase::InReview => Self::None,
            // Nothing runs for it in the pauses. How many of these store their results again at once, the engine bounds.
            _ if status.store_wait.is_some() => Self::None,
            // It gave up its place when its review began.
            Phase::Publishing if status.history.iter().any(|step| step.phase == Phase::InReview) => Self::None,
            Phase::Publishing => Self::Rests,
            phase if phase.has_ended() => Self::None,
            _ => Self::Runs,
        }
    }
}

/// Why the first of the jobs that wait does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// All places are taken.
    Place,
    /// All processors are.
    Processor,
    /// The queue's own jobs use so much memory that the rest is kept for others: so much is left for it, in bytes.
    Share(u64),
    /// So much memory is free, in bytes.
    Memory(u64),
    /// Nothing: it starts at once.
    Nothing,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Waiting>,
    /// Jobs that started while the first one did not fit.
    passed: u32,
}

/// Everything that waits or runs.
#[derive(Debug)]
pub struct Schedule {
    capacity: Capacity,
    queues: HashMap<String, Queue>,
    /// The queues with jobs, whose turn it is first.
    round: VecDeque<String>,
    running: HashMap<JobId, Running>,
}

/// A job that has its place.
#[derive(Clone, Debug)]
struct Running {
    queue: String,
    /// What it has of memory; none once it needs neither that nor a processor any more.
    memory_bytes: Option<u64>,
}

impl Schedule {
    /// Nothing waits and nothing runs.
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        Self { capacity, queues: HashMap::new(), round: VecDeque::new(), running: HashMap::new() }
    }

    /// A job waits from now on.
    pub fn wait(&mut self, waiting: Waiting) {
        let queue = self.queues.entry(waiting.queue.clone()).or_insert_with_key(|name| {
            self.round.push_back(name.clone());
            Queue::default()
        });
        queue.jobs.push_back(waiting);
    }

    /// A job does not wait any more: it was stopped, or waited too long.
    pub fn leave(&mut self, job: JobId, queue: &str) {
        if self.running.contains_key(&job) {
            return;
        }
        let Some(found) = self.queues.get_mut(queue) else { return };
        if found.jobs.front().is_some_and(|first| first.job == job) {
            found.passed = 0;
        }
        found.jobs.retain(|waiting| waiting.job != job);
        if found.jobs.is_empty() {
            self.queues.remove(queue);
            self.round.retain(|name| name != queue);
        }
    }

    /// A job has its place already: it was running when the program ended.
    pub fn resume(&mut self, waiting: &Waiting) {
        let Waiting { job, queue, memory_bytes } = waiting;
        self.running.insert(*job, Running { queue: queue.clone(), memory_bytes: Some(*memory_bytes) });
    }

    /// A job is put where it is: a program that has just started finds jobs in every phase.
    pub fn put(&mut self, waiting: &Waiting, place: Place) {
        match place {
            Place::Waits => self.wait(waiting.clone()),
            Place::Runs => self.resume(waiting),
            Place::Rests => {
                self.resume(waiting);
                self.rest(waiting.job);
            }
            Place::None => {}
        }
    }

    /// How many jobs of a queue wait.
    #[must_use]
    pub fn waiting(&self, queue: &str) -> u64 {
        self.queues.get(queue).map_or(0, |queue| queue.jobs.len() as u64)
    }

    /// A job needs neither memory nor a processor any more.
    pub fn rest(&mut self, job: JobId) {
        if let Some(running) = self.running.get_mut(&job) {
            running.memory_bytes = None;
        }
    }

    /// A job's place is free.
    pub fn end(&mut self, job: JobId) {
        self.running.remove(&job);
    }

    /// What a job of this queue and size lacks at present.
    #[must_use]
    pub fn lacking(&self, queue: &str, memory_bytes: u64) -> Lacking {
        let own = self.running.values().filter(|running| running.queue == queue);
        let (mut jobs, mut own_memory) = (0_u64, 0_u64);
        own.for_each(|running| (jobs, own_memory) = (jobs + 1, own_memory + running.memory_bytes.unwrap_or_default()));
        let Capacity { jobs: places, cpus, memory_bytes: memory, reserved } = self.capacity;
        // Without places there is nothing to be fair about.
        let beyond = if jobs == 0 && places > 0 { reserved } else { 0 };
        if self.running.len() as u64 >= places.saturating_add(beyond) {
            return Lacking::Place;
        }
        let computing = self.running.values().filter_map(|running| running.memory_bytes);
        let (processors, used) = computing.fold((0_u64, 0_u64), |(count, sum), bytes| (count + 1, sum + bytes));
        if processors >= cpus.saturating_add(beyond) {
            return Lacking::Processor;
        }
        let free = memory.saturating_sub(used);
        if memory_bytes > free {
            return Lacking::Memory(free);
        }
        let share = (memory - memory / 4).saturating_sub(own_memory);
        if jobs > 0 && reserved > 0 && memory_bytes > share { Lacking::Share(share) } else { Lacking::Nothing }
    }

    /// The jobs that start now. They count as running.
    pub fn decide(&mut self) -> Vec<Waiting> {
        let mut started = Vec::new();
        while let Some(next) = self.next() {
            self.resume(&next);
            started.push(next);
        }
        started
    }

    /// The first job of the round that fits, unless one before it has let enough pass.
    fn next(&mut self) -> Option<Waiting> {
        if self.running.len() as u64 >= self.capacity.jobs.saturating_add(self.capacity.reserved) {
            return None;
        }
        let (mut turn, mut passed) = (None, Vec::new());
        for (place, name) in self.round.iter().enumerate() {
            let queue = self.queues.get(name)?;
            match self.lacking(name, queue.jobs.front()?.memory_bytes) {
                Lacking::Nothing => {
                    turn = Some(place);
                    break;
                }
                Lacking::Memory(_) if queue.passed >= MOST_PASSES => return None,
                Lacking::Memory(_) => passed.push(name.clone()),
                // What it lacks is kept for others, or is there for no queue.
                Lacking::Place | Lacking::Processor | Lacking::Share(_) => {}
            }
        }
        let turn = turn?;
        for name in passed {
            self.queues.get_mut(&name)?.passed += 1;
        }
        let name = self.round.remove(turn)?;
        let queue = self.queues.get_mut(&name)?;
        let next = queue.jobs.pop_front();
        queue.passed = 0;
        if queue.jobs.is_empty() {
            self.queues.remove(&name);
        } else {
            self.round.push_back(name);
        }
        next
    }

    /// How many jobs come before this one if all have the same size; none if it does not wait.
    #[must_use]
    pub fn ahead(&self, job: JobId, queue: &str) -> Option<u64> {
        let own = self.queues.get(queue)?.jobs.iter().position(|waiting| waiting.job == job)?;
        let mut ahead = own;
        let mut before = true;
        for name in &self.round {
            if name == queue {
                before = false;
                continue;
            }
            // A queue whose turn comes first starts one job more by then.
            let turns = own + usize::from(before);
            ahead += self.queues.get(name).map_or(0, |queue| queue.jobs.len().min(turns));
        }
        Some(ahead as u64)
    }
}

#[cfg(test)]
mod tests;
