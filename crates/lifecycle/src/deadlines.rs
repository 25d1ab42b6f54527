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
    /// [`TimeLimits::publishing_ms`].
    Publishing,
}

impl TimeLimit {
    /// What a job did for longer than the limit allows.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Queue => "it waited for its turn longer than its queue time limit allows",
            Self::Total => "it took longer in all than its total time limit allows",
            Self::Review => "its outputs were not reviewed within its review time limit",
            Self::Publishing => "its results could not be stored within its publishing time limit",
        }
    }
}

/// When the time limits of a job pass, on a clock `M`. None: not within what the clock can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines<M> {
    /// Waiting for its turn.
    queue: Option<M>,
    /// Everything up to its review, or to where its results are stored.
    total: Option<M>,
    /// Waiting for a reviewer, while it does.
    review: Option<M>,
    /// Storing its results, while they are.
    publishing: Option<M>,
}

impl<M: Moment> Deadlines<M> {
    /// For a job that a program takes up now, whatever happened to it before. The calendar's clock, which may be set, only says
    /// how much time was used before now; from now on `now`'s clock counts.
    #[must_use]
    pub fn of(status: &JobStatus, times: &TimeLimits, wall: Timestamp, now: M) -> Self {
        let TimeLimits { queue_ms, total_ms, review_ms, publishing_ms, keep_ms: _ } = times;
        let left = |limit: u64, since: Timestamp| {
            let used = wall.unix_ms().saturating_sub(since.unix_ms());
            now.after(Duration::from_millis(limit.saturating_sub(used)))
        };
        let publishing = publishing_since(status);
        Self {
            queue: left(*queue_ms, status.created),
            total: left(*total_ms, status.created),
            review: if status.phase == Phase::InReview { left(*review_ms, status.changed) } else { None },
            publishing: publishing.and_then(|since| left(*publishing_ms, since)),
        }
    }

    /// The job waits for a reviewer from now on.
    pub fn review_begins(&mut self, times: &TimeLimits, now: M) {
        self.review = now.after(Duration::from_millis(times.review_ms));
    }

    /// The results of the job are stored from now on.
    pub fn publishing_begins(&mut self, times: &TimeLimits, now: M) {
        self.publishing = now.after(Duration::from_millis(times.publishing_ms));
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
            Phase::Publishing => self.publishing.map(|at| (at, TimeLimit::Publishing)),
            phase if phase.has_ended() => None,
            _ => {
                let publishing = self.publishing.map(|at| (at, TimeLimit::Publishing));
                publishing.or_else(|| self.total.map(|at| (at, TimeLimit::Total)))
            }
        }
    }

    /// The limit that has passed for a job in this phase.
    #[must_use]
    pub fn passed(&self, phase: Phase, now: M) -> Option<TimeLimit> {
        self.next(phase).filter(|(at, _)| *at <= now).map(|(_, limit)| limit)
    }
}

/// Since when the results of a job are being stored; none if they are not. An engine that checks and stores in one go stores what
/// is reviewed before the review: then it counts from the first attempt that failed.
fn publishing_since(status: &JobStatus) -> Option<Timestamp> {
    let waits = status.store_wait.as_ref().map(|wait| wait.since);
    if status.phase == Phase::Publishing { Some(status.changed) } else { waits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Event, JobId, Labels, Reason, StoreWait};
    use std::time::Instant;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn job(events: &[(Event, u64)]) -> JobStatus {
        let queued = JobStatus::queued(JobId::from_bytes([1; 16]), Labels::new(), at(1000));
        events.iter().fold(queued, |status, (event, ms)| status.after(*event, at(*ms), None::<Reason>).expect("a step"))
    }

    const TIMES: TimeLimits =
        TimeLimits { queue_ms: 100, total_ms: 500, review_ms: 300, publishing_ms: 700, keep_ms: 0 };

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
    fn a_review_and_publishing_have_limits_of_their_own() {
        let now = Instant::now();
        let after = |ms| now.checked_add(Duration::from_millis(ms));
        let next = |deadlines: &Deadlines<Instant>, phase| deadlines.next(phase).map(|(at, limit)| (Some(at), limit));
        let mut steps = vec![
            (Event::Accept, 1010),
            (Event::Configure, 1010),
            (Event::Provisioned, 1020),
            (Event::Run, 1020),
            (Event::Succeeded, 1050),
        ];
        let filtering = job(&steps);
        let before = Deadlines::of(&filtering, &TIMES, at(1200), now);
        assert_eq!(next(&before, Phase::Filtering), Some((after(300), TimeLimit::Total)));
        // What is stored before its review waits for the store no shorter.
        let why = String::new();
        let wait = StoreWait { since: at(1100), failures: 1, next: at(1105), until: at(1800), why };
        let waiting = JobStatus { store_wait: Some(wait), ..filtering };
        let waiting = Deadlines::of(&waiting, &TIMES, at(1200), now);
        assert_eq!(next(&waiting, Phase::Filtering), Some((after(600), TimeLimit::Publishing)));
        steps.push((Event::ReviewAsked, 1100));
        let reviewing = Deadlines::of(&job(&steps), &TIMES, at(1200), now);
        assert_eq!(next(&reviewing, Phase::InReview), Some((after(200), TimeLimit::Review)));
        let mut approved = reviewing;
        approved.publishing_begins(&TIMES, now + Duration::from_millis(150));
        assert_eq!(next(&approved, Phase::Publishing), Some((after(850), TimeLimit::Publishing)));
        // The total has passed long ago.
        steps.push((Event::Approved, 1350));
        let publishing = Deadlines::of(&job(&steps), &TIMES, at(1900), now);
        assert_eq!(next(&publishing, Phase::Publishing), Some((after(150), TimeLimit::Publishing)));
        assert_eq!(publishing.passed(Phase::Publishing, now), None);
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
