//! What an engine counts, for metrics. Labels come from lists of ours: phases and faults, never names.

use crate::{Fault, Phase};
use std::collections::BTreeMap;

/// Upper bounds, in seconds. Longer durations are counted as well.
const BOUNDS: [f64; 14] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0];

/// How long things took: from a tenth of a second to a day, in steps that suit jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    counts: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Distribution {
    /// Counts one that took so long.
    pub fn observe(&mut self, seconds: f64) {
        let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.seconds += seconds;
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// How many took at most as long as a bound and longer than the bound before it. The last bound is [`f64::MAX`].
    #[must_use]
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        BOUNDS.into_iter().chain([f64::MAX]).zip(self.counts).collect()
    }
}

/// What an engine has counted since it began, and what it has now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineFigures {
    /// Jobs that ended, by phase and by whose fault it was. Grows only, whatever is removed.
    pub ended: BTreeMap<(Phase, Fault), u64>,
    /// From the submission of a job to its start.
    pub queue_wait: Distribution,
    /// From the submission of a job to its end.
    pub total: Distribution,
    /// How long jobs were in each phase that they left.
    pub phases: BTreeMap<Phase, Distribution>,
    /// Free bytes of the disk that it works on; none: it has none, or that cannot be asked.
    pub free_bytes: Option<u64>,
    /// Bytes of cached inputs.
    pub cache_bytes: Option<u64>,
    /// The bytes that it keeps of them at most.
    pub cache_limit_bytes: Option<u64>,
    /// Jobs that cannot go on because what is stored of them is damaged; none: the engine does not know. They stay until they
    /// are restored, and the other jobs go on.
    pub damaged_jobs: Option<u64>,
}

/// A job that came to another phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseChange {
    /// The phase that it left; none: it is new.
    pub before: Option<Phase>,
    /// The phase that it came to.
    pub after: Phase,
    /// How long it was in the phase that it left, in milliseconds.
    pub ms: u64,
    /// From its submission until now, in milliseconds.
    pub since_submission_ms: u64,
    /// Whose fault it was that it ended; none: it has not.
    pub fault: Option<Fault>,
}

impl EngineFigures {
    /// Counts a job that came to another phase.
    pub fn count(&mut self, change: &PhaseChange) {
        let PhaseChange { before, after, ms, since_submission_ms, fault } = *change;
        if let Some(before) = before {
            self.phases.entry(before).or_default().observe(seconds(ms));
            if before == Phase::Queued && !after.has_ended() {
                self.queue_wait.observe(seconds(ms));
            }
        }
        if after.has_ended() {
            *self.ended.entry((after, fault.unwrap_or(Fault::Nobody))).or_default() += 1;
            self.total.observe(seconds(since_submission_ms));
        }
    }
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_once() {
        let mut times = Distribution::default();
        for seconds in [0.0, 0.1, 0.2, 60.0, 1e9] {
            times.observe(seconds);
        }
        let buckets = times.buckets();
        assert_eq!(times.count(), 5);
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 5);
        assert_eq!((buckets[0], buckets[1]), ((0.1, 2), (0.25, 1)));
        assert_eq!(buckets.last(), Some(&(f64::MAX, 1)));
        assert!(times.seconds() > 1e9);
    }

    #[test]
    fn what_ended_stays_counted() {
        let mut figures = EngineFigures::default();
        let change = |before, after, ms, fault| PhaseChange { before, after, ms, since_submission_ms: 9000, fault };
        figures.count(&change(None, Phase::Queued, 0, None));
        figures.count(&change(Some(Phase::Queued), Phase::Accepted, 1500, None));
        figures.count(&change(Some(Phase::Running), Phase::AlgorithmFailed, 500, Some(Fault::Algorithm)));
        // It never started.
        figures.count(&change(Some(Phase::Queued), Phase::Stopped, 60_000, Some(Fault::Nobody)));
        assert_eq!(figures.queue_wait.count(), 1);
        assert_eq!(figures.ended[&(Phase::AlgorithmFailed, Fault::Algorithm)], 1);
        assert_eq!((figures.total.count(), figures.phases[&Phase::Queued].count()), (2, 2));
    }
}
