//! `cloister job`.

mod download;
mod follow;
mod list;
mod log;
mod parameters;
mod receipt;
mod released;
mod request;
mod results;
mod review;
mod run;
mod submit;

pub(crate) use run::Run;

use crate::{
    asset::Names,
    client::{Job, JobExplanation, JobParameters, Step, StoreWait, WithheldLog, read},
    context::Context,
    exit::Usage,
    output::{Format, note, print_document, print_field, print_text, shown},
};
use clap::Subcommand;
use cloister_model::{AssetKind, JobId};
use reqwest::Method;

/// Jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    Submit(Box<submit::Submit>),
    /// List jobs, newest first
    List(list::List),
    /// Show a job
    #[command(aliases = ["get", "describe"])]
    Show(One),
    /// Wait until a job has ended, and show its phases and its log
    Follow(One),
    /// Print the algorithm's log
    Logs(log::Logs),
    /// Release the log of a job to its consumer, if your datasets withhold it
    ReleaseLog(One),
    /// List the results; with --dir, download them
    Results(results::Results),
    /// Request that a job is stopped
    #[command(visible_alias = "cancel")]
    Stop(One),
    /// Try at once to store results that wait for the result store
    Publish(One),
    /// Delete a job that has ended, with its log and its results
    #[command(visible_alias = "rm")]
    Delete(One),
    /// Explain why a job is in its phase
    Explain(One),
    /// Print the host's report of the run
    Report(One),
    /// Print the receipt: a signed statement of what ran on what data, and what came out
    Receipt(receipt::Receipt),
    /// List the outputs that wait for your review; download, approve or refuse those of a job
    Review(review::Review),
}

/// Which job.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The job's id
    job: JobId,
}

impl JobCommand {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Submit(command) => command.execute(context).await,
            Self::List(command) => command.execute(context).await,
            Self::Show(One { job }) => show(context, job).await,
            Self::Follow(One { job }) => {
                let ended = follow::follow(&context.client()?, &job.to_string(), follow::Show::Everything).await?;
                follow::conclude(context, &ended)
            }
            Self::Logs(command) => command.execute(context).await,
            Self::ReleaseLog(One { job }) => release_log(context, job).await,
            Self::Results(command) => command.execute(context).await,
            Self::Stop(One { job }) => stop(context, job).await,
            Self::Publish(One { job }) => publish(context, job).await,
            Self::Delete(One { job }) => {
                context.client()?.delete(&["v1", "jobs", &job.to_string()]).await?;
                note(&format!("job {job} is deleted"));
                Ok(())
            }
            Self::Explain(One { job }) => explain(context, job).await,
            Self::Report(One { job }) => {
                let report = context.client()?.get(&["v1", "jobs", &job.to_string(), "report"], &[]).await?;
                if report.is_null() {
                    return Err(Usage::error(format!(
                        "job {job} has no report: its algorithm did not run, or did not run to its end"
                    )));
                }
                Ok(print_document(context.format, &report)?)
            }
            Self::Receipt(command) => command.execute(context).await,
            Self::Review(command) => command.execute(context).await,
        }
    }
}

async fn show(context: &Context, job: JobId) -> anyhow::Result<()> {
    let client = context.client()?;
    let answer = client.get(&["v1", "jobs", &job.to_string()], &[]).await?;
    let given = parameters::fetch(&client, &job.to_string()).await?;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &parameters::beside(answer, given))?);
    }
    let job: Job = read(&answer)?;
    let given = given.as_ref().map(read::<JobParameters>).transpose()?;
    let reason = follow::reason(&job).filter(|reason| reason != "finished");
    let Job {
        id,
        phase,
        created,
        changed,
        ended,
        expires,
        owner,
        label,
        environment,
        datasets,
        algorithm,
        history,
        withheld_log,
        store_wait,
        ..
    } = job;
    let mut names = Names::new(&client);
    let algorithm = match algorithm.did {
        Some(did) => named(&mut names, AssetKind::Algorithm, did).await,
        None => list::algorithm(algorithm),
    };
    let mut on = Vec::new();
    for dataset in datasets {
        on.push(named(&mut names, AssetKind::Dataset, dataset).await);
    }
    let lines = [
        ("id", Some(id.to_string())),
        ("label", label),
        ("phase", Some(phase)),
        ("owner", owner),
        ("environment", environment),
        ("algorithm", Some(algorithm)),
        ("created", Some(created)),
        ("changed", Some(changed)),
        ("ended", ended),
        ("expires", expires),
    ];
    let lines = lines.into_iter().filter_map(|(name, text)| Some((name, text?)));
    for (name, text) in lines.chain(on.into_iter().map(|dataset| ("dataset", dataset))) {
        print_field(name, 13, &shown(&text))?;
    }
    for line in given.map(|given| given.lines()).unwrap_or_default() {
        print_field("parameter", 13, &line)?;
    }
    if let Some(reason) = reason {
        print_field("reason", 13, &reason)?;
    }
    if let Some(WithheldLog { text, .. }) = withheld_log {
        print_field("log", 13, &shown(&text))?;
    }
    if let Some(StoreWait { since, next, until, why }) = store_wait {
        let text = format!("for the result store since {since}, until {until}; tried again at {next}: {why}");
        print_field("waits", 13, &shown(&text))?;
    }
    for Step { phase, at } in history {
        print_field("history", 13, &format!("{} {}", shown(&at), shown(&phase)))?;
    }
    Ok(())
}

