//! What the engine does on its own: start jobs, end those that waited too long, remove what is no longer needed.

use super::core::{Core, blocking};
use crate::{
    active_jobs::Task,
    clock::now,
    drive::{Unrecorded, drive, record_waiting},
    store::{DbError, Durability, Write, jobs},
    work_folder::clear,
};
use cloister_model::{JobId, Phase, PhaseChange, Timestamp};
use std::{
    collections::HashSet,
    fs, io,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often to look for files that are no longer needed, if no commit says that there are some.
const SWEEP: Duration = Duration::from_secs(60);
/// How often to check whether the queue still has to wait.
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
            let Err(Unrecorded::Db(error)) = record_waiting(&core, job, limit).await else { continue };
            if matches!(error, DbError::Damaged(_)) {
                core.shared.damaged(job);
            }
            if core.active_jobs().put_off(job, Instant::now()) {
                tracing::error!(%job, %error, "a job could not be ended; it is tried again, less and less often");
            }
        }
    }
}

/// Removes jobs that were kept for their time, and the files of removed jobs.
async fn sweep(core: Arc<Core>) {
    if let Err(error) = tidy(&core).await {
        tracing::warn!(%error, "files that are no longer needed could not be removed; the next start tries again");
    }
    let mut stuck = Stuck::default();
    loop {
        let begun = now();
        if let Err(error) = sweep_once(&core, &mut stuck, begun).await {
            tracing::warn!(%error, "jobs could not be removed; it is tried again");
        }
        // What was due and could not be removed waits for the next sweep.
        let next = core.store.read(|db| jobs::next_expiry(db, begun)).ok().flatten();
        let left = next.map(|at| at.unix_ms().saturating_sub(now().unix_ms()));
        let left = left.map_or(SWEEP, |ms| Duration::from_millis(ms.max(100)).min(SWEEP));
        let _ = tokio::time::timeout(left, core.shared.sweep.notified()).await;
    }
}

/// Jobs that cannot be removed. Each is tried again with every sweep, and logged once.
#[derive(Debug, Default)]
struct Stuck(HashSet<JobId>);

impl Stuck {
    /// Takes note of what came of a job. An error ends the sweep only if it would be the same for every job.
    fn note(&mut self, job: JobId, done: Result<(), DbError>) -> Result<(), DbError> {
        match done {
            Ok(()) => drop(self.0.remove(&job)),
            Err(error @ (DbError::Full | DbError::Locked | DbError::Ending)) => return Err(error),
            Err(error) if self.0.insert(job) => {
                tracing::warn!(%job, %error, "a job or its files cannot be removed; it is tried again with every sweep");
            }
            Err(error) => tracing::debug!(%job, %error, "a job or its files still cannot be removed"),
        }
        Ok(())
    }
}

/// One that cannot be removed does not hold up the others.
async fn sweep_once(core: &Arc<Core>, stuck: &mut Stuck, at: Timestamp) -> Result<(), DbError> {
    let mut after = None;
    loop {
        let unneeded = core.store.read(|db| jobs::unneeded(db, after.as_ref(), MOST_AT_ONCE))?;
        let Some(last) = unneeded.last() else { break };
        after = Some(last.clone());
        for (job, did) in unneeded {
            let unkeep = move |write: &mut Write<'_>| Ok(jobs::unkeep_unneeded(write, job, &did, now())?);
            stuck.note(job, core.store.write::<_, DbError, _>(Durability::Process, unkeep).await)?;
        }
    }
    let mut after = None;
    loop {
        let expired = core.store.read(|db| jobs::expired(db, at, after, MOST_AT_ONCE))?;
        let Some(last) = expired.last() else { break };
        after = Some(*last);
        for (_, job) in expired {
            let remove = move |write: &mut Write<'_>| Ok(jobs::remove(write, job).map(drop)?);
            stuck.note(job, core.store.write::<_, DbError, _>(Durability::Process, remove).await)?;
        }
    }
    let mut after = None;
    loop {
        let gone = core.store.read(|db| jobs::gone(db, after, MOST_AT_ONCE))?;
        let Some(last) = gone.last() else { break };
        after = Some(*last);
        for job in gone {
            stuck.note(job, remove_gone(core, job).await)?;
        }
    }
    Ok(())
}

/// Deletes what a removed job leaves, and forgets it.
async fn remove_gone(core: &Core, job: JobId) -> Result<(), DbError> {
    remove_files(core, job).await?;
    core.store.write::<_, DbError, _>(Durability::Process, move |write| Ok(jobs::forget_gone(write, job)?)).await
}

/// Removes the files of a removed job, except for results that an asset needs.
async fn remove_files(core: &Core, job: JobId) -> Result<(), DbError> {
    let log = core.home.log(job);
    blocking(move || remove_file(&log)).await?;
    if !core.store.read(|db| jobs::is_kept(db, job))? {
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
        let status = match core.store.read(|db| jobs::status(db, job)) {
            // What belongs to it may be needed when it is restored.
            Err(DbError::Damaged(_)) => continue,
            status => status?,
        };
        let kept = core.store.read(|db| jobs::is_kept(db, job))?;
        let needed = status.is_some_and(|status| !status.phase.has_ended() || status.phase == Phase::Finished);
        if !kept && !needed {
            // One that cannot be removed does not hold up the others.
            if let Err(error) = core.results.remove(job).await {
                tracing::warn!(%job, %error, "results that are no longer needed cannot be removed; the next start tries again");
            }
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
