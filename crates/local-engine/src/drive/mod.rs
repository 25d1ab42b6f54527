//! One job, driven from wherever it is to its end: observe, decide, perform, and again.
//!
//! What comes next is decided by `cloister-lifecycle` from the database and from the job's work folder, never from what this
//! process remembers alone: an engine that was killed and one that was not do the same.

mod configure;
mod filter;
mod publish;
mod record;
mod run;

pub(crate) use record::{Unrecorded, read, record, record_waiting};

use crate::{
    active_jobs::Lease,
    backoff::pause_after,
    engine::core::{Core, blocking},
    store::{DbError, assets, jobs},
    work_folder,
};
use cloister_lifecycle::{
    Action, Asked, AssetNow, Facts, Permission, ResultList, RunFacts, StepAnswer, StoredReport, decide,
};
use cloister_model::{JobId, JobSpec, JobStatus, Phase, RunSummary, StepReport};
use rusqlite::Connection;
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

/// How driving a job goes on after an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Observe and decide again.
    Continue,
    /// The job has ended, or waits for a reviewer.
    Leave,
}

/// What this process knows of a job beyond what is stored. All of it can be lost.
#[derive(Debug, Default)]
struct Memory {
    /// The status as this process stored it last. While a job is driven, only a request to stop it changes what is decided
    /// from its status, and that interrupts the lease: until then, reading it again would tell nothing new.
    status: Option<JobStatus>,
    run_ended: bool,
    configured: Option<StepReport>,
    algorithm_is_wasm: bool,
    run: RunFacts,
    filtered: Option<StepReport>,
    published: Option<StepReport>,
    permission: Option<Permission>,
    /// Whether an attempt of this process found the result store away, and the pause after it is not over.
    awaits_store: bool,
    name_taken: bool,
    cleaned: bool,
}

/// A job, and what is needed to drive it.
#[derive(Debug)]
struct Drive<'a> {
    core: &'a Arc<Core>,
    spec: Arc<JobSpec>,
    lease: &'a Lease,
    memory: Memory,
}

/// Drives a job until it has ended or waits for a reviewer, and leaves nothing of it behind but what is kept.
pub(crate) async fn drive(core: Arc<Core>, job: JobId) {
    let Some(lease) = core.active_jobs().take(job) else { return };
    let ending = core.shared.ending.clone();
    tokio::select! {
        biased;
        // The job stays where it is, and the next engine of this folder continues with it.
        () = ending.cancelled() => return,
        () = to_its_end(&core, job, &lease) => {}
    }
    core.active_jobs().give_back(job);
    core.shared.wake.notify_one();
    core.shared.due.notify_one();
}

async fn to_its_end(core: &Arc<Core>, job: JobId, lease: &Lease) {
    let mut drive: Option<Drive<'_>> = None;
    let (mut failures, mut broken) = (0, 0);
    let mut last: Option<Unrecorded> = None;
    loop {
        let next = match &mut drive {
            Some(drive) => unbroken(drive.step()).await.unwrap_or(Err(Unrecorded::Broken)),
            None => core.store.read(|db| jobs::spec(db, job)).map_or_else(
                |error| Err(error.into()),
                |spec| {
                    let spec = Arc::new(spec.ok_or(Unrecorded::Gone)?);
                    drive = Some(Drive { core, spec, lease, memory: Memory::default() });
                    Ok(Next::Continue)
                },
            ),
        };
        let error = match next {
            Ok(Next::Continue) => {
                (failures, last) = (0, None);
                continue;
            }
            Ok(Next::Leave) => return,
            Err(Unrecorded::Gone) => {
                // It was removed, which only an ended job is.
                if let Err(error) = work_folder::clear(&core.home.job(job)).await {
                    tracing::warn!(%job, %error, "the folder of a job stays until the next start");
                }
                return;
            }
            Err(error) => error,
        };
        if matches!(error, Unrecorded::Db(DbError::Damaged(_))) {
            core.shared.damaged(job);
        }
        if error == Unrecorded::Broken {
            // What it remembers may be wrong, and can be lost. The steps before the one that broke may go well every time.
            if let Some(drive) = &mut drive {
                drive.memory = Memory::default();
            }
            (broken, failures) = (broken + 1, broken);
        }
        if is_race(&error, failures) {
            tracing::debug!(%job, %error, "the job changed meanwhile");
        } else if last.as_ref() == Some(&error) {
            // The log says once what goes on for hours.
            tracing::debug!(%job, %error, failures, "a job still cannot go on");
        } else {
            tracing::error!(%job, %error, "a job cannot go on; it is tried again");
        }
        let pause = tokio::time::sleep(pause(&error, failures));
        failures += 1;
        last = Some(error);
        // A request to stop is not kept waiting.
        if lease.is_interrupted() {
            pause.await;
        } else {
            let _ = lease.unless_interrupted(pause).await;
        }
    }
}

