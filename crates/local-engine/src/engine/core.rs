use crate::{
    EnvironmentOptions,
    board::Board,
    followers::Followers,
    home::Home,
    incoming::Incoming,
    inspections::Inspecting,
    interpreters::Interpreters,
    keys::KnownKeys,
    program::Program,
    store::{DbError, Durability, Fail, Store, Write, jobs},
    times::now,
};
use cloister_model::{Event, JobId, JobSpec, JobStatus, Reason};
use cloister_stages::{Cache, Fetcher, ResultStore};
use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What all parts of one engine share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) home: Home,
    pub(crate) program: Program,
    pub(crate) environment: EnvironmentOptions,
    pub(crate) store: Store,
    pub(crate) cache: Arc<Cache>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) results: Arc<ResultStore>,
    pub(crate) incoming: Incoming,
    pub(crate) inspecting: Inspecting,
    pub(crate) interpreters: Interpreters,
    pub(crate) keys: KnownKeys,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tasks: TaskTracker,
}

/// What every commit updates.
#[derive(Debug)]
pub(crate) struct Shared {
    board: Mutex<Board>,
    pub(crate) followers: Followers,
    /// There may be tasks to start.
    pub(crate) wake: Notify,
    /// The next deadline may have changed.
    pub(crate) due: Notify,
    /// There may be files to delete.
    pub(crate) sweep: Notify,
    /// The program is ending: jobs stay where they are.
    pub(crate) ending: CancellationToken,
}

impl Shared {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            board: Mutex::new(board),
            followers: Followers::default(),
            wake: Notify::new(),
            due: Notify::new(),
            sweep: Notify::new(),
            ending: CancellationToken::new(),
        }
    }

    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.shared.board()
    }

    /// Takes a job through events, and does something else in the same transaction.
    pub(crate) async fn step(
        &self,
        job: JobId,
        durability: Durability,
        events: &'static [Event],
        reason: Option<Reason>,
        also: impl FnOnce(&mut Write<'_>) -> Result<(), Fail<jobs::Refused>> + Send + 'static,
    ) -> Result<JobStatus, jobs::Refused> {
        self.store
            .write(durability, move |write| {
                also(write)?;
                jobs::step(write, job, events, now(), reason.as_ref())
            })
            .await
    }

    pub(crate) fn spec(&self, job: JobId) -> Result<JobSpec, jobs::Refused> {
        self.store.read(|db| jobs::spec(db, job))?.ok_or(jobs::Refused::Gone)
    }

    /// Where a job's log is: in its folder, or kept after its end.
    pub(crate) fn log_file(&self, job: JobId) -> PathBuf {
        let running = self.home.job(job).join(crate::program::LOG);
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
