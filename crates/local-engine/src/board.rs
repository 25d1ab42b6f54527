//! What is known of jobs that have not ended, kept in step with the database by being told of every commit, and from it
//! what there is to do.

use crate::{
    schedule::{Capacity, Lacking, Schedule, Waiting},
    store::{Change, Tally},
    times::Deadlines,
};
use cloister_model::{JobId, JobStatus, Phase, TimeLimits};
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// A job that has not ended.
#[derive(Debug)]
struct Known {
    waiting: Waiting,
    times: TimeLimits,
    phase: Phase,
    deadlines: Deadlines,
    /// Told when somebody wants the job to stop.
    cancel: CancellationToken,
    /// Whether somebody carries it out at present.
    driven: bool,
}

/// Something to be done for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Carry it out from where it is.
    Carry(JobId),
    /// It ended while nobody carried it out: remove its folder.
    Clean(JobId),
}

/// What whoever carries a job out needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) cancel: CancellationToken,
    pub(crate) deadline: Option<(Instant, &'static str)>,
}

#[derive(Debug)]
pub(crate) struct Board {
    schedule: Schedule,
    jobs: HashMap<JobId, Known>,
    /// When waiting jobs have waited too long.
    due: BTreeSet<(Instant, JobId)>,
    tasks: Vec<Task>,
    tally: Tally,
}

impl Board {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            schedule: Schedule::new(capacity),
            jobs: HashMap::new(),
            due: BTreeSet::new(),
            tasks: Vec::new(),
            tally: Tally::default(),
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// A job that was there when the program started. It goes on where it is.
    pub(crate) fn recover(&mut self, status: &JobStatus, waiting: Waiting, times: TimeLimits, deadlines: Deadlines) {
        let job = status.id;
        match status.phase {
            Phase::Queued => self.schedule.wait(waiting.clone()),
            // Nothing is done for it until somebody speaks.
            Phase::InReview => {}
            // It left its place to others when its review began.
            Phase::Publishing if status.history.iter().any(|step| step.phase == Phase::InReview) => {
                self.tasks.push(Task::Carry(job));
            }
            _ => {
                self.schedule.resume(job, waiting.memory_bytes);
                if status.phase == Phase::Publishing {
                    self.schedule.rest(job);
                }
                self.tasks.push(Task::Carry(job));
            }
        }
        self.know(job, status.phase, waiting, times, deadlines);
        if status.stop_requested.is_some() {
            self.cancel(job);
        }
    }

    fn know(&mut self, job: JobId, phase: Phase, waiting: Waiting, times: TimeLimits, deadlines: Deadlines) {
        let known = Known { waiting, times, phase, deadlines, cancel: CancellationToken::new(), driven: false };
        self.jobs.insert(job, known);
        self.set_due(job);
    }

    /// Notes when a job that nobody carries out has waited too long.
    fn set_due(&mut self, job: JobId) {
        if let Some(known) = self.jobs.get(&job)
            && matches!(known.phase, Phase::Queued | Phase::InReview)
            && let Some((at, _)) = known.deadlines.next(known.phase)
        {
            self.due.insert((at, job));
        }
    }

    fn unset_due(&mut self, job: JobId) {
        if let Some(known) = self.jobs.get(&job)
            && let Some((at, _)) = known.deadlines.next(known.phase)
        {
            self.due.remove(&(at, job));
        }
    }

    fn cancel(&mut self, job: JobId) {
        if let Some(known) = self.jobs.get(&job) {
            known.cancel.cancel();
        }
    }

    /// A commit. In the order of commits.
    pub(crate) fn committed(&mut self, tally: &Tally, changes: &[Change], now: Instant) {
        self.tally = *tally;
        for change in changes {
            self.changed(change, now);
        }
    }

    fn changed(&mut self, change: &Change, now: Instant) {
        let Change { job, before: _, after, stop, new } = change;
        if let Some(new) = new {
            self.schedule.wait(new.waiting.clone());
            self.know(*job, Phase::Queued, new.waiting.clone(), new.times, new.deadlines(now));
            return;
        }
        let Some(known) = self.jobs.get_mut(job) else { return };
        let (before, after) = (known.phase, after.unwrap_or(Phase::Stopped));
        if before != after {
            self.unset_due(*job);
            let Some(known) = self.jobs.get_mut(job) else { return };
            known.phase = after;
            if after == Phase::InReview {
                let times = known.times;
                known.deadlines.review_begins(&times, now);
            }
            if after == Phase::Publishing {
                self.schedule.rest(*job);
            }
            if before == Phase::InReview {
                known.deadlines.review_ends(now);
            }
            if before == Phase::Queued {
                // No harm if it was taken from there to be started.
                let queue = known.waiting.queue.clone();
                self.schedule.leave(*job, &queue);
            }
            self.set_due(*job);
            self.follow_up(*job, after);
        }
        if *stop {
            self.cancel(*job);
        }
    }

