use crate::{
    EnvironmentOptions,
    active_jobs::ActiveJobs,
    followers::Followers,
    hold::Holds,
    home::Home,
    interpreters::Interpreters,
    keys::KnownKeys,
    store::{DbError, Store},
};
use cloister_model::{EngineFigures, JobId, PhaseChange};
use cloister_results::{Incoming, ResultStore};
use cloister_runner::{LOG, Sandbox};
use cloister_sources::{Cache, Fetcher, inspect::Inspecting};
use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What all parts of one engine share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) sandbox: Sandbox,
    pub(crate) environment: EnvironmentOptions,
    pub(crate) store: Store,
    pub(crate) cache: Arc<Cache>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) results: Arc<ResultStore>,
    pub(crate) incoming: Incoming,
    pub(crate) inspecting: Inspecting,
    pub(crate) interpreters: Interpreters,
    pub(crate) keys: KnownKeys,
    pub(crate) holds: Holds,
    /// Jobs that may store their results at once after a wait for the result store.
    pub(crate) storing_again: Semaphore,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tasks: TaskTracker,
    /// Last, because fields are dropped in this order: the lock of the folder is free when everything is stored.
    pub(crate) home: Home,
}

/// What every commit updates.
#[derive(Debug)]
pub(crate) struct Shared {
    active_jobs: Mutex<ActiveJobs>,
    pub(crate) followers: Followers,
    /// There may be tasks to start.
    pub(crate) wake: Notify,
    /// The next deadline may have changed.
    pub(crate) due: Notify,
    /// There may be files to delete.
    pub(crate) sweep: Notify,
    /// The program is ending: jobs stay where they are.
    pub(crate) ending: CancellationToken,
    /// What was counted since the program began.
    pub(crate) figures: Mutex<EngineFigures>,
    /// Jobs whose rows cannot be read, since the program began.
    damaged: Mutex<HashSet<JobId>>,
    /// Steps of jobs, for the log: writing it must not hold up the thread that stores.
    steps: mpsc::Sender<(JobId, PhaseChange)>,
    /// Where they come out, until the task that logs them takes it.
    logging: Mutex<Option<mpsc::Receiver<(JobId, PhaseChange)>>>,
}

/// Steps that may wait for the log. When it falls behind by more, lines are left out.
const MOST_STEPS: usize = 10_000;

impl Shared {
    pub(crate) fn new(active_jobs: ActiveJobs) -> Self {
        let (steps, logging) = mpsc::channel(MOST_STEPS);
        Self {
            figures: Mutex::default(),
            damaged: Mutex::default(),
            steps,
            logging: Mutex::new(Some(logging)),
            active_jobs: Mutex::new(active_jobs),
            followers: Followers::default(),
            wake: Notify::new(),
            due: Notify::new(),
            sweep: Notify::new(),
            ending: CancellationToken::new(),
        }
    }

    pub(crate) fn active_jobs(&self) -> MutexGuard<'_, ActiveJobs> {
        self.active_jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a step of a job, and has it logged.
    pub(crate) fn stepped(&self, job: JobId, step: PhaseChange) {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).count(&step);
        // If the log has fallen behind, the counters still count.
        let _ = self.steps.try_send((job, step));
    }

    /// Notes a job that cannot be read.
    pub(crate) fn damaged(&self, job: JobId) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(job);
    }

    /// How many jobs cannot be read.
    pub(crate) fn damaged_jobs(&self) -> u64 {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// The steps to be logged, once.
    pub(crate) fn steps(&self) -> Option<mpsc::Receiver<(JobId, PhaseChange)>> {
        self.logging.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Core {
    pub(crate) fn active_jobs(&self) -> MutexGuard<'_, ActiveJobs> {
        self.shared.active_jobs()
    }

    /// Where a job's log is: in its folder, or kept after its end.
    pub(crate) fn log_file(&self, job: JobId) -> PathBuf {
        let running = self.home.job(job).join(LOG);
        if running.exists() { running } else { self.home.log(job) }
    }
}

/// Runs work on files on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, DbError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.kind() == io::ErrorKind::StorageFull => Err(DbError::Full),
        Ok(Err(error)) => Err(DbError::Disk(error.to_string())),
        Err(_) => Err(DbError::Other("work on files was cut off; this is a bug".to_owned())),
    }
}
