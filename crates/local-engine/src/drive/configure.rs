use super::{Drive, Unrecorded};
use crate::{
    engine::core::{Core, blocking},
    home::directory,
    store::{DbError, Durability, jobs},
    work_folder,
};
use cloister_lifecycle::{ConfigureFailure, Configured};
use cloister_model::{JobId, Progress};
use cloister_runner::DATA;
use cloister_stages::{ConfigurationError, Watch};
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
    /// Lays the inputs out in an empty work folder.
    pub(super) async fn configure(&self) -> Result<Result<Configured, ConfigureFailure>, Unrecorded> {
        let folder = self.core.home.job(self.job());
        work_folder::clear(&folder).await?;
        let made = folder.clone();
        blocking(move || directory(&made)).await?;
        // If this future is dropped, the thread that lays out the inputs must end, too.
        let cancel = self.lease.cancel.child_token();
        let _ended = cancel.clone().drop_guard();
        let watch = Watch { cancel, progress: reporter(self.core, self.job()) };
        let data = folder.join(DATA);
        Ok(match self.core.fetcher.configure(&self.spec, &data, &watch).await {
            Ok(_) => Ok(Configured { algorithm_is_wasm: blocking(move || is_wasm(&data)).await? }),
            Err(ConfigurationError::Data { did, reason, fault }) => {
                Err(ConfigureFailure::Dataset { did, reason, fault })
            }
            Err(ConfigurationError::Algorithm { reason, fault }) => Err(ConfigureFailure::Algorithm { reason, fault }),
            Err(error @ (ConfigurationError::Cancelled | ConfigurationError::System(_))) => {
                Err(ConfigureFailure::System(error.to_string()))
            }
        })
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
