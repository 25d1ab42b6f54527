//! What the pods of running algorithms have printed. A kubelet gives a log from its beginning only: a reader of a piece of one
//! makes it, the API server and this process move all of it. So a log is fetched once for all who read pieces of it at a time.

use cloister_model::{ByteRange, EngineError, JobId, LogPart, Unavailability};
use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

/// For how long readers are shown what was fetched before. A log only grows: it is a beginning of the log then.
const FRESH: Duration = Duration::from_secs(1);
/// How many logs are fetched at once.
const MOST_AT_ONCE: usize = 16;
/// The most bytes that stay here of logs that no request is reading a piece of at present.
const MOST_KEPT_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(super) struct Printed {
    slots: Mutex<HashMap<JobId, Arc<Slot>>>,
    turns: Semaphore,
}

/// The log of a job. It is locked while it is fetched, so that it is fetched once at a time.
type Slot = tokio::sync::Mutex<Option<Kept>>;

#[derive(Debug)]
struct Kept {
    at: Instant,
    printed: Result<Vec<u8>, EngineError>,
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < FRESH
    }
}

impl Printed {
    pub(super) fn new() -> Self {
        Self { slots: Mutex::default(), turns: Semaphore::new(MOST_AT_ONCE) }
    }

    /// A part of the first `most` bytes of what a job has printed, which is fetched if it was not just now.
    ///
    /// # Errors
    /// Whatever fetching it met.
    pub(super) async fn part(
        &self,
        job: JobId,
        most: u64,
        range: ByteRange,
        fetch: impl Future<Output = Result<Vec<u8>, EngineError>>,
    ) -> Result<LogPart, EngineError> {
        let slot = self.slot(job);
        let mut kept = slot.lock().await;
        if !kept.as_ref().is_some_and(Kept::is_fresh) {
            // What it held is not in memory while more of it is fetched.
            *kept = None;
            let ending = |_| EngineError::unavailable(Unavailability::Cluster, "the service is ending");
            let _turn = self.turns.acquire().await.map_err(ending)?;
            let printed = fetch.await;
            // Failures too: else each of many readers would wait for one of its own.
            *kept = Some(Kept { at: Instant::now(), printed });
        }
        let printed = match kept.as_ref().map(|kept| &kept.printed) {
            Some(Ok(printed)) => printed.as_slice(),
            Some(Err(error)) => return Err(error.clone()),
            None => &[],
        };
        let shown = &printed[..usize::try_from(most).unwrap_or(usize::MAX).min(printed.len())];
        let from = usize::try_from(range.offset).unwrap_or(usize::MAX).min(shown.len());
        let length = usize::try_from(range.at_most).unwrap_or(usize::MAX).min(shown.len() - from);
        Ok(LogPart { bytes: shown[from..from + length].to_vec(), total: shown.len() as u64, ended: false })
    }

