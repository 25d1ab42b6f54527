use super::{Next, Work, configure::lay_out, end};
use crate::{
    engine::core::blocking,
    program::{DATA, Order, Trace, event_of, has_ended, look, said, without_report},
    store::{DbError, Durability, jobs, jobs::Refused},
};
use cloister_model::{Event, Fault, JobSpec, Reason, Report};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// How often it is looked whether a run has ended that another program started.
const LOOK: Duration = Duration::from_millis(20);

/// What to do for a job whose algorithm runs, or is about to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resume {
    /// Nothing was run: start it.
    Start,
    /// It runs, or is about to: wait for its end.
    Adopt,
    /// It has ended, and this is what became of it.
    Take(Box<Report>),
    /// It began, and what became of it is lost. It is not begun again.
    Lost,
}

/// Decides from what the run has left alone.
pub(super) fn resume(trace: Trace) -> Resume {
    match trace {
        Trace { locked: true, .. } => Resume::Adopt,
        Trace { claimed: false, .. } => Resume::Start,
        Trace { report: Some(report), .. } => Resume::Take(report),
        Trace { report: None, .. } => Resume::Lost,
    }
}

/// Runs the algorithm, or waits for its end if it runs, or takes note of its end: once.
pub(super) async fn execute(work: &Work, configured: bool) -> Result<Next, Refused> {
    let Work { core, spec, lease: _ } = work;
    let folder = core.home.job(spec.id);
    match resume(looked(&folder).await?) {
        Resume::Adopt => {
            wait_for_end(&folder).await?;
            Ok(Next::Look)
        }
        Resume::Take(report) => ended(work, *report).await,
        Resume::Lost => lost(work, &folder, None).await,
        Resume::Start => {
            // What another life of this program laid out may not have reached the disk.
            if !configured && let Err((_, reason)) = lay_out(work).await? {
                end::fail(core, spec, &[Event::Failed], reason, |_| Ok(())).await?;
                return Ok(Next::Done);
            }
            if let Some(reason) = unfit(spec, &folder).await? {
                end::fail(core, spec, &[Event::Failed], reason, |_| Ok(())).await?;
                return Ok(Next::Done);
            }
            start(work, &folder).await
        }
    }
}

async fn start(work: &Work, folder: &Path) -> Result<Next, Refused> {
    let Work { core, spec, lease: _ } = work;
    let started = run(core, order(spec, folder.to_owned())).await?;
    let exit = match started {
        Ok(exit) => exit,
        Err(error) => {
            let reason = Reason::new(&format!("the sandbox could not be started: {error}"), Fault::System);
            end::fail(core, spec, &[Event::Failed], reason, |_| Ok(())).await?;
            return Ok(Next::Done);
        }
    };
    match looked(folder).await?.report {
        Some(report) => ended(work, *report).await,
        None => lost(work, folder, Some(&exit)).await,
    }
}

/// Starts a run and waits for its end: how it exited, in words. The inner error: it could not be started.
pub(super) async fn run(core: &crate::engine::core::Core, order: Order) -> Result<Result<String, io::Error>, Refused> {
    let mut child = match core.program.start(&order) {
        Ok(child) => child,
        // Somebody looked at its lock just now.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(DbError::Other("the run's folder is in use".to_owned()).into());
        }
        Err(error) => return Ok(Err(error)),
    };
    let exit =
        child.wait().await.map_err(|error| DbError::Other(format!("a sandbox cannot be waited for: {error}")))?;
    Ok(Ok(exit.to_string()))
}

pub(super) async fn looked(folder: &Path) -> Result<Trace, DbError> {
    let folder = folder.to_owned();
    blocking(move || look(&folder)).await
}

async fn wait_for_end(folder: &Path) -> Result<(), Refused> {
    loop {
        let looked = folder.to_owned();
        if blocking(move || has_ended(&looked)).await? {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn order(spec: &JobSpec, folder: PathBuf) -> Order {
    Order {
        algorithm: [DATA, "transformations", "algorithm"].iter().collect(),
        did: spec.algorithm.did.clone(),
        folder,
        datasets: spec.inputs.iter().map(|input| input.did.clone()).collect(),
        contract: spec.terms.output_contract.clone(),
        limits: spec.limits.clone(),
        profile: spec.terms.profile,
        interpreter: spec.algorithm.interpreter.clone(),
    }
}

/// Why a file is not what an interpreter runs. The sandbox says so too, but as of a fault of whoever started it.
async fn unfit(spec: &JobSpec, folder: &Path) -> Result<Option<Reason>, Refused> {
    if spec.algorithm.interpreter.is_none() {
        return Ok(None);
    }
    let path = folder.join(DATA).join("transformations").join("algorithm");
    let is_module = blocking(move || {
        let mut magic = [0; 4];
        Ok(File::open(path)?.read_exact(&mut magic).is_ok() && magic == *b"\0asm")
    });
    let text = "the algorithm is a WebAssembly program, and its container asks for an interpreter";
    Ok(is_module.await?.then(|| Reason::new(text, Fault::Algorithm)))
}

/// Takes note of how the run ended.
async fn ended(work: &Work, report: Report) -> Result<Next, Refused> {
    let Work { core, spec, lease: _ } = work;
    let job = work.job();
    let (event, reason) = event_of(&report);
    let put = move |write: &mut crate::store::Write<'_>| Ok(jobs::put_report(write, job, &report)?);
    let events: &[Event] = match event {
        Event::Succeeded => {
            core.step(job, Durability::Process, &[Event::Succeeded], None, put).await?;
            return Ok(Next::Look);
        }
        Event::MetLimit => &[Event::MetLimit],
        _ => &[Event::Failed],
    };
    let reason = reason.unwrap_or_else(|| Reason::new("the algorithm failed", Fault::System));
    end::fail(core, spec, events, reason, put).await?;
    Ok(Next::Done)
}

/// Takes note that nobody knows how the run ended.
async fn lost(work: &Work, folder: &Path, exit: Option<&str>) -> Result<Next, Refused> {
    let Work { core, spec, lease: _ } = work;
    let complaints = folder.to_owned();
    let said = blocking(move || Ok(said(&complaints))).await?;
    end::fail(core, spec, &[Event::Failed], without_report(&said, exit), |_| Ok(())).await?;
    Ok(Next::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_started_only_if_nothing_was_ever_begun() {
        let report = Some(Box::new(crate::testing::report()));
        let take = || Resume::Take(Box::new(crate::testing::report()));
        for (claimed, locked, report, expected) in [
            (false, false, None, Resume::Start),
            // Started by a program that was killed, and about to make its claim.
            (false, true, None, Resume::Adopt),
            (true, true, None, Resume::Adopt),
            (true, false, report.clone(), take()),
            (true, false, None, Resume::Lost),
            // A report without a claim is none of this run.
            (false, false, report.clone(), Resume::Start),
            (true, true, report, Resume::Adopt),
        ] {
            assert_eq!(resume(Trace { claimed, locked, report }), expected, "{claimed} {locked}");
        }
    }
}
