use super::{
    download::{Folder, fetch_all},
    list::algorithm_name,
    parameters::fetch_read,
    released::Earlier,
    results::{print_list, read_list},
};
use crate::{
    asset::Names,
    client::{Client, ClientError, Job, JobExplanation, List, ResultFile, WaitingReview, read},
    context::Context,
    exit::{CONFLICT, Ended},
    output::{Format, Table, age, note, print_document, print_line, shown, shown_path},
};
use cloister_model::{ByteSize, JobId};
use reqwest::Method;
use serde_json::json;
use std::path::PathBuf;

/// Which job, and the decision. Without a job: what waits for your review.
#[derive(Debug, clap::Args)]
pub(crate) struct Review {
    /// The job's id. Without it, the jobs are listed whose outputs wait for you
    job: Option<JobId>,
    /// Download the outputs that wait into this folder
    #[arg(short, long, value_name = "DIR", requires = "job", conflicts_with_all = ["approve", "refuse"])]
    dir: Option<PathBuf>,
    /// Approve: release the outputs
    #[arg(long, requires = "job", conflicts_with = "refuse")]
    approve: bool,
    /// Refuse: delete the outputs. The consumer can read this reason
    #[arg(long, requires = "job", value_name = "REASON")]
    refuse: Option<String>,
}

impl Review {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { job, dir, approve, refuse } = self;
        let Some(job) = job else { return list_waiting(context).await };
        let (client, id) = (context.client()?, job.to_string());
        let path = ["v1", "jobs", id.as_str(), "review"];
        if approve || refuse.is_some() {
            let body = match refuse {
                Some(reason) => json!({"verdict": "refuse", "reason": reason}),
                None => json!({"verdict": "approve"}),
            };
            let answer = client.send_json(Method::POST, &path, None, &body).await;
            let answer = match answer {
                Err(error) => return Err(over(&client, &id, error).await),
                Ok(reply) => reply.body,
            };
            if context.format != Format::Table {
                return Ok(print_document(context.format, &answer)?);
            }
            let phase = read::<Job>(&answer)?.phase;
            note(&format!("job {id} is {}", shown(&phase)));
            if phase == "InReview" {
                let explanation: JobExplanation = read(&client.get(&["v1", "jobs", &id, "explain"], &[]).await?)?;
                if let Some(waits) = explanation.review {
                    note(&waits.sentence());
                }
            }
            return Ok(());
        }
        let answer = match client.get(&path, &[]).await {
            Err(error) => return Err(over(&client, &id, error).await),
            Ok(answer) => answer,
        };
        let list = read_list(&answer)?;
        if context.format == Format::Table && dir.is_none() {
            introduce(&client, &id, &list).await?;
        }
        let Some(dir) = dir else { return print_list(context, &answer, &list, "no outputs wait for review") };
        let names = fetch_all(&client, &path, &id, &list, &Folder::open(&dir)?, false).await?;
        for name in names {
            print_line(&shown_path(&dir.join(name)))?;
        }
        Ok(())
    }
}

/// The error of a review that is over: with the phase of the job, if that can be seen.
async fn over(client: &Client, id: &str, error: ClientError) -> anyhow::Error {
    let is_over = matches!(&error, ClientError::Problem(problem) if problem.is("not-in-review"));
    let job = if is_over { client.get(&["v1", "jobs", id], &[]).await.ok() } else { None };
    match job.and_then(|job| read::<Job>(&job).ok()) {
        Some(Job { phase, .. }) => {
            Ended::error(CONFLICT, format!("nothing to review: job {id} is in the phase {}", shown(&phase)))
        }
        None => error.into(),
    }
}

/// Lists the jobs whose outputs wait for the caller's decision.
async fn list_waiting(context: &Context) -> anyhow::Result<()> {
    let client = context.client()?;
    let answer = client.get(&["v1", "reviews"], &[]).await?;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &answer)?);
    }
    let mut names = Names::new(&client);
    let mut table =
        Table::new(["JOB", "WAITS", "UNTIL", "CONSUMER", "ALGORITHM", "DATASETS", "FILES", "SIZE", "PARAMETERS"]);
    for WaitingReview { job, waits, files, bytes, parameters } in read::<List<WaitingReview>>(&answer)?.items {
        let Job { id, changed, owner, algorithm, datasets, .. } = job;
        let algorithm = algorithm_name(&mut names, algorithm).await;
        let datasets = names.of_datasets(&datasets).await;
        let files = files.map(|files| files.to_string()).unwrap_or_default();
        let bytes = bytes.map(|bytes| ByteSize(bytes).to_string()).unwrap_or_default();
        let owner = owner.unwrap_or_default();
        let given = parameters.map_or_else(|| "(long)".to_owned(), |parameters| parameters.line());
        table.row([id.to_string(), age(&changed), waits.until, owner, algorithm, datasets, files, bytes, given]);
    }
    Ok(table.print("no outputs wait for your review")?)
}

/// Says what a reviewer has to know about a job beside its outputs.
async fn introduce(client: &Client, id: &str, waiting: &[ResultFile]) -> anyhow::Result<()> {
    let job: Job = read(&client.get(&["v1", "jobs", id], &[]).await?)?;
    let explanation: JobExplanation = read(&client.get(&["v1", "jobs", id, "explain"], &[]).await?)?;
    let earlier = Earlier::of(client, &job).await;
    let mut names = Names::new(client);
    let algorithm = algorithm_name(&mut names, job.algorithm).await;
    let datasets = names.of_datasets(&job.datasets).await;
    note(&format!("{} ran {} on {}", shown(&job.owner.unwrap_or_default()), shown(&algorithm), shown(&datasets)));
    let given = fetch_read(client, id).await?.map(|given| given.lines()).unwrap_or_default();
    given.iter().for_each(|line| note(&format!("  parameter {line}")));
    match earlier {
        Ok(Some(earlier)) => earlier.compared(waiting).iter().for_each(|line| note(line)),
        Ok(None) => {}
        // The decision does not need it.
        Err(error) => note(&format!("these outputs are not compared with earlier ones: {error}")),
    }
    if let Some(waits) = explanation.review {
        note(&waits.sentence());
    }
    note(&format!(
        "`cloister job review {id} --dir DIR` downloads the outputs; --approve releases them, --refuse REASON deletes them"
    ));
    Ok(())
}
