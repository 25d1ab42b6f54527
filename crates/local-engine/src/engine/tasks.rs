//! What the engine does on its own: start jobs, end those that waited too long, remove what is no longer needed.

use super::core::{Core, blocking};
use crate::{
    active_jobs::Task,
    clock::now,
    drive::{Unrecorded, drive, record_waiting},
    store::{DbError, Durability, jobs},
    work_folder::clear,
};
use cloister_model::{JobId, Phase, PhaseChange};
use std::{
    fs, io,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often to look for files that are no longer needed, if no commit says that there are some.
const SWEEP: Duration = Duration::from_secs(60);
/// How often to look whether the queue still has to wait.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Jobs that are removed at once.
const MOST_AT_ONCE: u32 = 100;

pub(super) fn start(core: &Arc<Core>) {
    let spawn = |task| {
        let ending = core.shared.ending.clone();
        core.tasks.spawn(ending.run_until_cancelled_owned(task));
    };
    spawn(boxed(start_jobs(Arc::clone(core))));
    spawn(boxed(end_overdue(Arc::clone(core))));
    spawn(boxed(sweep(Arc::clone(core))));
    spawn(boxed(log_steps(Arc::clone(core))));
}

fn boxed(task: impl Future<Output = ()> + Send + 'static) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(task)
}

/// Logs every step of every job: no text of guests, and no names but ours.
async fn log_steps(core: Arc<Core>) {
    let Some(mut steps) = core.shared.steps() else { return };
    while let Some((job, step)) = steps.recv().await {
        let PhaseChange { before, after, ms, since_submission_ms, fault } = step;
        let (before, phase) = (before.map_or("", Phase::as_str), after.as_str());
        match fault {
            None => tracing::info!(%job, phase, before, ms, "the job has come to another phase"),
            Some(fault) => {
                let fault = fault.as_str();
                tracing::info!(%job, phase, before, ms, total_ms = since_submission_ms, fault, "the job has ended");
            }
        }
    }
}

/// Starts the tasks of jobs as they come up.
async fn start_jobs(core: Arc<Core>) {
    loop {
        let looking = Arc::clone(&core);
        let holds = blocking(move || Ok(looking.hold().is_some())).await.unwrap_or(false);
        let tasks = core.active_jobs().tasks(holds);
        for task in tasks {
            let core_of_job = Arc::clone(&core);
            match task {
                Task::Drive(job) => core.tasks.spawn(drive(core_of_job, job)),
                Task::Clean(job) => core.tasks.spawn(async move {
                    if let Err(error) = clear(&core_of_job.home.job(job)).await {
                        tracing::warn!(%job, %error, "the folder of a job could not be removed; the next start tries again");
                    }
                }),
            };
        }
        match holds {
            false => core.shared.wake.notified().await,
            true => drop(tokio::time::timeout(LOOK_AGAIN, core.shared.wake.notified()).await),
        }
    }
}

/// Ends jobs that waited too long for their turn or their review.
async fn end_overdue(core: Arc<Core>) {
    loop {
        let next = core.active_jobs().next_due();
        let next = tokio::time::Instant::from_std(next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600)));
        tokio::select! {
            () = core.shared.due.notified() => continue,
            () = tokio::time::sleep_until(next) => {}
        }
        let overdue = core.active_jobs().overdue(Instant::now());
        for (job, limit) in overdue {
            if let Err(Unrecorded::Db(error)) = record_waiting(&core, job, limit).await {
                tracing::error!(%job, %error, "a job could not be ended; it is tried again");
                core.active_jobs().put_off(job, Instant::now());
            }
        }
    }
}

/// Removes jobs that were kept for their time, and the files of removed jobs.
async fn sweep(core: Arc<Core>) {
    if let Err(error) = tidy(&core).await {
        tracing::warn!(%error, "files that are no longer needed could not be removed; the next start tries again");
    }
    loop {
        if let Err(error) = sweep_once(&core).await {
            tracing::warn!(%error, "jobs could not be removed; it is tried again");
        }
        let wall = now().unix_ms();
        let left = core.store.read(jobs::next_expiry).ok().flatten().map(|at| at.unix_ms().saturating_sub(wall));
        let left = left.map_or(SWEEP, |ms| Duration::from_millis(ms.max(100)).min(SWEEP));
        let _ = tokio::time::timeout(left, core.shared.sweep.notified()).await;
    }
}

async fn sweep_once(core: &Arc<Core>) -> Result<(), DbError> {
    let unneeded = core.store.read(jobs::unneeded)?;
    for job in unneeded {
        let unkeep = move |write: &mut crate::store::Write<'_>| Ok(jobs::unkeep(write, job, now())?);
        core.store.write::<_, DbError, _>(Durability::Process, unkeep).await?;
    }
    loop {
        let expired = core.store.read(|db| jobs::expired(db, now(), MOST_AT_ONCE))?;
        let more = !expired.is_empty();
        for job in expired {
            core.store.write::<_, DbError, _>(Durability::Process, move |write| Ok(jobs::remove(write, job)?)).await?;
        }
        if !more {
            break;
        }
    }
    for job in core.store.read(jobs::gone)? {
        if let Err(error) = remove_files(core, job).await {
            // One that cannot be removed does not hold up the others.
            tracing::warn!(%job, %error, "the files of a job could not be removed; it is tried again");
            continue;
        }
        core.store.write::<_, DbError, _>(Durability::Process, move |write| Ok(jobs::forget_gone(write, job)?)).await?;
    }
    Ok(())
}

/// Removes the files of a removed job, except for results that an asset needs.
async fn remove_files(core: &Core, job: JobId) -> Result<(), DbError> {
    let log = core.home.log(job);
    blocking(move || remove_file(&log)).await?;
    if core.store.read(|db| jobs::kept_job(db, job))?.is_none() {
        core.results.remove(job).await.map_err(|error| DbError::Other(error.to_string()))?;
    }
    Ok(())
}

fn remove_file(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes, once, what a killed process left behind.
async fn tidy(core: &Arc<Core>) -> Result<(), DbError> {
    let stored = core.results.jobs().await.map_err(|error| DbError::Other(error.to_string()))?;
    for job in stored {
        let status = core.store.read(|db| jobs::status(db, job))?;
        let kept = core.store.read(|db| jobs::kept_job(db, job))?.is_some();
        let needed = status.is_some_and(|status| !status.phase.has_ended() || status.phase == Phase::Finished);
        if !kept && !needed {
            core.results.remove(job).await.map_err(|error| DbError::Other(error.to_string()))?;
        }
    }
    let logs = core.home.logs();
    let core = Arc::clone(core);
    blocking(move || {
        for entry in fs::read_dir(&logs)? {
            let entry = entry?;
            let job = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let known = job.map(|job| core.store.read(|db| jobs::status(db, job)));
            if !matches!(known, Some(Ok(Some(_)) | Err(_))) {
                remove_file(&entry.path())?;
            }
        }
        Ok(())
    })
    .await
}