/// What comes of work; none if it panics. Its driver would be gone otherwise: the job would keep its place, and nothing would ever
/// end it, not even a request to stop.
async fn unbroken<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    })
    .await
}

/// Whether the job was ended by another task between the look and the write: the next look shows it.
fn is_race(error: &Unrecorded, failures: u32) -> bool {
    failures == 0 && matches!(error, Unrecorded::NotApplied(_))
}

/// How long to wait after a failure: longer and longer where waiting alone does not help.
fn pause(error: &Unrecorded, failures: u32) -> Duration {
    match error {
        error if is_race(error, failures) => Duration::ZERO,
        Unrecorded::Db(error) if error.is_passing() => pause_after(0),
        _ => pause_after(failures),
    }
}

impl Drive<'_> {
    fn job(&self) -> JobId {
        self.spec.id
    }

    /// Observes, decides and performs once.
    async fn step(&mut self) -> Result<Next, Unrecorded> {
        let action = self.decide().await?;
        self.perform(action).await
    }

    async fn decide(&mut self) -> Result<Action, Unrecorded> {
        let job = self.job();
        let status = match self.memory.status.take().filter(|_| !self.lease.is_interrupted()) {
            Some(status) => status,
            None => self.core.store.read(|db| jobs::status(db, job))?.ok_or(Unrecorded::Gone)?,
        };
        if status.phase == Phase::Running {
            let folder = self.core.home.job(job);
            self.memory.run.trace = blocking(move || Ok(cloister_runner::look(&folder))).await?.map_err(unusable)?;
        }
        let report = match status.phase {
            Phase::Filtering => self.core.store.read(|db| jobs::report(db, job))?.ok_or(Unrecorded::Gone)?,
            _ => None,
        };
        let checked = match status.phase {
            Phase::Publishing => {
                self.core.store.read(|db| jobs::outgoing(db, job))?.ok_or(Unrecorded::Gone)?.map(ResultList::Files)
            }
            _ => None,
        };
        let memory = &self.memory;
        let action = decide(&Facts {
            has_turn: true,
            overdue: self.lease.overdue(Instant::now()),
            run_ended: memory.run_ended,
            configured: memory.configured.as_ref().map(StepAnswer::from),
            algorithm_is_wasm: memory.algorithm_is_wasm,
            run: &memory.run,
            report: report.as_ref().map(StoredReport::Here),
            filtered: memory.filtered.as_ref().map(StepAnswer::from),
            checked: checked.as_ref(),
            published: memory.published.as_ref().map(StepAnswer::from),
            permission: memory.permission.as_ref(),
            awaits_store: memory.awaits_store,
            name_taken: memory.name_taken,
            cleaned: memory.cleaned,
            ..Facts::of(&self.spec, &status)
        });
        self.memory.status = Some(status);
        Ok(action)
    }

    /// Performs an action. Work that takes long ends early when the job is asked to stop or a time limit passes; the next
    /// decision takes note of that.
    async fn perform(&mut self, action: Action) -> Result<Next, Unrecorded> {
        let lease = self.lease;
        match action {
            Action::Record(transition) => self.record(*transition).await?,
            Action::AskToRun => {
                let asked = self.core.store.read(|db| permission(db, &self.spec, Asked::ToRun))?;
                self.memory.permission = Some(asked);
            }
            Action::AskToRelease => {
                let report = self.core.store.read(|db| jobs::report(db, self.job()))?.ok_or(Unrecorded::Gone)?;
                let summary = report.as_ref().map(RunSummary::of);
                let asked = Asked::ToRelease(summary.as_ref());
                self.memory.permission = Some(self.core.store.read(|db| permission(db, &self.spec, asked))?);
            }
            Action::Configure(order) => {
                if let Some(done) = lease.unless_interrupted(self.configure(&order)).await {
                    let (report, is_wasm) = done?;
                    (self.memory.configured, self.memory.algorithm_is_wasm) = (Some(report), is_wasm);
                }
            }
            Action::StartRun => {
                if let Some(run) = lease.unless_interrupted(self.start_run()).await {
                    self.memory.run = run?;
                }
            }
            Action::AwaitRun => {
                let folder = self.core.home.job(self.job());
                if let Some(ended) = lease.unless_interrupted(cloister_runner::wait_for_end(&folder)).await {
                    ended.map_err(unusable)?;
                }
            }
            Action::Filter(order) => {
                if let Some(report) = lease.unless_interrupted(self.filter(*order)).await {
                    self.memory.filtered = Some(report?);
                }
            }
            Action::Publish(order) => {
                if let Some(report) = lease.unless_interrupted(self.publish(&order)).await {
                    self.memory.published = Some(report);
                }
            }
            Action::AwaitStore => {
                if lease.unless_interrupted(self.pause()).await.is_some() {
                    // It may have been taken back meanwhile.
                    (self.memory.awaits_store, self.memory.permission) = (false, None);
                }
            }
            Action::EndRun => {
                if let Err(error) = work_folder::stop(&self.core.home.job(self.job())).await {
                    // The job ends all the same; its folder is cleared afterwards, and that tries again.
                    tracing::error!(job = %self.job(), %error, "a sandbox could not be ended");
                }
                self.memory.run_ended = true;
            }
            Action::Clean => {
                if let Err(error) = work_folder::clear(&self.core.home.job(self.job())).await {
                    tracing::warn!(job = %self.job(), %error, "the folder of a job stays until the next start");
                }
                self.memory.cleaned = true;
            }
            Action::Wait | Action::Nothing => return Ok(Next::Leave),
        }
        Ok(Next::Continue)
    }
}

