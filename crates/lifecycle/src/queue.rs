//! Which jobs start: a pure decision over what waits, what runs and how much there is.
//!
//! Within a queue, first in, first out. Between queues, round robin: a queue whose job started goes to the end of the round. A
//! job that does not fit lets others pass, but not for ever: after a bounded number of them nothing starts before it.

use cloister_model::{JobId, JobSpec};
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

/// What there is for all jobs together. Every job takes one place until it ends, and one processor and its memory until its
/// algorithm and the programs that check its outputs have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Jobs at once.
    pub jobs: u64,
    /// Processors.
    pub cpus: u64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
}

/// Why the first of the jobs that wait does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// All places are taken.
    Place,
    /// All processors are.
    Processor,
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
    /// What each running job has of memory; none once it needs neither that nor a processor any more.
    running: HashMap<JobId, Option<u64>>,
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
    pub fn resume(&mut self, job: JobId, memory_bytes: u64) {
        self.running.insert(job, Some(memory_bytes));
    }

    /// A job needs neither memory nor a processor any more.
    pub fn rest(&mut self, job: JobId) {
        if let Some(memory) = self.running.get_mut(&job) {
            *memory = None;
        }
    }

    /// A job's place is free.
    pub fn end(&mut self, job: JobId) {
        self.running.remove(&job);
    }

    fn free_memory(&self) -> u64 {
        self.capacity.memory_bytes.saturating_sub(self.running.values().flatten().sum())
    }

    fn has_place(&self) -> bool {
        (self.running.len() as u64) < self.capacity.jobs
    }

    fn has_processor(&self) -> bool {
        (self.running.values().flatten().count() as u64) < self.capacity.cpus
    }

    /// The jobs that start now. They count as running.
    pub fn decide(&mut self) -> Vec<Waiting> {
        let mut started = Vec::new();
        while self.has_place()
            && self.has_processor()
            && let Some(next) = self.next()
        {
            self.running.insert(next.job, Some(next.memory_bytes));
            started.push(next);
        }
        started
    }

    /// The first job of the round that fits, unless one before it has let enough pass.
    fn next(&mut self) -> Option<Waiting> {
        let free = self.free_memory();
        let mut turn = None;
        for (place, name) in self.round.iter().enumerate() {
            let queue = self.queues.get(name)?;
            if queue.jobs.front()?.memory_bytes <= free {
                turn = Some(place);
                break;
            }
            if queue.passed >= MOST_PASSES {
                return None;
            }
        }
        let turn = turn?;
        for name in self.round.iter().take(turn) {
            self.queues.get_mut(name)?.passed += 1;
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

    /// What a job of this size lacks at present.
    #[must_use]
    pub fn lacking(&self, memory_bytes: u64) -> Lacking {
        if !self.has_place() {
            return Lacking::Place;
        }
        if !self.has_processor() {
            return Lacking::Processor;
        }
        let free = self.free_memory();
        if memory_bytes > free { Lacking::Memory(free) } else { Lacking::Nothing }
    }
}

#[cfg(test)]
mod tests;
