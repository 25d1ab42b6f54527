//! The ports of the service over the API server, one a file.
//!
//! Nothing here is kept by this process but caches: any number of replicas give the same answers, and each may be killed at
//! any moment.

mod audit;
mod claims;
mod jobs;
mod keyring;
mod outbox;
mod registry;

use crate::{
    cluster::{Cluster, Watched},
    store::{Audit, Nonces},
};
use cloister_model::{ApiKey, Sha256};
pub(crate) use registry::asset_now;
use std::{sync::Arc, time::Duration};
use tokio::task::AbortHandle;

/// How long opening waits for the watches to know what there is.
pub(crate) const SYNC: Duration = Duration::from_secs(30);

/// After how long a failing watch makes a replica unready.
const BLIND: Duration = Duration::from_secs(60);

/// The ports of the service, on a cluster.
#[derive(Debug)]
pub struct ClusterStore {
    inner: Arc<Inner>,
    sweep: AbortHandle,
}

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    audit: Audit,
    nonces: Nonces,
    keys: Watched<ApiKey>,
    jobs: Watched<jobs::KnownJob>,
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
}

impl OpenError {
    /// The first kind that was not listed in time.
    pub(crate) fn unless_synced<const N: usize>(kinds: [(&'static str, bool); N]) -> Result<(), Self> {
        kinds.into_iter().try_for_each(|(kind, synced)| if synced { Ok(()) } else { Err(Self::Blind { kind }) })
    }
}

impl ClusterStore {
    /// Opens the store: waits until this process knows every key and every job.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(cluster: Cluster) -> Result<Self, OpenError> {
        let keys = Watched::start(cluster.system(), keyring::read);
        let jobs = Watched::start(cluster.jobs(), jobs::read);
        OpenError::unless_synced([("ApiKeys", keys.synced(SYNC).await), ("ComputeJobs", jobs.synced(SYNC).await)])?;
        let inner = Arc::new(Inner { audit: Audit::new(&cluster), nonces: Nonces::new(&cluster), keys, jobs, cluster });
        let sweep = tokio::spawn(outbox::sweep(Arc::downgrade(&inner))).abort_handle();
        Ok(Self { inner, sweep })
    }

    /// What is wrong with this replica; none: it can take work.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let failing = self.inner.keys.failing().max(self.inner.jobs.failing()).filter(|failing| *failing > BLIND)?;
        let seconds = failing.as_secs();
        Some(format!(
            "the watch of the API server has been failing for {seconds} s; a key that was revoked meanwhile is not known here"
        ))
    }
}

impl Drop for ClusterStore {
    fn drop(&mut self) {
        self.sweep.abort();
    }
}

/// 160 bits of a digest: fit for a name and a label.
fn short_digest(text: &str) -> String {
    Sha256::of(text.as_bytes()).to_string().chars().take(40).collect()
}
