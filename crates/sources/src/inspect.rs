//! Files that lie elsewhere, fetched for an inspection, and sources that are checked before a job needs them. Inspections have a
//! fetcher of their own, so that a source that is slow to answer holds up other inspections at most, and never a job.

use crate::Fetcher;
use cloister_files::Watch;
use cloister_model::{Account, FileDigest, Inspection, Sha256, SourceCheck, Sources, StoreError};
use sha2::Digest as _;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Inspections of one account that are under way at once; and as many checks.
const MOST_OF_ACCOUNT: usize = 4;
/// Inspections that are under way at once; and as many checks.
const MOST: usize = 64;
/// Inspections that are remembered. When there are more, those that have ended are forgotten.
const MOST_KNOWN: usize = 4096;
/// How long the result of an inspection is kept for the call that asks for it next.
const KEPT: Duration = Duration::from_secs(300);
/// An inspection that no call asked about for so long is cancelled.
const ABANDONED: Duration = Duration::from_secs(120);
/// How often that is checked.
const CHECK: Duration = Duration::from_secs(5);

/// Inspections and checks that are under way or have ended not long ago.
#[derive(Debug)]
pub struct Inspecting {
    fetcher: Arc<Fetcher>,
    inspections: Background<Inspection>,
    checks: Background<Vec<SourceCheck>>,
}

impl Inspecting {
    /// Inspections that fetch with this fetcher.
    #[must_use]
    pub fn new(fetcher: Arc<Fetcher>) -> Self {
        Self { fetcher, inspections: Background::default(), checks: Background::default() }
    }

    /// The state of the inspection of these sources for an account, which is started if it is not under way. `still_there`
    /// says whether a file that was fetched can still be read. A result is returned once.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the account, or all accounts together, have too many inspections under way;
    /// [`StoreError::Unavailable`] if the program is ending, or the inspection broke.
    pub async fn inspect(
        &self,
        account: Account,
        sources: Sources,
        patience: Duration,
        runner: Runner<'_>,
        still_there: impl Fn(&FileDigest) -> bool,
    ) -> Result<Inspection, StoreError> {
        let usable = |found: &Inspection| match found {
            Inspection::Ready(files) => files.iter().all(&still_there),
            Inspection::Pending | Inspection::Failed(_) => true,
        };
        let fetcher = Arc::clone(&self.fetcher);
        let key = key(&account, &sources);
        let work = |cancel| async move {
            let watch = Watch { cancel, progress: Arc::new(|_| ()) };
            match fetcher.fetch(&sources, &watch).await {
                Ok(files) => Inspection::Ready(files),
                Err(error) => Inspection::Failed(error.to_string()),
            }
        };
        let found = self.inspections.ask((account, key), patience, runner, usable, work).await?;
        Ok(found.unwrap_or(Inspection::Pending))
    }

    /// The result of a check of these sources for an account, which begins unless it is under way; none if that takes
    /// longer than `patience`. A result is returned once.
    ///
    /// # Errors
    /// As [`Inspecting::inspect`].
    pub async fn check(
        &self,
        account: Account,
        sources: Sources,
        patience: Duration,
        runner: Runner<'_>,
    ) -> Result<Option<Vec<SourceCheck>>, StoreError> {
        let fetcher = Arc::clone(&self.fetcher);
        let key = key(&account, &sources);
        let work = |_| async move { fetcher.check(&sources).await };
        self.checks.ask((account, key), patience, runner, |_| true, work).await
    }
}

/// Work that goes on when the call that began it has been answered, and whose result the next call gets.
#[derive(Debug)]
struct Background<T> {
    entries: Arc<Mutex<HashMap<Sha256, Entry<T>>>>,
}

#[derive(Debug)]
struct Entry<T> {
    account: Account,
    state: watch::Receiver<Option<T>>,
    asked: Instant,
    ended: Option<Instant>,
}

impl<T> Default for Background<T> {
    fn default() -> Self {
        Self { entries: Arc::default() }
    }
}