/// Asks the registry whether a job may go on.
fn permission(db: &Connection, spec: &JobSpec, asked: Asked<'_>) -> Result<Permission, DbError> {
    Permission::ask(spec, asked, |did| assets::revision(db, did), |did| Ok(assets::get(db, did)?.map(AssetNow::from)))
}

/// A work folder that cannot be used. It is tried again.
fn unusable(error: cloister_runner::RunnerError) -> DbError {
    DbError::Disk(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes by itself is tried every second, and what needs an operator less and less often.
    #[test]
    fn a_damaged_row_is_not_read_every_second_for_ever() {
        let pauses = |error: &Unrecorded| [0, 1, 2, 9].map(|failures| pause(error, failures).as_secs());
        assert_eq!(pauses(&Unrecorded::Db(DbError::Full)), [1, 1, 1, 1]);
        assert_eq!(pauses(&Unrecorded::Db(DbError::Damaged("a row".to_owned()))), [1, 2, 4, 60]);
        assert_eq!(pauses(&Unrecorded::NameTaken), [1, 2, 4, 60]);
    }

    #[tokio::test]
    async fn a_step_that_panics_does_not_take_its_driver_along() {
        async fn step(breaks: bool) -> u32 {
            tokio::task::yield_now().await;
            if breaks {
                panic!("a step broke");
            }
            7
        }
        assert_eq!(unbroken(step(false)).await, Some(7));
        assert_eq!(unbroken(step(true)).await, None);
        assert_eq!(pause(&Unrecorded::Broken, 9).as_secs(), 60);
    }
}
