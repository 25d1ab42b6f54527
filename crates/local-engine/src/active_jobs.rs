//! In-memory index of the jobs that have not ended. The store's commit hook updates it; it yields the tasks to start.

use crate::{
    backoff::pause_after,
    store::{Change, Tally},
};
use cloister_lifecycle::{Capacity, Deadlines, Place, Schedule, TimeLimit, Turn, Waiting};
use cloister_model::{JobId, JobStatus, Phase, TimeLimits};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// A job that has not ended.
#[derive(Debug)]
struct ActiveJob {
    waiting: Waiting,
    times: TimeLimits,
    phase: Phase,
    deadlines: Deadlines<Instant>,
    /// Cancelled when the job is asked to stop.
    cancel: CancellationToken,
    /// Notified when its results are to be stored at once.
    publish: Arc<Notify>,
    /// The next time limit of its present phase, for its driver.
    deadline: watch::Sender<Option<(Instant, TimeLimit)>>,
    /// Whether a task drives it at present.
    has_driver: bool,
    /// How often it could not be ended while it waited.
    failures: u32,
}

/// Work to start for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Drive it from where it is.
    Drive(JobId),
    /// It ended without a driver: remove its folder.
    Clean(JobId),
}

/// The exclusive right to drive a job, and what interrupts its work.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// Cancelled when the job is asked to stop.
    pub(crate) cancel: CancellationToken,
    /// Notified when its results are to be stored at once.
    pub(crate) publish: Arc<Notify>,
    /// The next time limit. It is another one once the results are stored.
    deadline: watch::Receiver<Option<(Instant, TimeLimit)>>,
}

impl Lease {
    /// The time limit that has passed.
    pub(crate) fn overdue(&self, now: Instant) -> Option<TimeLimit> {
        self.deadline.borrow().filter(|(at, _)| *at <= now).map(|(_, limit)| limit)
    }

    /// Whether the job was asked to stop, or a time limit has passed.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.cancel.is_cancelled() || self.overdue(Instant::now()).is_some()
    }

    /// Does work, unless the job is asked to stop or a time limit passes before the work has ended. The work is dropped then.
    pub(crate) async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        // It changes when work has ended, and not meanwhile.
        let deadline = *self.deadline.borrow();
        let deadline = async {
            match deadline {
                None => std::future::pending().await,
                Some((at, _)) => tokio::time::sleep_until(tokio::time::Instant::from_std(at)).await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            () = deadline => None,
            done = work => Some(done),
        }
    }
}

#[derive(Debug)]
pub(crate) struct ActiveJobs {
    schedule: Schedule,
    jobs: HashMap<JobId, ActiveJob>,
    /// When the time limits of waiting jobs pass.
    due: BTreeSet<(Instant, JobId)>,
    tasks: Vec<Task>,
    tally: Tally,
}

impl ActiveJobs {
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

    /// Adds an unfinished job when the program starts. It continues where it is.
    pub(crate) fn recover(
        &mut self,
        status: &JobStatus,
        waiting: Waiting,
        times: TimeLimits,
        deadlines: Deadlines<Instant>,
    ) {
        let job = status.id;
        self.schedule.put(&waiting, Place::of(status));
        if !matches!(status.phase, Phase::Queued | Phase::InReview) {
            self.tasks.push(Task::Drive(job));
        }
        self.insert(job, status.phase, waiting, times, deadlines);
        if status.stop_requested.is_some() {
            self.cancel(job);
        }
    }

    fn insert(&mut self, job: JobId, phase: Phase, waiting: Waiting, times: TimeLimits, deadlines: Deadlines<Instant>) {
        let known = ActiveJob {
            waiting,
            times,
            phase,
            deadlines,
            cancel: CancellationToken::new(),
            publish: Arc::new(Notify::new()),
            deadline: watch::Sender::new(None),
            has_driver: false,
            failures: 0,
        };
        self.jobs.insert(job, known);
        self.set_due(job);
    }

    /// Notes when the time limit of a waiting job passes.
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

    /// Takes note of a commit. Called in the order of commits.
    pub(crate) fn committed(&mut self, tally: &Tally, changes: &[Change], now: Instant) {
        self.tally = *tally;
        for change in changes {
            self.changed(change, now);
        }
    }

