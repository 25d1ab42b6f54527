use super::{Drive, Unrecorded};
use crate::{
    engine::core::{Core, blocking},
    home::directory,
    store::{DbError, Durability, jobs},
    work_folder,
};
use cloister_files::Watch;
use cloister_model::{ConfigureOrder, JobId, Progress, StepName, StepReport, StepResult};
use cloister_runner::DATA;
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The least time between two reports of how far the fetching is.
const PROGRESS: Duration = Duration::from_millis(500);

impl Drive<'_> {
    /// Lays the inputs out in an empty work folder. Returns the step's report, and whether the algorithm's file starts as a
    /// WebAssembly module does.
    pub(super) async fn configure(&self, order: &ConfigureOrder) -> Result<(StepReport, bool), Unrecorded> {
        let folder = self.core.home.job(order.job);
        work_folder::clear(&folder).await?;
        // Here, and on no other thread: if this future was dropped, a thread that is late would make the folder once more that the end
        // of the job has removed.
        directory(&folder).map_err(|error| DbError::Disk(error.to_string()))?;
        // If this future is dropped, the thread that lays out the inputs must end, too.
        let cancel = self.lease.cancel.child_token();
        let _ended = cancel.clone().drop_guard();
        let watch = Watch { cancel, progress: reporter(self.core, order.job) };
        let data = folder.join(DATA);
        let configured = self.core.fetcher.configure(order, &data, &watch).await;
        let is_wasm = configured.is_ok() && blocking(move || is_wasm(&data)).await?;
        let result = configured.map_or_else(StepResult::from, StepResult::from);
        Ok((StepReport::new(order.job, StepName::Configure, result), is_wasm))
    }
}

/// Whether the algorithm's file starts as a WebAssembly module does.
fn is_wasm(data: &Path) -> io::Result<bool> {
    let path: PathBuf = data.join("transformations").join("algorithm");
    let mut magic = [0; 4];
    Ok(File::open(path)?.read_exact(&mut magic).is_ok() && magic == *b"\0asm")
}

/// Stores now and then how far the fetching is, one report at a time.
fn reporter(core: &Arc<Core>, job: JobId) -> Arc<dyn Fn(Progress) + Send + Sync> {
    let (core, last, busy) = (Arc::downgrade(core), Mutex::new(None::<Instant>), Arc::new(AtomicBool::new(false)));
    Arc::new(move |progress| {
        let Some(core) = core.upgrade() else { return };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < PROGRESS) || busy.swap(true, Ordering::AcqRel) {
            return;
        }
        *last = Some(Instant::now());
        let (busy, tasks) = (Arc::clone(&busy), core.tasks.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            busy.store(false, Ordering::Release);
            return;
        };
        tasks.spawn_on(
            async move {
                let written: Result<(), DbError> =
                    core.store.write(Durability::Process, move |write| Ok(jobs::progress(write, job, progress)?)).await;
                if let Err(error) = written {
                    tracing::debug!(%job, %error, "progress could not be stored");
                }
                busy.store(false, Ordering::Release);
            },
            &runtime,
        );
    })
}
