use super::{Failure, SourcePolicy, TooLarge};
use cloister_files::{ProgressCounter, Watch};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Counts the bytes of all files of a job against what a job may have, and reports progress.
#[derive(Debug)]
pub(crate) struct Meter {
    progress: ProgressCounter,
    max_bytes: u64,
    turns: Semaphore,
}

impl Meter {
    pub(crate) fn new(watch: &Watch, policy: &SourcePolicy) -> Self {
        let turns = Semaphore::new(policy.parallel.min(Semaphore::MAX_PERMITS));
        Self { progress: ProgressCounter::new(watch), max_bytes: policy.max_job_bytes, turns }
    }

    /// One of the turns of the job, until it is dropped: the job reads so many files at a time.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.turns.acquire().await.map_err(|_| Failure::Cancelled)
    }

    /// Expects so many files more; the number of the first.
    pub(crate) fn expect(&self, totals: impl IntoIterator<Item = Option<u64>>) -> usize {
        self.progress.expect(totals)
    }

    /// A file said how large it is.
    pub(crate) fn total(&self, file: usize, bytes: u64) {
        self.progress.set_total(file, bytes);
    }

    /// So many bytes have come.
    pub(crate) fn charge(&self, bytes: u64) -> Result<(), Failure> {
        if self.progress.add(bytes) <= self.max_bytes {
            return Ok(());
        }
        Err(Failure::TooLarge(TooLarge::Job(self.max_bytes)))
    }

    /// So many bytes will come again.
    pub(crate) fn take_back(&self, bytes: u64) {
        self.progress.take_back(bytes);
    }

    /// Reports where things are.
    pub(crate) fn report(&self) {
        self.progress.report();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_a_bound() {
        let policy = SourcePolicy { max_job_bytes: 1000, ..SourcePolicy::default() };
        let meter = Meter::new(&Watch::unwatched(), &policy);
        meter.charge(1000).expect("within the bound");
        assert!(matches!(meter.charge(1), Err(Failure::TooLarge(TooLarge::Job(1000)))));
        meter.take_back(500);
        meter.charge(499).expect("within the bound again");
    }
}