/// An asset by its name, with its DID.
async fn named(names: &mut Names<'_>, kind: AssetKind, did: String) -> String {
    let name = names.of(kind, &did).await;
    if name == did { did } else { format!("{name}, {did}") }
}

async fn stop(context: &Context, job: JobId) -> anyhow::Result<()> {
    let client = context.client()?;
    let path = ["v1", "jobs", &job.to_string(), "stop"];
    let answer = client.send_json(Method::POST, &path, None, &serde_json::json!({})).await?.body;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &answer)?);
    }
    note(&format!("stop requested; the job is {}", shown(&read::<Job>(&answer)?.phase)));
    Ok(())
}

async fn publish(context: &Context, job: JobId) -> anyhow::Result<()> {
    let client = context.client()?;
    let path = ["v1", "jobs", &job.to_string(), "publish"];
    let answer = client.send_json(Method::POST, &path, None, &serde_json::json!({})).await?.body;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &answer)?);
    }
    note(&format!(
        "the results of job {job} are being stored; `cloister job explain {job}` says whether the store took them"
    ));
    Ok(())
}

async fn release_log(context: &Context, job: JobId) -> anyhow::Result<()> {
    let client = context.client()?;
    let path = ["v1", "jobs", &job.to_string(), "withheld-log", "release"];
    let answer = client.send_json(Method::POST, &path, None, &serde_json::json!({})).await?.body;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &answer)?);
    }
    match read::<Job>(&answer)?.withheld_log.filter(|log| log.released.is_none()) {
        None => note(&format!("the consumer of job {job} can read its log")),
        Some(log) => note(&format!("released as far as your datasets withhold it; {}", shown(&log.text))),
    }
    Ok(())
}

async fn explain(context: &Context, job: JobId) -> anyhow::Result<()> {
    let answer = context.client()?.get(&["v1", "jobs", &job.to_string(), "explain"], &[]).await?;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &answer)?);
    }
    let JobExplanation { phase, text, detail, review } = read(&answer)?;
    // Whom it waits for says that it waits.
    let text = review.map_or_else(|| shown(&text), |review| review.sentence());
    print_text(&beside(&phase, &text))?;
    match detail {
        None => Ok(()),
        Some(detail) => Ok(print_text(&shown(&detail))?),
    }
}

/// A phase, and what is said of it: without the words of the phase, if it begins with them. `text` is escaped.
fn beside(phase: &str, text: &str) -> String {
    let mut rest = text;
    for letter in phase.chars() {
        let trimmed = rest.trim_start_matches(' ');
        let found = trimmed.chars().next().filter(|found| found.eq_ignore_ascii_case(&letter));
        rest = match found {
            Some(found) => trimmed.get(found.len_utf8()..).unwrap_or_default(),
            None => return format!("{}: {text}", shown(phase)),
        };
    }
    let rest = match rest.strip_prefix(": ").or_else(|| rest.strip_prefix(' ')) {
        Some(more) => format!(": {more}"),
        None if rest.is_empty() => String::new(),
        None => format!(": {text}"),
    };
    format!("{}{rest}", shown(phase))
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn what_is_said_of_a_phase_does_not_say_it_again() {
        for (phase, text, expected) in [
            ("LimitExceeded", "limit exceeded: memory (4 MiB)", "LimitExceeded: memory (4 MiB)"),
            ("AlgorithmFailed", "algorithm failed with exit code 3", "AlgorithmFailed: with exit code 3"),
            // Of an earlier service.
            ("AlgorithmFailed", "Algorithm failed: how is not told", "AlgorithmFailed: how is not told"),
            ("Stopped", "stopped", "Stopped"),
            ("Running", "its algorithm runs", "Running: its algorithm runs"),
            ("Queued", "queueded", "Queued: queueded"),
            ("Stopped", "stop", "Stopped: stop"),
            ("Stopped", "", "Stopped: "),
        ] {
            assert_eq!(beside(phase, text), expected);
        }
    }
}
