use super::{Next, Work, end};
use crate::{
    engine::{
        clear,
        core::{Core, blocking},
    },
    home::directory,
    program::DATA,
    store::{DbError, Durability, jobs, jobs::Refused},
};
use cloister_model::{Event, Fault, JobId, Phase, Progress, Reason};
use cloister_stages::{ConfigurationError, Watch};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The least time between two words about how far a job's inputs are.
const PROGRESS: Duration = Duration::from_millis(500);

/// Configuration from the start, then on to the run: it is stored for good before anything runs.
pub(super) async fn configure(work: &Work, phase: Phase) -> Result<Next, Refused> {
    let Work { core, spec, lease: _ } = work;
    if let Err((events, reason)) = lay_out(work).await? {
        let events = if phase == Phase::Configured { &[Event::Failed] } else { events };
        end::fail(core, spec, events, reason, |_| Ok(())).await?;
        return Ok(Next::Done);
    }
    let events: &[Event] = if phase == Phase::Configured { &[Event::Run] } else { &[Event::Provisioned, Event::Run] };
    core.step(spec.id, Durability::Disk, events, None, |_| Ok(())).await?;
    Ok(Next::Look)
}

/// Lays the inputs out in an empty folder; or says how the job ends.
pub(super) async fn lay_out(work: &Work) -> Result<Result<(), (&'static [Event], Reason)>, Refused> {
    let Work { core, spec, lease } = work;
    let folder = core.home.job(spec.id);
    clear(&folder).await.map_err(|error| DbError::Other(format!("the job's folder: {error}")))?;
    let made = folder.clone();
    blocking(move || directory(&made)).await?;
    let watch = Watch { cancel: lease.cancel.child_token(), progress: reporter(core, spec.id) };
    let configured = core.fetcher.configure(spec, &folder.join(DATA), &watch).await;
    Ok(match configured {
        Ok(_) => Ok(()),
        Err(ConfigurationError::Data { did, reason, fault }) => {
            let text = format!("dataset {did} could not be provided: {reason}");
            Err((&[Event::DataUnavailable], Reason::new(&text, fault)))
        }
        Err(ConfigurationError::Algorithm { reason, fault }) => {
            let text = format!("the algorithm could not be provided: {reason}");
            Err((&[Event::AlgorithmUnavailable], Reason::new(&text, fault)))
        }
        Err(ConfigurationError::Cancelled) if lease.cancel.is_cancelled() => return Err(Refused::Stopping),
        Err(error @ (ConfigurationError::Cancelled | ConfigurationError::System(_))) => {
            let text = format!("the inputs could not be laid out: {error}");
            Err((&[Event::DataUnavailable], Reason::new(&text, Fault::System)))
        }
    })
}

/// Writes down now and then how far the fetching is, and only one word at a time.
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
