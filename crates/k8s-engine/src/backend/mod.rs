//! The ports of the service over the API server, one a file.
//!
//! Nothing here is kept by this process but caches and what is being uploaded to it: any number of replicas give the same
//! answers, and each may be killed at any moment.

mod archive;
mod audit;
mod claims;
mod files;
mod inspections;
mod jobs;
mod keyring;
mod options;
mod outbox;
mod outputs;
mod printed;
mod receipts;
mod registration;
mod registry;
mod retention;
mod uploads;

pub use archive::ArchiveOptions;
pub(crate) use archive::SEALED_AFTER;
pub use options::{OpenError, StoreOptions};

use crate::{
    cluster::{Cluster, Watched, check_definitions},
    resources::definitions,
    store::{Audit, Nonces},
};
use archive::Archive;
use cloister_model::{ApiKey, Backend, EngineError, EngineFuture, Sha256, Unavailability};
use cloister_results::{Incoming, ResultStore};
use cloister_sources::{Cache, inspect::Inspecting};
use files::Files;
use futures_util::future::BoxFuture;
use jobs::SharedCounts;
use printed::Printed;
pub(crate) use registry::asset_now;
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::task::AbortHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long opening waits for the watches to know what there is.
pub(crate) const SYNC: Duration = Duration::from_secs(30);

/// After how long a failing watch makes a replica unready.
const BLIND: Duration = Duration::from_secs(60);

/// The ports of the service, on a cluster.
#[derive(Debug)]
pub struct ClusterStore {
    inner: Arc<Inner>,
    tasks: [AbortHandle; 3],
}

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    audit: Audit,
    nonces: Nonces,
    keys: Watched<ApiKey>,
    jobs: Watched<jobs::KnownJob>,
    counts: SharedCounts,
    archive: Archive,
    results: Arc<ResultStore>,
    incoming: Incoming,
    inspecting: Inspecting,
    cache: Arc<Cache>,
    printed: Printed,
    tasks: TaskTracker,
    /// The replica is ending.
    ending: CancellationToken,
}

impl ClusterStore {
    /// Opens the store: waits until this process knows every key and every job, and removes what an earlier process of this
    /// replica left incomplete in its folder.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(cluster: Cluster, options: StoreOptions) -> BoxFuture<'static, Result<Self, OpenError>> {
        // Boxed, so that it is compiled here, and not again in each program.
        Box::pin(Self::open_in(cluster, options))
    }

    async fn open_in(cluster: Cluster, options: StoreOptions) -> Result<Self, OpenError> {
        let (home, archiving) = (options.home.clone(), options.archive);
        let files = tokio::task::spawn_blocking(move || Files::open(options)).await;
        check_definitions(&cluster, &definitions()).await?;
        let interrupted = |error| OpenError::Home { path: home, error: io::Error::other(error) };
        let Files { results, incoming, inspecting, cache } = files.map_err(interrupted)??;
        let keys = Watched::start(cluster.system(), keyring::read);
        let counts = SharedCounts::default();
        let jobs = Watched::start_observed(cluster.jobs(), jobs::read, counts.observer());
        let archive = Archive::start(&cluster, archiving, counts.clone());
        OpenError::unless_synced([
            ("ApiKeys", keys.synced(SYNC).await),
            ("ComputeJobs", jobs.synced(SYNC).await),
            ("ConfigMaps", archive.synced(SYNC).await),
        ])?;
        let inner = Arc::new(Inner {
            audit: Audit::new(&cluster, archiving.records_after),
            nonces: Nonces::new(&cluster),
            keys,
            jobs,
            counts,
            archive,
            cluster,
            results,
            incoming,
            inspecting,
            cache,
            printed: Printed::new(),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
        });
        let sweep = tokio::spawn(outbox::sweep(Arc::downgrade(&inner))).abort_handle();
        let follow = tokio::spawn(retention::follow(Arc::downgrade(&inner))).abort_handle();
        let archiving = tokio::spawn(archive::follow(Arc::downgrade(&inner))).abort_handle();
        Ok(Self { inner, tasks: [sweep, follow, archiving] })
    }

    /// What is wrong with this replica; none: it can take work.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let Inner { keys, jobs, archive, .. } = &*self.inner;
        let failing = keys.failing().max(jobs.failing()).max(archive.failing()).filter(|failing| *failing > BLIND)?;
        let seconds = failing.as_secs();
        Some(format!(
            "the watch of the API server has been failing for {seconds} s; a key that was revoked meanwhile is not known here"
        ))
    }
}

impl Backend for ClusterStore {
    fn ready(&self) -> EngineFuture<'_, ()> {
        let answer = match self.problem() {
            None => Ok(()),
            Some(problem) => Err(EngineError::unavailable(Unavailability::Cluster, problem)),
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Drop for ClusterStore {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        // Ends inspections. An upload that is being stored goes on as long as the program does.
        self.inner.ending.cancel();
        self.inner.tasks.close();
    }
}

/// 160 bits of a digest: fit for a name and a label.
fn short_digest(text: &str) -> String {
    Sha256::of(text.as_bytes()).to_string().chars().take(40).collect()
}

/// What the cluster holds cannot be used, or what is meant for it cannot be written.
fn unusable(error: impl fmt::Display) -> EngineError {
    EngineError::unavailable(Unavailability::Cluster, error.to_string())
}