    fn changed(&mut self, change: &Change, now: Instant) {
        let Change { job, before: _, after, stop, new, step: _ } = change;
        if let Some(new) = new {
            self.schedule.wait(new.waiting.clone());
            self.insert(*job, Phase::Queued, new.waiting.clone(), new.times, new.deadlines(now));
            return;
        }
        let Some(known) = self.jobs.get_mut(job) else { return };
        let (before, after) = (known.phase, after.unwrap_or(Phase::Stopped));
        if before != after {
            self.unset_due(*job);
            let Some(known) = self.jobs.get_mut(job) else { return };
            known.phase = after;
            let times = known.times;
            match after {
                Phase::InReview => known.deadlines.review_begins(&times, now),
                Phase::Publishing => known.deadlines.publishing_begins(&times, now),
                _ => {}
            }
            known.deadline.send_replace(known.deadlines.next(after));
            if after == Phase::Publishing {
                self.schedule.rest(*job);
            }
            if before == Phase::Queued {
                // No effect if the schedule has started it.
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

    /// Adds the task that a job without a driver needs in its new phase.
    fn follow_up(&mut self, job: JobId, phase: Phase) {
        let Some(known) = self.jobs.get(&job).filter(|job| !job.has_driver) else { return };
        if phase.has_ended() {
            known.cancel.cancel();
            self.jobs.remove(&job);
            self.schedule.end(job);
            self.tasks.push(Task::Clean(job));
        } else if phase == Phase::Publishing {
            self.tasks.push(Task::Drive(job));
        }
    }

    /// The tasks to start now. Each is returned once. No job leaves the queue if `holds`.
    pub(crate) fn tasks(&mut self, holds: bool) -> Vec<Task> {
        let started = if holds { Vec::new() } else { self.schedule.decide() };
        self.tasks.extend(started.into_iter().map(|waiting| Task::Drive(waiting.job)));
        std::mem::take(&mut self.tasks)
    }

    /// How many jobs of a queue wait, as of the last commit.
    pub(crate) fn queued(&self, queue: &str) -> u64 {
        self.schedule.waiting(queue)
    }

    /// Takes the right to drive a job; none if it has ended, or has a driver.
    pub(crate) fn take(&mut self, job: JobId) -> Option<Lease> {
        self.unset_due(job);
        let Some(known) = self.jobs.get_mut(&job) else {
            // It ended between the decision and now.
            self.schedule.end(job);
            return None;
        };
        if known.has_driver {
            // Its driver frees its place.
            return None;
        }
        known.has_driver = true;
        let phase = if known.phase == Phase::Queued { Phase::Accepted } else { known.phase };
        known.deadline.send_replace(known.deadlines.next(phase));
        let deadline = known.deadline.subscribe();
        Some(Lease { cancel: known.cancel.clone(), publish: Arc::clone(&known.publish), deadline })
    }

    /// Wakes the driver of a job whose results wait for the result store.
    pub(crate) fn publish(&self, job: JobId) {
        if let Some(known) = self.jobs.get(&job) {
            known.publish.notify_one();
        }
    }

    /// Frees the place of a job whose results wait for the result store. Its driver goes on.
    pub(crate) fn free_place(&mut self, job: JobId) {
        self.schedule.end(job);
    }

    /// Gives up the right to drive a job, because it has ended and its folder is gone, or because it waits for a reviewer. Its
    /// place becomes free.
    pub(crate) fn give_back(&mut self, job: JobId) {
        self.schedule.end(job);
        let Some(known) = self.jobs.get_mut(&job) else { return };
        known.has_driver = false;
        let phase = known.phase;
        if phase.has_ended() {
            self.jobs.remove(&job);
        } else {
            self.set_due(job);
            self.follow_up(job, phase);
        }
    }

    /// The waiting jobs whose time limit has passed, each once: see [`ActiveJobs::put_off`].
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(JobId, TimeLimit)> {
        let mut found = Vec::new();
        while let Some(&(at, job)) = self.due.first().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, job));
            if let Some(known) = self.jobs.get(&job).filter(|job| !job.has_driver)
                && let Some((_, limit)) = known.deadlines.next(known.phase)
            {
                found.push((job, limit));
            }
        }
        found
    }

