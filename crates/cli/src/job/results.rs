use super::{
    download::{Folder, fetch_all},
    follow,
};
use crate::{
    client::{Client, ClientError, Job, List, ResultFile, read},
    context::Context,
    output::{Format, Table, note, print_document, print_line, shown, shown_path},
};
use cloister_model::JobId;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Which results.
#[derive(Debug, clap::Args)]
pub(crate) struct Results {
    /// The job's id
    job: JobId,
    /// Download all results into this folder, which is created if it does not exist. Existing files are skipped, and
    /// interrupted downloads resume
    #[arg(short, long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Overwrite existing files whose content differs
    #[arg(long, requires = "dir")]
    force: bool,
}

/// Reads a list of results.
pub(super) fn read_list(answer: &Value) -> Result<Vec<ResultFile>, ClientError> {
    Ok(read::<List<ResultFile>>(answer)?.items)
}

/// Prints a list of results, or the note `nothing` if it is empty.
pub(super) fn print_list(context: &Context, answer: &Value, list: &[ResultFile], nothing: &str) -> anyhow::Result<()> {
    if context.format != Format::Table {
        return Ok(print_document(context.format, answer)?);
    }
    let mut table = Table::new(["INDEX", "NAME", "KIND", "BYTES", "SHA256"]);
    for ResultFile { index, name, kind, bytes, sha256 } in list {
        let kind = serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        table.row([index.to_string(), name.clone(), kind.unwrap_or_default(), bytes.to_string(), sha256.to_string()]);
    }
    Ok(table.print(nothing)?)
}

/// What is said of a job that succeeded and left nothing.
pub(super) const NOTHING: &str = "the job finished, and its algorithm wrote no file to /data/outputs";

/// Why a job has no results.
async fn why_nothing(client: &Client, job: &str) -> anyhow::Result<String> {
    let job: Job = read(&client.get(&["v1", "jobs", job], &[]).await?)?;
    let phase = shown(&job.phase);
    let reason = follow::reason(&job).map(|reason| format!(": {reason}")).unwrap_or_default();
    Ok(match job.ended {
        None => format!("no results yet: the job is {phase}"),
        Some(_) if job.phase == follow::FINISHED => NOTHING.to_owned(),
        Some(_) => format!("no results: the job ended in {phase}{reason}"),
    })
}

impl Results {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { job, dir, force } = self;
        let (client, id) = (context.client()?, job.to_string());
        let path = ["v1", "jobs", id.as_str(), "results"];
        let answer = client.get(&path, &[]).await?;
        let list = read_list(&answer)?;
        let nothing = if list.is_empty() { why_nothing(&client, &id).await? } else { String::new() };
        let Some(dir) = dir else { return print_list(context, &answer, &list, &nothing) };
        if list.is_empty() {
            note(&nothing);
            return Ok(());
        }
        let names = fetch_all(&client, &path, &id, &list, &Folder::open(&dir)?, force).await?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        print_downloaded(&dir, &list, &names)
    }
}

/// Prints where each result is.
pub(super) fn print_downloaded(dir: &Path, list: &[ResultFile], names: &[String]) -> anyhow::Result<()> {
    for (listed, name) in list.iter().zip(names) {
        let named = if listed.name == *name { String::new() } else { format!("  (named {})", shown(&listed.name)) };
        print_line(&format!("{}{named}", shown_path(&dir.join(name))))?;
    }
    Ok(())
}