    /// What is to be done for a job that came to a phase while nobody carries it out.
    fn follow_up(&mut self, job: JobId, phase: Phase) {
        let Some(known) = self.jobs.get(&job).filter(|known| !known.driven) else { return };
        if phase.has_ended() {
            known.cancel.cancel();
            self.jobs.remove(&job);
            self.schedule.end(job);
            self.tasks.push(Task::Clean(job));
        } else if phase == Phase::Publishing {
            self.tasks.push(Task::Carry(job));
        }
    }

    /// What there is to do now; every task is given out once.
    pub(crate) fn tasks(&mut self) -> Vec<Task> {
        let started = self.schedule.decide();
        self.tasks.extend(started.into_iter().map(|waiting| Task::Carry(waiting.job)));
        std::mem::take(&mut self.tasks)
    }

    /// Somebody carries a job out from now on; none if there is nothing to carry out.
    pub(crate) fn take(&mut self, job: JobId) -> Option<Lease> {
        self.unset_due(job);
        let Some(known) = self.jobs.get_mut(&job) else {
            // It ended between the decision and now.
            self.schedule.end(job);
            return None;
        };
        if known.driven {
            // Whoever drives it frees its place.
            return None;
        }
        known.driven = true;
        let phase = if known.phase == Phase::Queued { Phase::Accepted } else { known.phase };
        Some(Lease { cancel: known.cancel.clone(), deadline: known.deadlines.next(phase) })
    }

    /// Nobody carries the job out any more: it has ended, and its folder is gone, or it waits for a reviewer. Its place is
    /// free.
    pub(crate) fn give_back(&mut self, job: JobId) {
        self.schedule.end(job);
        let Some(known) = self.jobs.get_mut(&job) else { return };
        known.driven = false;
        let phase = known.phase;
        if phase.has_ended() {
            self.jobs.remove(&job);
        } else {
            self.set_due(job);
            self.follow_up(job, phase);
        }
    }

    /// Jobs that have waited too long, and for what. They are not due again before some time has passed.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(JobId, &'static str)> {
        let mut found = Vec::new();
        while let Some(&(at, job)) = self.due.first().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, job));
            if let Some(known) = self.jobs.get(&job).filter(|known| !known.driven)
                && let Some((_, what)) = known.deadlines.next(known.phase)
            {
                found.push((job, what));
            }
        }
        found
    }

    /// A job that could not be ended when it was due.
    pub(crate) fn put_off(&mut self, job: JobId, now: Instant) {
        if self.jobs.contains_key(&job) {
            self.due.insert((now + Duration::from_secs(1), job));
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many jobs come before a waiting one, and what it lacks.
    pub(crate) fn turn(&self, job: JobId) -> Option<(u64, Lacking, u64)> {
        let waiting = &self.jobs.get(&job)?.waiting;
        let ahead = self.schedule.ahead(job, &waiting.queue)?;
        Some((ahead, self.schedule.lacking(waiting.memory_bytes), waiting.memory_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Labels, Timestamp};

    #[test]
    fn a_job_that_is_driven_keeps_its_place_whoever_asks_for_it() {
        let mut board = Board::new(Capacity { jobs: 1, cpus: 1, memory_bytes: 1 });
        let at = Timestamp::from_unix_ms(1);
        let [first, second] = [1, 2].map(|number| JobId::from_bytes([number; 16]));
        for job in [first, second] {
            let status = JobStatus::queued(job, Labels::new(), at);
            let times = TimeLimits::default();
            let waiting = Waiting { job, queue: "alice".to_owned(), memory_bytes: 1 };
            board.recover(&status, waiting, times, Deadlines::of(&status, &times, at, Instant::now()));
        }
        assert_eq!(board.tasks(), [Task::Carry(first)]);
        assert!(board.take(first).is_some() && board.take(first).is_none());
        assert_eq!(board.tasks(), [], "there is no room for the second");
    }
}
