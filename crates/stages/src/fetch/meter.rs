use super::{Failure, SourcePolicy};
use crate::Watch;
use cloister_model::Progress;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// The shortest time between two reports.
const PACE: Duration = Duration::from_millis(250);

/// Counts the bytes of all files of a job, against what a job may have, and tells the watcher.
#[derive(Debug)]
pub(crate) struct Meter {
    watch: Watch,
    max_bytes: u64,
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: u64,
    /// What every file says of its size.
    totals: Vec<Option<u64>>,
    told: Option<Instant>,
}

impl Meter {
    pub(crate) fn new(watch: &Watch, policy: &SourcePolicy) -> Self {
        Self::with(watch, policy.max_job_bytes, policy.parallel)
    }

    /// One that lets so many bytes through, and so many files at a time.
    pub(crate) fn with(watch: &Watch, max_bytes: u64, parallel: usize) -> Self {
        let turns = Semaphore::new(parallel.min(Semaphore::MAX_PERMITS));
        let state = Mutex::new(State { done: 0, totals: Vec::new(), told: None });
        Self { watch: watch.clone(), max_bytes, turns, state }
    }

    /// Files that the job may fetch at a time.
    pub(crate) fn turns(&self) -> &Semaphore {
        &self.turns
    }

    /// Expects so many files more; the number of the first.
    pub(crate) fn expect(&self, totals: impl IntoIterator<Item = Option<u64>>) -> usize {
        let mut state = self.state();
        let first = state.totals.len();
        state.totals.extend(totals);
        first
    }

    /// A file said how large it is.
    pub(crate) fn total(&self, file: usize, bytes: u64) {
        if let Some(total) = self.state().totals.get_mut(file) {
            *total = Some(bytes);
        }
    }

    /// So many bytes have come.
    pub(crate) fn charge(&self, bytes: u64) -> Result<(), Failure> {
        let mut state = self.state();
        state.done = state.done.saturating_add(bytes);
        if state.done > self.max_bytes {
            let most = self.max_bytes;
            return Err(Failure::Refused(format!(
                "the files of a job may have {most} bytes together, these have more"
            )));
        }
        if state.told.is_none_or(|told| told.elapsed() >= PACE) {
            state.told = Some(Instant::now());
            let progress = state.progress();
            drop(state);
            (self.watch.progress)(progress);
        }
        Ok(())
    }

    /// So many bytes will come again.
    pub(crate) fn take_back(&self, bytes: u64) {
        let mut state = self.state();
        state.done = state.done.saturating_sub(bytes);
    }

    /// Tells where things are.
    pub(crate) fn tell(&self) {
        let progress = self.state().progress();
        (self.watch.progress)(progress);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn progress(&self) -> Progress {
        let total = self.totals.iter().try_fold(0_u64, |sum, total| Some(sum.saturating_add((*total)?)));
        // A source that sends more than it said is found out elsewhere; until then nobody is told nonsense.
        Progress { done_bytes: self.done, total_bytes: total.map(|total| total.max(self.done)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    #[test]
    fn tells_seldom_and_bounds_a_job() {
        let told = Arc::new(AtomicU64::new(0));
        let count = told.clone();
        let watch = Watch {
            progress: Arc::new(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            }),
            ..Watch::unwatched()
        };
        let meter = Meter::new(&watch, &SourcePolicy { max_job_bytes: 1000, ..SourcePolicy::default() });
        meter.expect([Some(500), None]);
        for _ in 0..1000 {
            meter.charge(1).expect("within the bound");
        }
        assert!(told.load(Ordering::Relaxed) < 100);
        assert!(matches!(meter.charge(1), Err(Failure::Refused(_))));
        assert_eq!(meter.state().progress(), Progress { done_bytes: 1001, total_bytes: None });
        meter.total(1, 400);
        assert_eq!(meter.state().progress(), Progress { done_bytes: 1001, total_bytes: Some(1001) });
    }
}
