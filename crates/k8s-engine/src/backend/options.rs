use crate::{
    backend::{ArchiveOptions, SYNC},
    cluster::Outdated,
};
use cloister_results::ResultStore;
use cloister_sources::SourcePolicy;
use std::{io, path::PathBuf, sync::Arc};

/// The settings of a replica.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// A folder of this replica alone, which may be lost: what is being uploaded, and a cache of files that were inspected.
    pub home: PathBuf,
    /// The most bytes of the cache.
    pub cache_bytes: u64,
    /// Where files may come from.
    pub sources: SourcePolicy,
    /// The store of results and uploads, which all replicas share.
    pub results: Arc<ResultStore>,
    /// When ended jobs are moved to it.
    pub archive: ArchiveOptions,
}

/// Why the store or the controller cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The API server does not show what there is.
    #[error("the API server did not list {kind} within {} s; are the definitions there (kubectl apply -f deploy/crds), and may this service account list and watch them?", SYNC.as_secs())]
    Blind {
        /// What.
        kind: &'static str,
    },
    /// The definitions in the cluster are those of an earlier version.
    #[error(transparent)]
    Outdated(#[from] Outdated),
    /// The folder of this replica.
    #[error("`{path}` cannot be used: {error}; give this replica a folder of its own that it can write")]
    Home {
        /// Where.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// Where files may come from, with its own message.
    #[error("sources: {0}")]
    Sources(String),
}

impl OpenError {
    /// The first kind that was not listed in time.
    pub(crate) fn unless_synced<const N: usize>(kinds: [(&'static str, bool); N]) -> Result<(), Self> {
        kinds.into_iter().try_for_each(|(kind, synced)| if synced { Ok(()) } else { Err(Self::Blind { kind }) })
    }
}
