use super::{core::Core, core::Shared, recover::recover, tasks};
use crate::{
    LocalEngine, OpenError, Options,
    active_jobs::ActiveJobs,
    hold::Holds,
    home::Home,
    interpreters::Interpreters,
    keys::KnownKeys,
    store::{OnCommit, Store},
};
use cloister_lifecycle::Capacity;
use cloister_results::{Incoming, PublishError, ResultStore, StoreConfig};
use cloister_runner::{RunnerError, Sandbox};
use cloister_sources::{Cache, Fetcher, inspect::Inspecting};
use std::{collections::BTreeMap, fmt::Write as _, os::unix::ffi::OsStrExt as _, path::Path, sync::Arc, time::Instant};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Interpreters that stay in memory between jobs take at most this part of what the jobs may take, beside it.
const INTERPRETERS_SHARE: u64 = 12;

impl LocalEngine {
    /// Takes the folder, brings its database up to date, takes every job up where it is, and starts to work.
    ///
    /// # Errors
    /// If another service has the folder, something in it is not what this program left there, or the sandbox program
    /// cannot be run. Nothing was changed then.
    pub async fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        let core = tokio::task::spawn_blocking(move || assemble(options)).await;
        let core = Arc::new(core.map_err(|error| OpenError::Stage { what: "start", problem: error.to_string() })??);
        recover(&core).await?;
        tasks::start(&core);
        Ok(Arc::new(Self { core }))
    }
}

fn assemble(options: Options) -> Result<Core, OpenError> {
    let Options { home, sandbox, sandbox_home, environment, sources, cache_bytes, results } = options;
    let stage = |what| move |problem: String| OpenError::Stage { what, problem };
    let home = Home::open(&home, sandbox_home.as_deref())?;
    let sandbox = Sandbox::find(&sandbox, home.sandbox()).map_err(|error| match error {
        RunnerError::Program { path, problem } => OpenError::Sandbox { path, problem },
        other => OpenError::Sandbox { path: sandbox.clone(), problem: other.to_string() },
    })?;
    let sandbox = sandbox.keeping(environment.memory_bytes / INTERPRETERS_SHARE);
    let results = results.unwrap_or_else(|| StoreConfig { url: file_url(&home.results()), options: BTreeMap::new() });
    let results = Arc::new(ResultStore::open(&results).map_err(|error| match error {
        PublishError::Config(_) => OpenError::Results(error.to_string()),
        other => OpenError::Stage { what: "results", problem: other.to_string() },
    })?);
    let cache = Arc::new(Cache::open(&home.cache(), cache_bytes).map_err(|e| stage("cache")(e.to_string()))?);
    // No account may use the service's own folders as a `local` source: they hold the keys and files of all accounts.
    let mut sources = sources;
    sources.closed.extend([Some(home.root()), results.folder()].into_iter().flatten().map(Path::to_owned));
    let fetcher = || {
        let fetcher = Fetcher::new(sources.clone(), Arc::clone(&cache), home.uploads(), results.clone());
        fetcher.map(Arc::new).map_err(|e| stage("sources")(e.to_string()))
    };
    // Two, so that a job never waits for an inspection of the same source.
    let (fetcher, inspecting) = (fetcher()?, Inspecting::new(fetcher()?));
    let shared = Arc::new(Shared::new(ActiveJobs::new(Capacity {
        jobs: environment.max_jobs,
        cpus: u64::from(environment.cpus),
        memory_bytes: environment.memory_bytes,
        reserved: environment.reserved_jobs,
    })));
    let store = Store::open(&home.database(), on_commit(&shared))?;
    let incoming = Incoming::new(home.uploads());
    let interpreters = Interpreters::new(&home.sandbox());
    let (keys, tasks) = (KnownKeys::default(), TaskTracker::new());
    // As many as there are places, so that a store that is back is not asked by all jobs at once.
    let storing_again = usize::try_from(environment.max_jobs).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
    Ok(Core {
        home,
        sandbox,
        environment,
        store,
        cache,
        fetcher,
        results,
        incoming,
        inspecting,
        interpreters,
        keys,
        holds: Holds::default(),
        storing_again: Semaphore::new(storing_again),
        shared,
        tasks,
    })
}

/// Updates what is known in memory, on the thread that writes. It has to be quick: all writers wait for it.
fn on_commit(shared: &Arc<Shared>) -> OnCommit {
    let shared = Arc::clone(shared);
    Arc::new(move |tally, changes| {
        shared.active_jobs().committed(tally, &changes, Instant::now());
        if changes.is_empty() {
            return;
        }
        let gone = changes.iter().any(|change| change.after.is_none_or(cloister_model::Phase::has_ended));
        for change in &changes {
            shared.followers.changed(change.job);
            if let Some(step) = change.step {
                shared.stepped(change.job, step);
            }
        }
        shared.wake.notify_one();
        shared.due.notify_one();
        if gone {
            shared.sweep.notify_one();
        }
    })
}

/// The URL of a folder (RFC 8089).
fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}
