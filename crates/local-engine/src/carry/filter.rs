use super::{Next, Work, end, execute::run};
use crate::{
    engine::{
        clear,
        core::{Core, blocking},
    },
    home::directory,
    program::{self, DATA, LOG, OUTPUTS, Order},
    store::{Db, Durability, audit, jobs, jobs::Outgoing, jobs::Refused},
    times::now,
};
use cloister_model::{
    AuditAction, AuditEvent, Check, Event, Fault, FileDigest, FilterOrder, JobId, JobSpec, Reason, Report, ResultKind,
};
use cloister_release::{CheckRun, LOG_NAME, OutputFile, check_failed, check_outputs, cut_log, judge, lay_out_check};
use serde_json::json;
use std::{fs, io, path::Path};

/// Where programs that check outputs run, in a job's folder.
pub(crate) const CHECKS: &str = "checks";

/// Why outputs may not leave.
struct Refusal {
    rule: String,
    reason: Reason,
}

/// Checks what the algorithm left. From the start, whatever was checked before.
pub(super) async fn filter(work: &Work) -> Result<Next, Refused> {
    let Work { core, spec, lease: _ } = work;
    let job = work.job();
    let Some(report) = core.store.read(|db| jobs::report(db, job))?.ok_or(Refused::Gone)? else {
        return Err(Db::Damaged(format!("job {job} has no report")).into());
    };
    match check(core, spec, report).await? {
        Ok(files) => {
            let events: &[Event] = if spec.terms.release.review { &[Event::ReviewAsked] } else { &[Event::Passed] };
            let put = move |write: &mut crate::store::Write<'_>| Ok(jobs::put_outgoing(write, job, &files)?);
            core.step(job, Durability::Process, events, None, put).await?;
            Ok(Next::Look)
        }
        Err(Refusal { rule, reason }) => {
            let event = refusal(job, &rule);
            let put = move |write: &mut crate::store::Write<'_>| Ok(audit::record(write, event)?);
            end::fail(core, spec, &[Event::Refused], reason, put).await?;
            Ok(Next::Done)
        }
    }
}

/// What is put on record of results that were kept back.
pub(crate) fn refusal(job: JobId, rule: &str) -> AuditEvent {
    AuditEvent {
        at: now(),
        actor: "engine".to_owned(),
        action: AuditAction::ReleaseRefused,
        subject: job.to_string(),
        detail: json!({ "rule": rule }).to_string(),
    }
}

async fn check(core: &Core, spec: &JobSpec, report: Report) -> Result<Result<Vec<Outgoing>, Refusal>, Refused> {
    let folder = core.home.job(spec.id);
    clear_checks(&folder.join(CHECKS)).await.map_err(|error| Db::Other(format!("the folder of checks: {error}")))?;
    let (outputs, order) = (folder.join(OUTPUTS), FilterOrder::of(spec, &report));
    let run = CheckRun::of(&order);
    let quotes = order.may_quote_the_guest();
    let checked = blocking(move || Ok(check_outputs(&outputs, &order))).await?;
    let files = match checked {
        Ok(files) => files,
        Err(refusal) => {
            let told = if quotes { refusal.clone() } else { refusal.without_words_of_the_guest() };
            let reason = Reason::new(&format!("the outputs may not leave: {told}"), Fault::Algorithm);
            return Ok(Err(Refusal { rule: refusal.rule.to_owned(), reason }));
        }
    };
    for (number, program) in spec.terms.release.checks.iter().enumerate() {
        if let Err(reason) = run_check(core, spec, (number, program), &run, &files).await? {
            return Ok(Err(Refusal { rule: "check".to_owned(), reason }));
        }
    }
    let outgoing = files.into_iter().map(|OutputFile { name, path: _, bytes, sha256 }| Outgoing {
        name,
        kind: ResultKind::Output,
        bytes,
        sha256,
    });
    let most = spec.terms.output_contract.max_log_bytes;
    let FileDigest { sha256, bytes } = blocking(move || cut_log(&folder.join(LOG), most)).await?;
    let log = Outgoing { name: LOG_NAME.to_owned(), kind: ResultKind::AlgorithmLog, bytes, sha256 };
    Ok(Ok(outgoing.chain([log]).collect()))
}

/// Removes what another life of this program left of its checks. One may still run; and what it was given are other names of
/// the outputs, which may have one name each.
async fn clear_checks(checks: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(checks) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for check in entries {
        clear(&check?.path()).await?;
    }
    Ok(())
}

/// Runs one program over the outputs. The inner error: it does not agree, or could not be asked.
async fn run_check(
    core: &Core,
    spec: &JobSpec,
    (number, check): (usize, &Check),
    how: &CheckRun,
    files: &[OutputFile],
) -> Result<Result<(), Reason>, Refused> {
    let folder = core.home.job(spec.id).join(CHECKS).join(number.to_string());
    clear(&folder).await.map_err(|error| Db::Other(format!("the check's folder: {error}")))?;
    let (data, list, asked) = (folder.join(DATA), files.to_vec(), check.clone());
    blocking(move || {
        directory(&data)?;
        lay_out_check(&data, &asked, &list)
    })
    .await?;
    let order = Order {
        folder: folder.clone(),
        algorithm: core.home.upload(&check.sha256),
        did: None,
        datasets: how.datasets.clone(),
        contract: how.contract.clone(),
        limits: how.limits.clone(),
        profile: how.profile,
        interpreter: None,
    };
    let no = |text: &str, fault| Ok(Err(check_failed(check, text, fault)));
    let exit = match run(core, order).await? {
        Ok(exit) => exit,
        Err(error) => return no(&format!("could not be started: {error}"), Fault::System),
    };
    let Some(report) = super::execute::looked(&folder).await?.report else {
        let looked = folder.clone();
        let said = blocking(move || Ok(program::said(&looked))).await?;
        return no(&format!("could not be run ({exit}): {said}"), Fault::System);
    };
    Ok(judge(check, &report))
}
