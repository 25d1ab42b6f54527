//! One job, carried out from wherever it is to its end.
//!
//! What to do next is read from the database and from what lies in the job's folder, never remembered: an engine that was
//! killed and one that was not do the same.

mod configure;
mod end;
mod execute;
mod filter;
mod publish;

pub(crate) use end::end_waiting;
pub(crate) use filter::{CHECKS, refusal};

use crate::{
    board::Lease,
    engine::core::Core,
    store::{DbError, Durability, jobs, jobs::Refused},
};
use cloister_model::{Event, Fault, JobId, JobSpec, Phase, Reason};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long to wait before trying again what the database or the disk refused, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// How long to wait after so many failures in a row. What is damaged stays so until an operator has acted.
fn pause(error: &DbError, failures: u32) -> Duration {
    let [least, most] = PAUSES;
    if error.is_passing() { least.saturating_mul(1 << failures.min(6)).min(most) } else { most }
}

/// Why nothing more is done for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cut {
    /// It ended, or waits for a reviewer.
    Done,
    /// Somebody wants it to stop.
    Stop,
    /// A time limit is over: which.
    Late(&'static str),
}

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The job is somewhere else now: look again.
    Look,
    /// Nothing is to be done any more.
    Done,
}

/// A job in hand.
#[derive(Debug)]
struct Work {
    core: Arc<Core>,
    spec: JobSpec,
    lease: Lease,
}

impl Work {
    fn job(&self) -> JobId {
        self.spec.id
    }
}

/// Carries a job out until it has ended or waits for a reviewer, and leaves nothing of it behind but what is kept.
pub(crate) async fn carry(core: Arc<Core>, job: JobId) {
    let Some(lease) = core.board().take(job) else { return };
    let ending = core.shared.ending.clone();
    let cut = tokio::select! {
        biased;
        // As it is: the next program goes on.
        () = ending.cancelled() => return,
        () = lease.cancel.cancelled() => Cut::Stop,
        what = until(lease.deadline) => Cut::Late(what),
        cut = advance(&core, job, &lease) => cut,
    };
    let finish = async {
        match cut {
            Cut::Done => {}
            Cut::Stop => {
                end::cut_short(&core, job, &[Event::Stop], Reason::new("stopped", Fault::Nobody)).await;
            }
            Cut::Late(what) => {
                let reason = Reason::new(&format!("expired: {what}"), Fault::System);
                end::cut_short(&core, job, &[Event::Expire], reason).await;
            }
        }
        end::clean(&core, job).await;
    };
    tokio::select! {
        biased;
        () = ending.cancelled() => return,
        () = finish => {}
    }
    core.board().give_back(job);
    core.shared.wake.notify_one();
    core.shared.due.notify_one();
}

async fn until(deadline: Option<(Instant, &'static str)>) -> &'static str {
    match deadline {
        None => std::future::pending().await,
        Some((at, what)) => {
            tokio::time::sleep_until(tokio::time::Instant::from_std(at)).await;
            what
        }
    }
}

/// Takes a job from step to step.
async fn advance(core: &Arc<Core>, job: JobId, lease: &Lease) -> Cut {
    let mut work = None;
    // Whether the inputs in its folder were laid out by this program and in this life.
    let mut configured = false;
    let mut failures = 0;
    loop {
        let next = match &work {
            Some(work) => take_step(work, &mut configured).await,
            None => core.spec(job).map(|spec| {
                work = Some(Work { core: Arc::clone(core), spec, lease: lease.clone() });
                Next::Look
            }),
        };
        match next {
            Ok(Next::Look) => failures = 0,
            Ok(Next::Done) | Err(Refused::Gone) => return Cut::Done,
            Err(Refused::Stopping) => return Cut::Stop,
            Err(Refused::Impossible(error)) => {
                // It was ended by somebody else, who has the better news.
                tracing::debug!(%job, %error, "a step came too late");
                return Cut::Done;
            }
            Err(Refused::Db(error)) => {
                tracing::error!(%job, %error, "a job cannot go on; it is tried again");
                tokio::time::sleep(pause(&error, failures)).await;
                failures += 1;
            }
        }
    }
}

async fn take_step(work: &Work, configured: &mut bool) -> Result<Next, Refused> {
    let Work { core, spec, lease: _ } = work;
    let status = core.store.read(|db| jobs::status(db, spec.id))?.ok_or(Refused::Gone)?;
    if status.stop_requested.is_some() && !status.phase.has_ended() {
        return Err(Refused::Stopping);
    }
    let events: &[Event] = match status.phase {
        Phase::Queued => &[Event::Accept, Event::Configure],
        Phase::Accepted => &[Event::Configure],
        Phase::Configuring | Phase::Configured => {
            let step = configure::configure(work, status.phase).await?;
            *configured = step == Next::Look;
            return Ok(step);
        }
        Phase::Running => return execute::execute(work, std::mem::take(configured)).await,
        Phase::Filtering => return filter::filter(work).await,
        Phase::Publishing => return publish::publish(work).await,
        _ => return Ok(Next::Done),
    };
    core.step(spec.id, Durability::Process, events, None, |_| Ok(())).await?;
    Ok(Next::Look)
}