    /// Makes a job that could not be ended due again: in a second, and with every failure later. Whether this is its first failure.
    pub(crate) fn put_off(&mut self, job: JobId, now: Instant) -> bool {
        let Some(known) = self.jobs.get_mut(&job) else { return false };
        let failures = known.failures;
        known.failures = failures.saturating_add(1);
        self.due.insert((now + pause_after(failures), job));
        failures == 0
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The place of a waiting job in the queue.
    pub(crate) fn turn(&self, job: JobId) -> Option<Turn> {
        let Waiting { job: _, queue, memory_bytes } = &self.jobs.get(&job)?.waiting;
        let (ahead, memory_bytes) = (self.schedule.ahead(job, queue)?, *memory_bytes);
        Some(Turn { ahead, lacking: self.schedule.lacking(queue, memory_bytes), memory_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_lifecycle::Lacking;
    use cloister_model::{Labels, Timestamp};

    /// Two jobs of one account that wait since `now`, where so many may run at once, with the time limits of each.
    fn two_waiting(at_once: u64, times: [TimeLimits; 2], now: Instant) -> (ActiveJobs, [JobId; 2]) {
        let mut jobs = ActiveJobs::new(Capacity { jobs: at_once, cpus: 1, memory_bytes: 1, reserved: 0 });
        let at = Timestamp::from_unix_ms(1);
        let ids = [1, 2].map(|number| JobId::from_bytes([number; 16]));
        for (job, times) in ids.into_iter().zip(times) {
            let status = JobStatus::queued(job, Labels::new(), at);
            let waiting = Waiting { job, queue: "alice".to_owned(), memory_bytes: 1 };
            jobs.recover(&status, waiting, times, Deadlines::of(&status, &times, at, now));
        }
        (jobs, ids)
    }

    #[test]
    fn a_job_has_one_driver_and_keeps_its_place() {
        let (mut jobs, [first, _]) = two_waiting(1, [TimeLimits::default(); 2], Instant::now());
        assert_eq!(jobs.tasks(true), [], "the queue is held");
        assert_eq!(jobs.tasks(false), [Task::Drive(first)]);
        assert!(jobs.take(first).is_some() && jobs.take(first).is_none());
        assert_eq!(jobs.tasks(false), [], "there is no room for the second");
    }

    /// One that cannot be read is not tried every second for ever, and holds up no other.
    #[test]
    fn a_job_that_cannot_be_ended_is_due_again_later_and_later() {
        let times = [1000, 5000].map(|queue_ms| TimeLimits { queue_ms, ..TimeLimits::default() });
        let (mut jobs, [damaged, _]) = two_waiting(0, times, Instant::now());
        let mut now = jobs.next_due().expect("the first");
        let mut pauses = Vec::new();
        for failure in 0..9 {
            let due: Vec<_> = jobs.overdue(now).into_iter().map(|(job, _)| job).collect();
            assert!(due.contains(&damaged), "{due:?}");
            assert_eq!(jobs.put_off(damaged, now), failure == 0, "it is logged once");
            // The other one is ended when its time is over, and is due no more.
            let next = jobs.due.iter().find(|(_, job)| *job == damaged).expect("due again").0;
            pauses.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(jobs.next_due(), Some(now), "the other one was due once");
    }

    /// A job that ends between the decision to start it and its start has no driver, which would free its place.
    #[test]
    fn the_place_of_a_job_that_is_gone_when_its_turn_comes_is_free() {
        let (mut jobs, [first, second]) = two_waiting(1, [TimeLimits::default(); 2], Instant::now());
        assert_eq!(jobs.tasks(false), [Task::Drive(first)]);
        let ended = Change { job: first, before: Some(Phase::Queued), after: None, stop: false, step: None, new: None };
        jobs.committed(&Tally::default(), &[ended], Instant::now());
        assert!(jobs.take(first).is_none());
        let (ended, next) = (Task::Clean(first), Task::Drive(second));
        assert_eq!(jobs.tasks(false), [ended, next]);
    }

    /// Its driver goes on, and frees no place of another one when it ends.
    #[test]
    fn a_job_that_waits_for_the_result_store_makes_room_for_another_one() {
        let (mut jobs, [first, second]) = two_waiting(1, [TimeLimits::default(); 2], Instant::now());
        assert_eq!(jobs.tasks(false), [Task::Drive(first)]);
        assert!(jobs.take(first).is_some());
        jobs.free_place(first);
        assert_eq!(jobs.tasks(false), [Task::Drive(second)]);
        assert_eq!(jobs.turn(second).map(|turn| turn.lacking), None, "it waits no more");
        jobs.give_back(first);
        assert_eq!(jobs.schedule.lacking("bob", 1), Lacking::Place(1));
    }

    /// A job whose driver is cancelled keeps its place until the driver gives it back, and then it is another job's.
    #[test]
    fn a_job_that_is_stopped_gives_its_place_back_once() {
        let mut jobs = ActiveJobs::new(Capacity { jobs: 1, cpus: 1, memory_bytes: 1, reserved: 0 });
        let at = Timestamp::from_unix_ms(1);
        let [first, second, third] = [1, 2, 3].map(|number| JobId::from_bytes([number; 16]));
        for job in [first, second, third] {
            let status = JobStatus::queued(job, Labels::new(), at);
            let times = TimeLimits::default();
            let waiting = Waiting { job, queue: "alice".to_owned(), memory_bytes: 1 };
            jobs.recover(&status, waiting, times, Deadlines::of(&status, &times, at, Instant::now()));
        }
        assert_eq!(jobs.tasks(false), [Task::Drive(first)]);
        let lease = jobs.take(first).expect("a lease");
        let change =
            |after, stop| Change { job: first, before: Some(Phase::Queued), after, stop, step: None, new: None };
        jobs.committed(&Tally::default(), &[change(Some(Phase::Queued), true)], Instant::now());
        assert!(lease.is_interrupted());
        assert_eq!(jobs.tasks(false), [], "its driver is still there");
        jobs.committed(&Tally::default(), &[change(Some(Phase::Stopped), false)], Instant::now());
        assert_eq!(jobs.tasks(false), [], "it cleans up");
        jobs.give_back(first);
        assert_eq!(jobs.tasks(false), [Task::Drive(second)]);
        jobs.give_back(first);
        assert_eq!(jobs.tasks(false), [], "there is one place, not two");
    }
}