    /// The place of a job's log. What no request reads is removed once it is old or there is too much of it, the oldest first.
    fn slot(&self, job: JobId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle = Vec::new();
        slots.retain(|other, slot| {
            // Every holder got it here, under this lock.
            if *other == job || Arc::strong_count(slot) > 1 {
                return true;
            }
            let Some(kept) = Arc::get_mut(slot).and_then(|slot| slot.get_mut().as_ref()) else { return false };
            if kept.is_fresh() {
                idle.push((Reverse(kept.at), *other, kept.printed.as_ref().map_or(0, Vec::len)));
            }
            kept.is_fresh()
        });
        idle.sort_unstable();
        let mut bytes = 0_usize;
        for (_, other, length) in idle {
            bytes = bytes.saturating_add(length);
            if bytes > MOST_KEPT_BYTES {
                slots.remove(&other);
            }
        }
        Arc::clone(slots.entry(job).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{FRESH, MOST_KEPT_BYTES, Printed};
    use cloister_model::{ByteRange, EngineError, LogPart, Unavailability};
    use cloister_testkit::job_id;
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    };

    const ALL: ByteRange = ByteRange { offset: 0, at_most: u32::MAX };

    /// A log that is one byte longer each time that it is fetched.
    async fn growing(fetched: &AtomicU64) -> Result<Vec<u8>, EngineError> {
        let times = fetched.fetch_add(1, Relaxed) + 1;
        tokio::task::yield_now().await;
        Ok(vec![b'a'; usize::try_from(times).expect("a length")])
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_is_fetched_once_for_all_who_read_pieces_of_it() {
        let (printed, fetched) = (Arc::new(Printed::new()), Arc::new(AtomicU64::new(0)));
        let readers = (0..200_u64).map(|offset| {
            let (printed, fetched) = (Arc::clone(&printed), Arc::clone(&fetched));
            let range = ByteRange { offset: offset % 3, at_most: 1 };
            tokio::spawn(async move { printed.part(job_id(1), 9, range, growing(&fetched)).await })
        });
        for (number, reader) in readers.collect::<Vec<_>>().into_iter().enumerate() {
            let part = reader.await.expect("it ends").expect("a part");
            let bytes = if number % 3 == 0 { b"a".to_vec() } else { Vec::new() };
            assert_eq!(part, LogPart { bytes, total: 1, ended: false }, "{number}");
        }
        assert_eq!(fetched.load(Relaxed), 1);
        // Another job's is another; and what was fetched a while ago is fetched again.
        assert_eq!(printed.part(job_id(2), 9, ALL, growing(&fetched)).await.expect("a part").total, 2);
        tokio::time::advance(FRESH).await;
        assert_eq!(printed.part(job_id(1), 9, ALL, growing(&fetched)).await.expect("a part").total, 3);
        // No more than its reader may see.
        let part = printed.part(job_id(1), 2, ALL, growing(&fetched)).await.expect("a part");
        assert_eq!((part.bytes.as_slice(), part.total), (b"aa".as_slice(), 2));
        for range in [ByteRange { offset: u64::MAX, at_most: u32::MAX }, ByteRange { offset: 3, at_most: 1 }] {
            assert_eq!(printed.part(job_id(1), 9, range, growing(&fetched)).await.expect("a part").bytes, b"");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_to_all_who_wait_and_a_reader_who_leaves_holds_up_none() {
        let (printed, fetched) = (Printed::new(), AtomicU64::new(0));
        let leaves = printed.part(job_id(1), 9, ALL, std::future::pending());
        assert!(tokio::time::timeout(FRESH, leaves).await.is_err());
        let failure = EngineError::unavailable(Unavailability::Cluster, "no kubelet");
        let failing = async { Err(failure.clone()) };
        assert_eq!(printed.part(job_id(1), 9, ALL, failing).await, Err(failure.clone()));
        assert_eq!(printed.part(job_id(1), 9, ALL, growing(&fetched)).await, Err(failure));
        tokio::time::advance(FRESH).await;
        assert_eq!(printed.part(job_id(1), 9, ALL, growing(&fetched)).await.expect("a part").total, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn little_is_kept_of_logs_that_nobody_reads() {
        let printed = Printed::new();
        for number in 0..20 {
            let long = async { Ok(vec![b'a'; MOST_KEPT_BYTES / 4]) };
            let part = printed.part(job_id(number), u64::MAX, ByteRange { offset: 0, at_most: 0 }, long).await;
            assert_eq!(part.expect("a part").total, MOST_KEPT_BYTES as u64 / 4);
            // Those, and the one that was just read.
            assert!(printed.slots.lock().expect("not poisoned").len() <= 5, "{number}");
        }
        tokio::time::advance(FRESH).await;
        printed.part(job_id(1), 9, ALL, async { Ok(Vec::new()) }).await.expect("a part");
        assert_eq!(printed.slots.lock().expect("not poisoned").len(), 1);
    }
}
