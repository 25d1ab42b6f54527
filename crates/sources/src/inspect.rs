//! Files that lie elsewhere, fetched for a look at them. Inspections have a fetcher of their own, so that a source that is slow
//! to answer holds up other inspections at most, and never a job.

use crate::Fetcher;
use cloister_files::Watch;
use cloister_model::{Account, FileDigest, Inspection, Sha256, Sources, StoreError};
use sha2::Digest as _;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Inspections of one account that are under way at once.
const MOST_OF_ACCOUNT: usize = 4;
/// Inspections that are under way at once.
const MOST: usize = 64;
/// Inspections that are remembered. When there are more, those that have ended are forgotten.
const MOST_KNOWN: usize = 4096;
/// How long the result of an inspection is kept for the call that asks for it next.
const KEPT: Duration = Duration::from_secs(300);
/// An inspection that no call asked about for so long is cancelled.
const ABANDONED: Duration = Duration::from_secs(120);
/// How often that is checked.
const CHECK: Duration = Duration::from_secs(5);

/// Inspections that are under way or have ended not long ago.
#[derive(Debug)]
pub struct Inspecting {
    fetcher: Arc<Fetcher>,
    entries: Arc<Mutex<HashMap<Sha256, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    account: Account,
    state: watch::Receiver<Inspection>,
    asked: Instant,
    ended: Option<Instant>,
}

fn lock(entries: &Mutex<HashMap<Sha256, Entry>>) -> MutexGuard<'_, HashMap<Sha256, Entry>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inspecting {
    /// Inspections that fetch with this fetcher.
    #[must_use]
    pub fn new(fetcher: Arc<Fetcher>) -> Self {
        Self { fetcher, entries: Arc::default() }
    }

    /// The state of the inspection of these sources for an account, which is started if it is not under way. `still_there`
    /// says whether a file that was fetched can still be read. A result is returned once.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the account, or all accounts together, have too many inspections under way;
    /// [`StoreError::Unavailable`] if the program is ending.
    pub async fn inspect(
        &self,
        account: Account,
        sources: Sources,
        patience: Duration,
        runner: Runner<'_>,
        still_there: impl Fn(&FileDigest) -> bool,
    ) -> Result<Inspection, StoreError> {
        let key = key(&account, &sources);
        let mut state = {
            let mut entries = lock(&self.entries);
            let now = Instant::now();
            entries.retain(|_, entry| entry.ended.is_none_or(|ended| now.duration_since(ended) < KEPT));
            let known = entries.get_mut(&key).filter(|entry| match &*entry.state.borrow() {
                Inspection::Ready(files) => files.iter().all(&still_there),
                Inspection::Pending | Inspection::Failed(_) => true,
            });
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
                        let text = "too many files are being looked at; try again when some of them are done";
                        return Err(StoreError::Full(text.to_owned()));
                    }
                    if entries.len() >= MOST_KNOWN {
                        entries.retain(|_, entry| entry.ended.is_none());
                    }
                    let (sender, state) = watch::channel(Inspection::Pending);
                    let entry = Entry { account, state: state.clone(), asked: now, ended: None };
                    entries.insert(key, entry);
                    self.start(key, sources, sender, runner);
                    state
                }
            }
        };
        let ended = state.wait_for(|state| *state != Inspection::Pending);
        let Ok(found) = tokio::time::timeout(patience, ended).await else { return Ok(Inspection::Pending) };
        let Ok(found) = found.map(|found| found.clone()) else {
            return Err(StoreError::Unavailable("the service is shutting down".to_owned()));
        };
        // A result is returned once, and the next call looks at the sources again: what lies there may have changed, and a
        // publication must not record digests of earlier bytes.
        lock(&self.entries).retain(|other, entry| *other != key || entry.ended.is_none());
        Ok(found)
    }

    fn start(&self, key: Sha256, sources: Sources, state: watch::Sender<Inspection>, runner: Runner<'_>) {
        let (fetcher, entries) = (Arc::clone(&self.fetcher), Arc::clone(&self.entries));
        let cancel = runner.ending.child_token();
        let work = async move {
            let watch = Watch { cancel: cancel.clone(), progress: Arc::new(|_| ()) };
            let fetched = tokio::select! {
                fetched = fetcher.fetch(&sources, &watch) => Some(fetched),
                () = abandoned(&entries, key, &state) => None,
                () = cancel.cancelled() => None,
            };
            let mut entries = lock(&entries);
            let Some(fetched) = fetched else {
                entries.remove(&key);
                return;
            };
            if let Some(entry) = entries.get_mut(&key) {
                entry.ended = Some(Instant::now());
            }
            state.send_replace(match fetched {
                Ok(files) => Inspection::Ready(files),
                Err(error) => Inspection::Failed(error.to_string()),
            });
        };
        runner.tasks.spawn(work);
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
async fn abandoned(entries: &Mutex<HashMap<Sha256, Entry>>, key: Sha256, state: &watch::Sender<Inspection>) {
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
