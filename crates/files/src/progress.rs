use crate::Watch;
use cloister_model::Progress;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The shortest time between two reports.
const PACE: Duration = Duration::from_millis(250);

/// Counts the bytes of several files together and reports them to a [`Watch`], a few times a second.
#[derive(Debug)]
pub struct ProgressCounter {
    watch: Watch,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: u64,
    /// The size of every file; none while it is unknown.
    totals: Vec<Option<u64>>,
    reported: Option<Instant>,
}

impl ProgressCounter {
    /// One that has counted nothing.
    #[must_use]
    pub fn new(watch: &Watch) -> Self {
        Self { watch: watch.clone(), state: Mutex::new(State { done: 0, totals: Vec::new(), reported: None }) }
    }

    /// Expects these files too, by their sizes where those are known. Gives the number of the first, for
    /// [`set_total`](Self::set_total).
    pub fn expect(&self, totals: impl IntoIterator<Item = Option<u64>>) -> usize {
        let mut state = self.state();
        let first = state.totals.len();
        state.totals.extend(totals);
        first
    }

    /// The size of a file is known now.
    pub fn set_total(&self, file: usize, bytes: u64) {
        if let Some(total) = self.state().totals.get_mut(file) {
            *total = Some(bytes);
        }
    }

    /// Counts bytes, and gives how many there are by now.
    pub fn add(&self, bytes: u64) -> u64 {
        let mut state = self.state();
        state.done = state.done.saturating_add(bytes);
        let done = state.done;
        if state.reported.is_none_or(|reported| reported.elapsed() >= PACE) {
            state.reported = Some(Instant::now());
            let progress = state.progress();
            drop(state);
            (self.watch.progress)(progress);
        }
        done
    }

    /// Takes bytes back that will be counted again.
    pub fn take_back(&self, bytes: u64) {
        let mut state = self.state();
        state.done = state.done.saturating_sub(bytes);
    }

    /// Where things are.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.state().progress()
    }

    /// Reports where things are, however short ago the last report was.
    pub fn report(&self) {
        (self.watch.progress)(self.progress());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn progress(&self) -> Progress {
        let total = self.totals.iter().try_fold(0_u64, |sum, total| Some(sum.saturating_add((*total)?)));
        // A source that sends more than it declared is refused elsewhere; until then the total is not less than the sum.
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
    fn reports_seldom_and_knows_the_total_when_every_size_is_known() {
        let reports = Arc::new(AtomicU64::new(0));
        let count = reports.clone();
        let watch = Watch {
            progress: Arc::new(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            }),
            ..Watch::unwatched()
        };
        let counter = ProgressCounter::new(&watch);
        assert_eq!((counter.expect([Some(500), None]), counter.expect([Some(1)])), (0, 2));
        for _ in 0..1000 {
            counter.add(1);
        }
        assert!(reports.load(Ordering::Relaxed) < 100);
        assert_eq!(counter.progress(), Progress { done_bytes: 1000, total_bytes: None });
        counter.set_total(1, 600);
        assert_eq!(counter.progress(), Progress { done_bytes: 1000, total_bytes: Some(1101) });
        counter.take_back(100);
        assert_eq!(counter.add(300), 1200);
        assert_eq!(counter.progress(), Progress { done_bytes: 1200, total_bytes: Some(1200) });
        let before = reports.load(Ordering::Relaxed);
        counter.report();
        assert_eq!(reports.load(Ordering::Relaxed), before + 1);
    }
}
