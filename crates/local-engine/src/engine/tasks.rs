//! What the engine does by itself: start jobs, end those that waited too long, remove what nobody needs.

use super::{
    core::{Core, blocking},
    recover::clear,
};
use crate::{
    board::Task,
    carry::{carry, end_waiting},
    store::{Db, Durability, jobs},
    times::now,
};
use cloister_model::{Event, Fault, JobId, Phase, Reason};
use std::{
    fs, io,
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest that files that nobody needs stay, if nothing says that there are any.
const SWEEP: Duration = Duration::from_secs(60);
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
}

fn boxed(task: impl Future<Output = ()> + Send + 'static) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(task)
}

/// Gives out what there is to do.
async fn start_jobs(core: Arc<Core>) {
    loop {
        let tasks = core.board().tasks();
        for task in tasks {
            let core_of_job = Arc::clone(&core);
            match task {
                Task::Carry(job) => core.tasks.spawn(carry(core_of_job, job)),
                Task::Clean(job) => core.tasks.spawn(async move {
                    if let Err(error) = clear(&core_of_job.home.job(job)).await {
                        tracing::warn!(%job, %error, "the folder of a job could not be removed; the next start tries again");
                    }
                }),
            };
        }
        core.shared.wake.notified().await;
    }
}

/// Ends jobs that waited too long for their turn or their review.
async fn end_overdue(core: Arc<Core>) {
    loop {
        let next = core.board().next_due();
        let next = tokio::time::Instant::from_std(next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600)));
        tokio::select! {
            () = core.shared.due.notified() => continue,
            () = tokio::time::sleep_until(next) => {}
        }
        let overdue = core.board().overdue(Instant::now());
        for (job, what) in overdue {
            let reason = Reason::new(&format!("expired: {what}"), Fault::System);
            if let Err(jobs::Refused::Db(error)) = end_waiting(&core, job, &[Event::Expire], reason).await {
                tracing::error!(%job, %error, "a job could not be ended; it is tried again");
                core.board().put_off(job, Instant::now());
            }
        }
    }
}

/// Removes jobs whose time to be kept is over, and files of jobs that are gone.
async fn sweep(core: Arc<Core>) {
    if let Err(error) = tidy(&core).await {
        tracing::warn!(%error, "files that nobody needs could not be removed; the next start tries again");
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

async fn sweep_once(core: &Arc<Core>) -> Result<(), Db> {
    let unneeded = core.store.read(jobs::unneeded)?;
    for job in unneeded {
        let unkeep = move |write: &mut crate::store::Write<'_>| Ok(jobs::unkeep(write, job, now())?);
        core.store.write::<_, Db, _>(Durability::Process, unkeep).await?;
    }
    loop {
        let expired = core.store.read(|db| jobs::expired(db, now(), MOST_AT_ONCE))?;
        let more = !expired.is_empty();
        for job in expired {
            core.store.write::<_, Db, _>(Durability::Process, move |write| Ok(jobs::remove(write, job)?)).await?;
        }
        if !more {
            break;
        }
    }
    for job in core.store.read(jobs::gone)? {
        remove_files(core, job).await?;
        core.store.write::<_, Db, _>(Durability::Process, move |write| Ok(jobs::forget_gone(write, job)?)).await?;
    }
    Ok(())
}

/// Removes what a job that is gone has left, but results that an asset needs.
async fn remove_files(core: &Core, job: JobId) -> Result<(), Db> {
    let log = core.home.log(job);
    blocking(move || remove_file(&log)).await?;
    if core.store.read(|db| jobs::kept_job(db, job))?.is_none() {
        core.results.remove(job).await.map_err(|error| Db::Other(error.to_string()))?;
    }
    Ok(())
}

fn remove_file(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Once: what a program that was killed has left behind.
async fn tidy(core: &Arc<Core>) -> Result<(), Db> {
    let stored = core.results.jobs().await.map_err(|error| Db::Other(error.to_string()))?;
    for job in stored {
        let status = core.store.read(|db| jobs::status(db, job))?;
        let kept = core.store.read(|db| jobs::kept_job(db, job))?.is_some();
        let needed = status.is_some_and(|status| !status.phase.has_ended() || status.phase == Phase::Finished);
        if !kept && !needed {
            core.results.remove(job).await.map_err(|error| Db::Other(error.to_string()))?;
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
