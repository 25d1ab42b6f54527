use super::FetcherError;
use crate::{
    Cache, FetchError, SourcePolicy,
    fetch::{Clients, LocalRoots, Meter},
};
use cloister_files::Watch;
use cloister_model::{FileDigest, Sha256, Sources, StoredResults};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Fetches files. Every job has turns of its own ([`SourcePolicy::parallel`]), and there are none that all jobs share: the
/// number of jobs that are in progress is bounded, and a slow source holds up the job that named it and no other.
#[derive(Debug)]
pub struct Fetcher {
    pub(super) policy: SourcePolicy,
    pub(super) cache: Arc<Cache>,
    pub(super) uploads: PathBuf,
    pub(super) results: Arc<dyn StoredResults>,
    pub(super) clients: Clients,
    pub(super) roots: LocalRoots,
    /// Sources that are being fetched. A second fetch of the same source waits, and then finds the file in the cache.
    under_way: Mutex<HashMap<Sha256, Weak<tokio::sync::Mutex<()>>>>,
}

impl Fetcher {
    /// One that keeps this policy, fetches into this cache, and finds results and uploads there: an upload in the folder
    /// `uploads` by its digest, or else in the store of results.
    ///
    /// # Errors
    /// If the policy cannot be kept: a folder that does not exist, a bound of zero.
    pub fn new(
        policy: SourcePolicy,
        cache: Arc<Cache>,
        uploads: PathBuf,
        results: Arc<dyn StoredResults>,
    ) -> Result<Self, FetcherError> {
        for (zero, field) in [(policy.attempts == 0, "attempts"), (policy.parallel == 0, "parallel")] {
            if zero {
                return Err(FetcherError::Zero(field));
            }
        }
        let clients = Clients::new(&policy).map_err(|_| FetcherError::tls())?;
        let roots = LocalRoots::new(&policy.local_roots, &policy.closed)?;
        Ok(Self { policy, cache, uploads, results, clients, roots, under_way: Mutex::default() })
    }

    /// Fetches files into the cache and says what they are, in their order. They stay there until others need the room;
    /// [`Cache::path`] finds them.
    ///
    /// # Errors
    /// The first file that could not be had.
    pub async fn fetch(&self, sources: &Sources, watch: &Watch) -> Result<Vec<FileDigest>, FetchError> {
        let meter = Meter::new(watch, &self.policy);
        let held = tokio::select! {
            biased;
            () = watch.cancel.cancelled() => return Err(FetchError::Cancelled),
            held = self.gather(sources.files(), &meter) => held?,
        };
        meter.report();
        Ok(held.iter().map(|held| held.file()).collect())
    }

    /// The lock of one source. It exists while a fetch holds it or waits for it.
    pub(super) fn under_way(&self, source: Sha256) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = under_way.get(&source).and_then(Weak::upgrade) {
            return lock;
        }
        under_way.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        under_way.insert(source, Arc::downgrade(&lock));
        lock
    }
}
