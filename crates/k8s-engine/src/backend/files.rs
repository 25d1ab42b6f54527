//! What a replica does with files: uploads that arrive, and files that it looks at. The folder may be lost at any time.

use super::{OpenError, StoreOptions};
use cloister_model::StoreError;
use cloister_results::{Incoming, ResultStore};
use cloister_sources::{Cache, CacheError, Fetcher, inspect::Inspecting};
use std::{fs, os::unix::fs::DirBuilderExt as _, path::Path, sync::Arc};

/// The files of one replica.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) results: Arc<ResultStore>,
    pub(super) incoming: Incoming,
    pub(super) inspecting: Inspecting,
    pub(super) cache: Arc<Cache>,
}

impl Files {
    /// Makes the folders, and removes what an earlier process of this replica left incomplete. Blocking.
    pub(super) fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let StoreOptions { home, cache_bytes, mut sources, results, archive: _ } = options;
        let unusable = |error| OpenError::Home { path: home.clone(), error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&home).map_err(unusable)?;
        let uploads = home.join("incoming");
        let incoming = Incoming::new(uploads.clone());
        incoming.tidy(|_| false).map_err(unusable)?;
        let cache = Cache::open(&home.join("cache"), cache_bytes).map_err(|CacheError::Io(error)| unusable(error))?;
        let cache = Arc::new(cache);
        // No account may use the service's own folders as a `local` source: they hold the files of all accounts.
        sources.closed.extend([Some(home.as_path()), results.folder()].into_iter().flatten().map(Path::to_owned));
        // An upload is never in its folder under its digest: it is found in the store.
        let fetcher = Fetcher::new(sources, Arc::clone(&cache), uploads, results.clone());
        let fetcher = fetcher.map_err(|error| OpenError::Sources(error.to_string()))?;
        let inspecting = Inspecting::new(Arc::new(fetcher));
        Ok(Self { results, incoming, inspecting, cache })
    }
}

/// Runs work on files on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(cut_off()))
}

/// Work that did not come to its end, because the program is ending or because of a bug.
pub(super) fn cut_off() -> StoreError {
    StoreError::Unavailable("work on files was cut off".to_owned())
}
