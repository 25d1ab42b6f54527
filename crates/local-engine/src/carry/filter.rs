use super::{Next, Work, end, execute::run};
use crate::{
    engine::{
        clear,
        core::{Core, blocking},
    },
    home::directory,
    program::{self, DATA, LOG, OUTPUTS, Order},
    store::{DbError, Durability, audit, jobs, jobs::Refused},
    times::now,
};
use cloister_model::{
    AuditAction, AuditEvent, Check, Did, Event, Fault, JobId, JobSpec, Limits, Outcome, OutputContract, Profile,
    Reason, Report, ResultFile, ResultKind, Sha256,
};
use cloister_stages::{OutputFile, check_outputs};
use serde_json::json;
use sha2::Digest as _;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Where programs that check outputs run, in a job's folder.
pub(crate) const CHECKS: &str = "checks";
/// What the log is called among results.
pub(crate) const LOG_NAME: &str = "algorithm.log";
/// What outputs are called where a program checks them.
const DATASET: &str = "outputs";

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
        return Err(DbError::Damaged(format!("job {job} has no report")).into());
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

async fn check(core: &Core, spec: &JobSpec, report: Report) -> Result<Result<Vec<ResultFile>, Refusal>, Refused> {
    let folder = core.home.job(spec.id);
    clear_checks(&folder.join(CHECKS))
        .await
        .map_err(|error| DbError::Other(format!("the folder of checks: {error}")))?;
    let (outputs, contract, rules) =
        (folder.join(OUTPUTS), spec.terms.output_contract.clone(), spec.terms.release.clone());
    let checked = blocking(move || Ok(check_outputs(&outputs, &report, &contract, &rules))).await?;
    let files = match checked {
        Ok(files) => files,
        Err(refusal) => {
            let told = if may_speak(spec) { refusal.clone() } else { refusal.without_words_of_the_guest() };
            let reason = Reason::new(&format!("the outputs may not leave: {told}"), Fault::Algorithm);
            return Ok(Err(Refusal { rule: refusal.rule.to_owned(), reason }));
        }
    };
    for (number, program) in spec.terms.release.checks.iter().enumerate() {
        if let Err(reason) = run_check(core, spec, number, program, &files).await? {
            return Ok(Err(Refusal { rule: "check".to_owned(), reason }));
        }
    }
    let outgoing = files.into_iter().map(|OutputFile { name, path: _, bytes, sha256 }| ResultFile {
        name,
        kind: ResultKind::Output,
        bytes,
        sha256,
    });
    let most = spec.terms.output_contract.max_log_bytes;
    let (bytes, sha256) = blocking(move || cut_log(&folder.join(LOG), most)).await?;
    let log = ResultFile { name: LOG_NAME.to_owned(), kind: ResultKind::AlgorithmLog, bytes, sha256 };
    Ok(Ok(outgoing.chain([log]).collect()))
}

/// Whether the algorithm may tell its consumer something that nobody has looked at: where its log may leave as it is.
fn may_speak(spec: &JobSpec) -> bool {
    !spec.terms.release.holds_log() && spec.terms.output_contract.max_log_bytes > 0
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

/// Makes the log what may leave of it, and says what it is then.
fn cut_log(path: &Path, most: u64) -> io::Result<(u64, Sha256)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() > most {
        file.set_len(most)?;
    }
    digest(&mut file)
}

fn digest(file: &mut File) -> io::Result<(u64, Sha256)> {
    let (mut hash, mut buffer, mut bytes) = (sha2::Sha256::new(), vec![0; 64 * 1024], 0);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        bytes += part.len() as u64;
    }
    Ok((bytes, Sha256::from_bytes(hash.finalize().into())))
}

/// Runs one program over the outputs. The inner error: it does not agree, or could not be asked.
async fn run_check(
    core: &Core,
    spec: &JobSpec,
    number: usize,
    check: &Check,
    files: &[OutputFile],
) -> Result<Result<(), Reason>, Refused> {
    let folder = core.home.job(spec.id).join(CHECKS).join(number.to_string());
    clear(&folder).await.map_err(|error| DbError::Other(format!("the check's folder: {error}")))?;
    let (data, list) = (folder.join(DATA), files.to_vec());
    let name = check.name.clone();
    blocking(move || lay_out(&data, &name, &list)).await?;
    let Ok(dataset) = DATASET.parse::<Did>() else {
        return Err(DbError::Other("the name of the outputs is no DID; this is a bug".to_owned()).into());
    };
    let order = Order {
        folder: folder.clone(),
        algorithm: core.home.upload(&check.sha256),
        did: None,
        datasets: vec![dataset],
        // It answers yes or no, and nothing else leaves it.
        contract: OutputContract {
            max_bytes: 0,
            max_files: 0,
            max_directories: 0,
            names: Vec::new(),
            max_log_bytes: 0,
            ..OutputContract::default()
        },
        limits: Limits { memory_bytes: spec.limits.memory_bytes, ..Limits::default() },
        profile: Profile::Deterministic,
        interpreter: None,
    };
    let no = |text: &str, fault| {
        Ok(Err(Reason::new(&format!("the outputs may not leave: check `{}`: {text}", check.name), fault)))
    };
    let exit = match run(core, order).await? {
        Ok(exit) => exit,
        Err(error) => return no(&format!("could not be started: {error}"), Fault::System),
    };
    let Some(report) = super::execute::looked(&folder).await?.report else {
        let looked = folder.clone();
        let said = blocking(move || Ok(program::said(&looked))).await?;
        return no(&format!("could not be run ({exit}): {said}"), Fault::System);
    };
    if report.algorithm.sha256 != check.sha256 {
        return no("the program is not the one that was asked for", Fault::System);
    }
    match report.outcome {
        Outcome::Succeeded => Ok(Ok(())),
        outcome @ Outcome::HostFault { .. } => no(&outcome.to_string(), Fault::System),
        outcome => no(&outcome.to_string(), Fault::Algorithm),
    }
}

/// Lays outputs out as a dataset: files in order, and what they are called in the parameters.
fn lay_out(data: &Path, check: &str, files: &[OutputFile]) -> io::Result<()> {
    let dataset: PathBuf = data.join("inputs").join(DATASET);
    directory(&dataset)?;
    for (number, file) in files.iter().enumerate() {
        fs::hard_link(&file.path, dataset.join(number.to_string()))?;
    }
    let names: Vec<_> = files
        .iter()
        .map(|OutputFile { name, path: _, bytes, sha256 }| json!({"name": name, "bytes": bytes, "sha256": sha256}))
        .collect();
    let parameters = json!({ "check": check, "files": names });
    fs::write(data.join("inputs").join("algoCustomData.json"), parameters.to_string())
}