fn lock<T>(entries: &Mutex<HashMap<Sha256, Entry<T>>>) -> MutexGuard<'_, HashMap<Sha256, Entry<T>>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Clone + Send + Sync + 'static> Background<T> {
    /// The result of the work of this key, which is started if it is not under way; none after `patience`. A result that is not
    /// `usable` any more counts as none.
    async fn ask<W: Future<Output = T> + Send + 'static>(
        &self,
        (account, key): (Account, Sha256),
        patience: Duration,
        runner: Runner<'_>,
        usable: impl Fn(&T) -> bool,
        work: impl FnOnce(CancellationToken) -> W,
    ) -> Result<Option<T>, StoreError> {
        let mut state = {
            let mut entries = lock(&self.entries);
            let now = Instant::now();
            entries.retain(|_, entry| entry.ended.is_none_or(|ended| now.duration_since(ended) < KEPT));
            let known = entries.get_mut(&key).filter(|entry| entry.state.borrow().as_ref().is_none_or(&usable));
            match known {
                Some(entry) => {
                    entry.asked = now;
                    entry.state.clone()
                }
                None => {
                    let under_way = || entries.values().filter(|entry| entry.ended.is_none());
                    if under_way().count() >= MOST
                        || under_way().filter(|entry| entry.account == account).count() >= MOST_OF_ACCOUNT
                    {
                        let text = "too many files are being inspected; try again when some of them are done";
                        return Err(StoreError::Full(text.to_owned()));
                    }
                    if entries.len() >= MOST_KNOWN {
                        entries.retain(|_, entry| entry.ended.is_none());
                    }
                    let (sender, state) = watch::channel(None);
                    let entry = Entry { account, state: state.clone(), asked: now, ended: None };
                    entries.insert(key, entry);
                    self.start(key, sender, runner, work);
                    state
                }
            }
        };
        let ended = state.wait_for(Option::is_some);
        let Ok(found) = tokio::time::timeout(patience, ended).await else { return Ok(None) };
        let Ok(found) = found.map(|found| found.clone()) else {
            let is_ending = runner.ending.is_cancelled();
            let why = if is_ending { "the service is shutting down" } else { "the check broke; try again" };
            return Err(StoreError::Unavailable(why.to_owned()));
        };
        // A result is returned once, and the next call looks at the sources again: what lies there may have changed, and a
        // publication must not record digests of earlier bytes.
        lock(&self.entries).retain(|other, entry| *other != key || entry.ended.is_none());
        Ok(found)
    }

    fn start<W: Future<Output = T> + Send + 'static>(
        &self,
        key: Sha256,
        state: watch::Sender<Option<T>>,
        runner: Runner<'_>,
        work: impl FnOnce(CancellationToken) -> W,
    ) {
        let entries = Arc::clone(&self.entries);
        let cancel = runner.ending.child_token();
        let work = work(cancel.clone());
        runner.tasks.spawn(async move {
            let _broken = RemovedByPanic { entries: Arc::clone(&entries), key };
            let done = tokio::select! {
                done = work => Some(done),
                () = abandoned(&entries, key, &state) => None,
                () = cancel.cancelled() => None,
            };
            let mut entries = lock(&entries);
            let Some(done) = done else {
                entries.remove(&key);
                return;
            };
            if let Some(entry) = entries.get_mut(&key) {
                entry.ended = Some(Instant::now());
            }
            state.send_replace(Some(done));
        });
    }
}

/// Removes an entry if its work panics. It would take a place for ever otherwise, and each call that asks for it would fail.
struct RemovedByPanic<T> {
    entries: Arc<Mutex<HashMap<Sha256, Entry<T>>>>,
    key: Sha256,
}

impl<T> Drop for RemovedByPanic<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.entries).remove(&self.key);
        }
    }
}

/// Where the tasks of inspections run, and what ends them.
#[derive(Clone, Copy, Debug)]
pub struct Runner<'a> {
    /// Where they run.
    pub tasks: &'a TaskTracker,
    /// Ends them.
    pub ending: &'a CancellationToken,
}

/// Ends when no call has asked about an inspection for a while, and none waits for it.
async fn abandoned<T>(entries: &Mutex<HashMap<Sha256, Entry<T>>>, key: Sha256, state: &watch::Sender<Option<T>>) {
    loop {
        tokio::time::sleep(CHECK).await;
        let idle = lock(entries).get(&key).is_none_or(|entry| entry.asked.elapsed() > ABANDONED);
        // The entry itself has one receiver.
        if idle && state.receiver_count() <= 1 {
            return;
        }
    }
}

/// The same account and the same sources, credentials included, are the same inspection: another account learns nothing.
fn key(account: &Account, sources: &Sources) -> Sha256 {
    let mut hash = sha2::Sha256::new();
    // Credentials included: an account with other credentials looks for itself.
    let sources = serde_json::to_string(sources).unwrap_or_default();
    for part in [account.key(), &sources] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    Sha256::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_takes_no_place() {
        async fn work(breaks: bool) -> u32 {
            tokio::task::yield_now().await;
            if breaks {
                panic!("the work broke");
            }
            7
        }
        let (tasks, ending) = (TaskTracker::new(), CancellationToken::new());
        let runner = Runner { tasks: &tasks, ending: &ending };
        let account: Account = "alice".parse().expect("an account");
        let background = Background::<u32>::default();
        let ask = async |number: usize, breaks: bool| {
            let key = (account.clone(), Sha256::of(&number.to_be_bytes()));
            background.ask(key, Duration::from_secs(60), runner, |_| true, |_| work(breaks)).await
        };
        for number in 0..=MOST_OF_ACCOUNT {
            let broken = ask(number, true).await;
            assert_eq!(broken, Err(StoreError::Unavailable("the check broke; try again".to_owned())));
        }
        tasks.close();
        tasks.wait().await;
        assert_eq!(ask(0, false).await, Ok(Some(7)));
    }
}
