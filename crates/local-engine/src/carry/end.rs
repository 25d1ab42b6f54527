use super::pause;
use crate::{
    engine::{
        clear,
        core::{Core, blocking},
    },
    program::{self, LOG},
    store::{Durability, jobs, jobs::Refused},
};
use cloister_model::{Event, JobId, JobSpec, JobStatus, Phase, Reason};
use std::{fs, io};

/// Ends a job that nobody carries out at present.
pub(crate) async fn end_waiting(
    core: &Core,
    job: JobId,
    events: &'static [Event],
    reason: Reason,
) -> Result<JobStatus, Refused> {
    core.step(job, Durability::Disk, events, Some(reason), |_| Ok(())).await
}

/// Ends a job wherever it is: its run first, then its life. Tries until that is stored.
pub(super) async fn cut_short(core: &Core, job: JobId, events: &'static [Event], reason: Reason) {
    let folder = core.home.job(job);
    let mut failures = 0;
    loop {
        if let Err(error) = program::stop(&folder).await {
            tracing::error!(%job, %error, "a sandbox could not be ended");
        }
        let spec = core.spec(job);
        let kept = match &spec {
            Ok(spec) => keep_log(core, spec).await,
            Err(error) => Err(error.clone()),
        };
        let done = match kept {
            Ok(()) => core.step(job, Durability::Disk, events, Some(reason.clone()), |_| Ok(())).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(status) => {
                if status.history.iter().any(|step| step.phase == Phase::Publishing)
                    && let Err(error) = core.results.remove(job).await
                {
                    tracing::warn!(%job, %error, "a part of its results stays until the next start");
                }
                return;
            }
            // It wants to be stopped, and that counts more than a time limit.
            Err(Refused::Stopping) if events != [Event::Stop] => {
                let reason = Reason::new("stopped", cloister_model::Fault::Nobody);
                return Box::pin(cut_short(core, job, &[Event::Stop], reason)).await;
            }
            Err(Refused::Db(error)) => {
                tracing::error!(%job, %error, "a job could not be ended; it is tried again");
                tokio::time::sleep(pause(&error, failures)).await;
                failures += 1;
            }
            Err(Refused::Gone | Refused::Impossible(_) | Refused::Stopping) => return,
        }
    }
}

/// Ends a job badly, with its log where that may be read.
pub(super) async fn fail(
    core: &Core,
    spec: &JobSpec,
    events: &'static [Event],
    reason: Reason,
    also: impl FnOnce(&mut crate::store::Write<'_>) -> Result<(), crate::store::Fail<Refused>> + Send + 'static,
) -> Result<JobStatus, Refused> {
    keep_log(core, spec).await?;
    core.step(spec.id, Durability::Disk, events, Some(reason), also).await
}

/// Moves the log out of the job's folder, unless it may leave only with outputs that somebody has looked at.
async fn keep_log(core: &Core, spec: &JobSpec) -> Result<(), Refused> {
    if spec.terms.release.holds_log() { Ok(()) } else { move_log(core, spec).await }
}

/// Moves the log out of the job's folder.
pub(super) async fn move_log(core: &Core, spec: &JobSpec) -> Result<(), Refused> {
    let (from, to) = (core.home.job(spec.id).join(LOG), core.home.log(spec.id));
    Ok(blocking(move || match fs::rename(from, to) {
        // There was none, or it was moved before.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
    .await?)
}

/// Removes the folder of a job that has ended.
pub(super) async fn clean(core: &Core, job: JobId) {
    match core.store.read(|db| jobs::status(db, job)) {
        Ok(Some(status)) if !status.phase.has_ended() => return,
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%job, %error, "the folder of a job stays until the next start");
            return;
        }
    }
    if let Err(error) = clear(&core.home.job(job)).await {
        tracing::warn!(%job, %error, "the folder of a job stays until the next start");
    }
}
