//! What jobs may take of time. While the program runs, its monotonic clock counts; the calendar's, which may be set, only
//! says how much was used before the program started.

use cloister_model::{JobStatus, Phase, TimeLimits, Timestamp};
use std::time::{Duration, Instant, SystemTime};

/// The calendar's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// When the times of a job are over, on the monotonic clock. None: not in this program's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// Waiting for its turn.
    pub(crate) queue: Option<Instant>,
    /// Everything up to its end. Stands still during a review.
    pub(crate) total: Option<Instant>,
    /// Waiting for a reviewer, while it does.
    pub(crate) review: Option<Instant>,
    review_began: Option<Instant>,
}

impl Deadlines {
    /// Of a job that is taken up now, whatever happened to it before.
    pub(crate) fn of(status: &JobStatus, times: &TimeLimits, wall: Timestamp, now: Instant) -> Self {
        let TimeLimits { queue_ms, total_ms, review_ms, keep_ms: _ } = times;
        let used = wall.unix_ms().saturating_sub(status.created.unix_ms());
        let mut reviewed = 0;
        for pair in status.history.windows(2) {
            if let [step, next] = pair
                && step.phase == Phase::InReview
            {
                reviewed += next.at.unix_ms().saturating_sub(step.at.unix_ms());
            }
        }
        let in_review = status.phase == Phase::InReview;
        let waited = wall.unix_ms().saturating_sub(status.changed.unix_ms());
        if in_review {
            reviewed += waited;
        }
        let left = |limit: u64, used: u64| now.checked_add(Duration::from_millis(limit.saturating_sub(used)));
        Self {
            queue: left(*queue_ms, used),
            total: left(*total_ms, used.saturating_sub(reviewed)),
            review: if in_review { left(*review_ms, waited) } else { None },
            review_began: in_review.then_some(now),
        }
    }

    /// It waits for a reviewer from now on.
    pub(crate) fn review_begins(&mut self, times: &TimeLimits, now: Instant) {
        self.review = now.checked_add(Duration::from_millis(times.review_ms));
        self.review_began = Some(now);
    }

    /// The reviewer has spoken: what the review took does not count.
    pub(crate) fn review_ends(&mut self, now: Instant) {
        self.review = None;
        if let Some(began) = self.review_began.take() {
            self.total = self.total.and_then(|total| total.checked_add(now.duration_since(began)));
        }
    }

    /// The one that counts while the job waits for something, and what it waits too long for when it has passed.
    pub(crate) fn next(&self, phase: Phase) -> Option<(Instant, &'static str)> {
        match phase {
            Phase::Queued => [(self.queue, QUEUE), (self.total, TOTAL)]
                .into_iter()
                .filter_map(|(at, what)| Some((at?, what)))
                .min_by_key(|(at, _)| *at),
            Phase::InReview => self.review.map(|at| (at, REVIEW)),
            phase if phase.has_ended() => None,
            _ => self.total.map(|at| (at, TOTAL)),
        }
    }
}

const QUEUE: &str = "it waited for its turn longer than its queue time limit allows";
const TOTAL: &str = "it took longer in all than its total time limit allows";
const REVIEW: &str = "nobody reviewed its outputs within its review time limit";

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Event, JobId, Labels, Reason};

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn job(events: &[(Event, u64)]) -> JobStatus {
        let queued = JobStatus::queued(JobId::from_bytes([1; 16]), Labels::new(), at(1000));
        events.iter().fold(queued, |status, (event, ms)| status.after(*event, at(*ms), None::<Reason>).expect("a step"))
    }

    const TIMES: TimeLimits = TimeLimits { queue_ms: 100, total_ms: 500, review_ms: 300, keep_ms: 0 };

    #[test]
    fn what_was_used_before_counts_and_a_clock_that_was_set_back_gives_no_less_than_all() {
        let now = Instant::now();
        let after = |ms| now.checked_add(Duration::from_millis(ms));
        let queued = Deadlines::of(&job(&[]), &TIMES, at(1040), now);
        assert_eq!((queued.queue, queued.total), (after(60), after(460)));
        assert_eq!(queued.next(Phase::Queued).map(|(at, _)| at), after(60));
        assert_eq!(Deadlines::of(&job(&[]), &TIMES, at(10), now).queue, after(100));
        assert_eq!(Deadlines::of(&job(&[]), &TIMES, at(1_000_000), now).queue, after(0));
    }

    #[test]
    fn a_review_does_not_count_towards_the_total() {
        let now = Instant::now();
        let after = |ms| now.checked_add(Duration::from_millis(ms));
        let steps = [
            (Event::Accept, 1010),
            (Event::Configure, 1010),
            (Event::Provisioned, 1020),
            (Event::Run, 1020),
            (Event::Succeeded, 1050),
            (Event::ReviewAsked, 1100),
        ];
        let reviewing = Deadlines::of(&job(&steps), &TIMES, at(1200), now);
        assert_eq!((reviewing.review, reviewing.total), (after(200), after(400)));
        assert_eq!(reviewing.next(Phase::InReview).map(|(at, _)| at), after(200));
        let mut approved = reviewing;
        approved.review_ends(now + Duration::from_millis(150));
        assert_eq!((approved.review, approved.total), (None, after(550)));
        let mut steps = steps.to_vec();
        steps.push((Event::Approved, 1350));
        assert_eq!(Deadlines::of(&job(&steps), &TIMES, at(1400), now).total, after(350));
    }
}
