use cloister_model::{JobStatus, Phase, TimeLimits, Timestamp};
use std::time::Duration;

/// A moment on some clock. While a program runs it should use a monotonic clock; a controller that is started for every look
/// has only the calendar's ([`Timestamp`]).
pub trait Moment: Copy + Ord {
    /// The moment this much later; none if the clock cannot show it.
    fn after(self, span: Duration) -> Option<Self>;

    /// The time since an earlier moment; nothing if it is not earlier.
    fn since(self, earlier: Self) -> Duration;
}

impl Moment for std::time::Instant {
    fn after(self, span: Duration) -> Option<Self> {
        self.checked_add(span)
    }

    fn since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl Moment for Timestamp {
    fn after(self, span: Duration) -> Option<Self> {
        let ms = u64::try_from(span.as_millis()).ok()?;
        self.unix_ms().checked_add(ms).map(Self::from_unix_ms)
    }

    fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.unix_ms().saturating_sub(earlier.unix_ms()))
    }
}

/// A limit on the time that a job takes outside its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeLimit {
    /// [`TimeLimits::queue_ms`].
    Queue,
    /// [`TimeLimits::total_ms`].
    Total,
    /// [`TimeLimits::review_ms`].
    Review,
}

impl TimeLimit {
    /// What a job did for longer than the limit allows.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Queue => "it waited for its turn longer than its queue time limit allows",
            Self::Total => "it took longer in all than its total time limit allows",
            Self::Review => "its outputs were not reviewed within its review time limit",
        }
    }
}

/// When the time limits of a job pass, on a clock `M`. None: not within what the clock can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines<M> {
    /// Waiting for its turn.
    queue: Option<M>,
    /// Everything up to its end. Moves on by as long as a review takes.
    total: Option<M>,
    /// Waiting for a reviewer, while it does.
    review: Option<M>,
    review_began: Option<M>,
}

impl<M: Moment> Deadlines<M> {
    /// For a job that a program takes up now, whatever happened to it before. The calendar's clock, which may be set, only says
    /// how much time was used before now; from now on `now`'s clock counts.
    #[must_use]
    pub fn of(status: &JobStatus, times: &TimeLimits, wall: Timestamp, now: M) -> Self {
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
        let left = |limit: u64, used: u64| now.after(Duration::from_millis(limit.saturating_sub(used)));
        Self {
            queue: left(*queue_ms, used),
            total: left(*total_ms, used.saturating_sub(reviewed)),
            review: if in_review { left(*review_ms, waited) } else { None },
            review_began: in_review.then_some(now),
        }
    }

    /// The job waits for a reviewer from now on.
    pub fn review_begins(&mut self, times: &TimeLimits, now: M) {
        self.review = now.after(Duration::from_millis(times.review_ms));
        self.review_began = Some(now);
    }

    /// The reviewer has decided. The time that the review took does not count towards the total.
    pub fn review_ends(&mut self, now: M) {
        self.review = None;
        if let Some(began) = self.review_began.take() {
            self.total = self.total.and_then(|total| total.after(now.since(began)));
        }
    }

    /// The first limit that passes while the job stays in this phase, and when.
    #[must_use]
    pub fn next(&self, phase: Phase) -> Option<(M, TimeLimit)> {
        match phase {
            Phase::Queued => [(self.queue, TimeLimit::Queue), (self.total, TimeLimit::Total)]
                .into_iter()
                .filter_map(|(at, limit)| Some((at?, limit)))
                .min_by_key(|(at, _)| *at),
            Phase::InReview => self.review.map(|at| (at, TimeLimit::Review)),
            phase if phase.has_ended() => None,
            _ => self.total.map(|at| (at, TimeLimit::Total)),
        }
    }

    /// The limit that has passed for a job in this phase.
    #[must_use]
    pub fn passed(&self, phase: Phase, now: M) -> Option<TimeLimit> {
        self.next(phase).filter(|(at, _)| *at <= now).map(|(_, limit)| limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Event, JobId, Labels, Reason};
    use std::time::Instant;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn job(events: &[(Event, u64)]) -> JobStatus {
        let queued = JobStatus::queued(JobId::from_bytes([1; 16]), Labels::new(), at(1000));
        events.iter().fold(queued, |status, (event, ms)| status.after(*event, at(*ms), None::<Reason>).expect("a step"))
    }

    const TIMES: TimeLimits = TimeLimits { queue_ms: 100, total_ms: 500, review_ms: 300, keep_ms: 0 };

    #[test]
    fn time_used_before_counts_and_a_clock_set_back_gives_the_whole_limit_again() {
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

    /// A controller without a monotonic clock gets the same moments from the calendar's.
    #[test]
    fn the_calendars_clock_gives_the_same_deadlines() {
        let deadlines = Deadlines::of(&job(&[]), &TIMES, at(1040), at(1040));
        assert_eq!(deadlines.next(Phase::Queued), Some((at(1100), TimeLimit::Queue)));
        assert_eq!(deadlines.next(Phase::Running), Some((at(1500), TimeLimit::Total)));
        assert_eq!(deadlines.passed(Phase::Queued, at(1099)), None);
        assert_eq!(deadlines.passed(Phase::Queued, at(1100)), Some(TimeLimit::Queue));
        assert_eq!(deadlines.passed(Phase::Finished, at(u64::MAX)), None);
        let forever = TimeLimits { queue_ms: u64::MAX, total_ms: u64::MAX, ..TIMES };
        assert_eq!(Deadlines::of(&job(&[]), &forever, at(1040), at(1040)).next(Phase::Queued), None);
    }
}
