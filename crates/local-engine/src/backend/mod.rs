//! The ports, as this engine implements them: one file for each.

mod audit;
mod claims;
mod inspections;
mod jobs;
mod keyring;
mod outputs;
mod registry;
mod uploads;

use crate::{
    LocalEngine,
    engine::core::{Core, blocking},
    store::{DbError, Durability, jobs as rows},
};
use cloister_model::{Backend, EngineError, EngineFigures, EngineFuture, JobId, JobStatus, Unavailability};
use std::{
    fs, io,
    sync::{Arc, PoisonError},
    time::Duration,
};

/// The most entries of one list.
const MOST: u32 = 1000;

/// How long the database may take to answer before the engine counts as not ready.
const PATIENCE: Duration = Duration::from_secs(5);

impl Backend for LocalEngine {
    /// Whether a job could run, the disk takes a file, and the thread that writes the database takes a transaction. Changes no row.
    fn ready(&self) -> EngineFuture<'_, ()> {
        Box::pin(async {
            self.core.refuse_if_ending()?;
            let core = Arc::clone(&self.core);
            if let Some(why) = blocking(move || Ok(core.hold())).await? {
                return Err(EngineError::unavailable(Unavailability::Held, why.to_string()));
            }
            let probe = self.core.home.jobs().join(".ready");
            blocking(move || {
                let written = fs::write(&probe, [0; 4096]);
                written.and(fs::remove_file(&probe).or_else(|error| match error.kind() {
                    // A call at the same time removed it.
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                }))
            })
            .await?;
            let nothing = self.core.store.write::<(), EngineError, _>(Durability::Process, |_| Ok(()));
            let slow = || DbError::Other(format!("it did not answer within {} seconds", PATIENCE.as_secs()));
            tokio::time::timeout(PATIENCE, nothing).await.map_err(|_| slow())?
        })
    }

    fn figures(&self) -> EngineFuture<'_, EngineFigures> {
        Box::pin(async {
            let counted = self.core.shared.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let core = Arc::clone(&self.core);
            let now = move || {
                Ok(EngineFigures {
                    free_bytes: crate::home::free_bytes(core.home.root()).ok(),
                    cache_bytes: Some(core.cache.bytes()),
                    cache_limit_bytes: Some(core.cache.limit_bytes()),
                    damaged_jobs: Some(core.shared.damaged_jobs()),
                    ..counted
                })
            };
            Ok(blocking(now).await?)
        })
    }
}

impl Core {
    fn status(&self, job: JobId) -> Result<JobStatus, EngineError> {
        self.store.read(|db| rows::status(db, job))?.ok_or(EngineError::NoSuchJob(job))
    }

    fn refuse_if_ending(&self) -> Result<(), DbError> {
        if self.shared.ending.is_cancelled() { Err(DbError::Ending) } else { Ok(()) }
    }
}
