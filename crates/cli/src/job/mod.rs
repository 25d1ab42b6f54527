//! `cloister job`.

mod download;
mod follow;
mod list;
mod log;
mod receipt;
mod results;
mod review;
mod submit;

use crate::{
    arguments::Context,
    exit::Usage,
    output::{Format, note, print_document, print_line, shown},
};
use clap::Subcommand;
use cloister_model::JobId;
use reqwest::Method;
use serde_json::Value;

/// Jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    Submit(Box<submit::Submit>),
    /// List jobs, the newest first
    List(list::List),
    /// Show one
    Show(One),
    /// Wait for a job to end, and show what happens to it
    Follow(One),
    /// Print the algorithm's log
    Logs(log::Logs),
    /// List the results, or with --dir: fetch them
    Results(results::Results),
    /// Ask for a job to be stopped
    Stop(One),
    /// Remove a job that has ended, with its log and its results
    Delete(One),
    /// Say why a job is where it is
    Explain(One),
    /// Print the host's report of the run
    Report(One),
    /// Print the signed statement of what ran on what and what came out
    Receipt(receipt::Receipt),
    /// See what waits for a reviewer's word, or give it
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
            Self::Results(command) => command.execute(context).await,
            Self::Stop(One { job }) => stop(context, job).await,
            Self::Delete(One { job }) => {
                context.client()?.delete(&["v1", "jobs", &job.to_string()]).await?;
                note(&format!("job {job} is removed"));
                Ok(())
            }
            Self::Explain(One { job }) => explain(context, job).await,
            Self::Report(One { job }) => {
                let report = context.client()?.get(&["v1", "jobs", &job.to_string(), "report"], &[]).await?;
                if report.is_null() {
                    return Err(Usage::error(format!(
                        "there is no report of job {job}: nothing ran, or not to its end"
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
    let job = context.client()?.get(&["v1", "jobs", &job.to_string()], &[]).await?;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &job)?);
    }
    for name in ["id", "phase", "owner", "environment", "algorithm", "created", "changed", "ended", "expires"] {
        let text = match &job[name] {
            Value::Null => continue,
            Value::String(text) => shown(text),
            algorithm if name == "algorithm" => list::algorithm(algorithm),
            other => shown(&other.to_string()),
        };
        print_line(&format!("{name:<12} {text}"))?;
    }
    for dataset in job["datasets"].as_array().into_iter().flatten() {
        print_line(&format!("{:<12} {}", "dataset", shown(dataset.as_str().unwrap_or_default())))?;
    }
    if let Some(reason) = follow::reason(&job).filter(|reason| reason != "finished") {
        print_line(&format!("{:<12} {reason}", "reason"))?;
    }
    for step in job["history"].as_array().into_iter().flatten() {
        let (at, phase) = (step["at"].as_str().unwrap_or_default(), step["phase"].as_str().unwrap_or_default());
        print_line(&format!("{:<12} {} {}", "history", shown(at), shown(phase)))?;
    }
    Ok(())
}

async fn stop(context: &Context, job: JobId) -> anyhow::Result<()> {
    let client = context.client()?;
    let path = ["v1", "jobs", &job.to_string(), "stop"];
    let job = client.send_json(Method::POST, &path, None, &serde_json::json!({})).await?.body;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &job)?);
    }
    note(&format!("asked for; it is {}", shown(job["phase"].as_str().unwrap_or("still there"))));
    Ok(())
}

async fn explain(context: &Context, job: JobId) -> anyhow::Result<()> {
    let answer = context.client()?.get(&["v1", "jobs", &job.to_string(), "explain"], &[]).await?;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &answer)?);
    }
    let text = |name: &str| shown(answer[name].as_str().unwrap_or_default());
    print_line(&format!("{}: {}", text("phase"), text("text")))?;
    if let Some(ahead) = answer["ahead"].as_u64() {
        print_line(&format!("{ahead} jobs come before it"))?;
    }
    Ok(())
}
