use super::{
    download::{Folder, fetch_all},
    results::{print_list, read_list},
};
use crate::{
    client::{Job, read},
    context::Context,
    output::{Format, note, print_document, print_line, shown},
};
use cloister_model::JobId;
use reqwest::Method;
use serde_json::json;
use std::path::PathBuf;

/// Which job, and the decision.
#[derive(Debug, clap::Args)]
pub(crate) struct Review {
    /// The job's id
    job: JobId,
    /// Download the outputs that wait into this folder
    #[arg(short, long, value_name = "DIR", conflicts_with_all = ["approve", "refuse"])]
    dir: Option<PathBuf>,
    /// Approve: release the outputs
    #[arg(long, conflicts_with = "refuse")]
    approve: bool,
    /// Refuse: remove the outputs. The consumer is told this reason
    #[arg(long, value_name = "REASON")]
    refuse: Option<String>,
}

impl Review {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { job, dir, approve, refuse } = self;
        let (client, id) = (context.client()?, job.to_string());
        let path = ["v1", "jobs", id.as_str(), "review"];
        if approve || refuse.is_some() {
            let body = match refuse {
                Some(reason) => json!({"verdict": "refuse", "reason": reason}),
                None => json!({"verdict": "approve"}),
            };
            let answer = client.send_json(Method::POST, &path, None, &body).await?.body;
            if context.format != Format::Table {
                return Ok(print_document(context.format, &answer)?);
            }
            note(&format!("job {id} is {}", shown(&read::<Job>(&answer)?.phase)));
            return Ok(());
        }
        let answer = client.get(&path, &[]).await?;
        let list = read_list(&answer)?;
        let Some(dir) = dir else { return print_list(context, &answer, &list, "no outputs wait for review") };
        let names = fetch_all(&client, &path, &id, &list, &Folder::open(&dir)?, false).await?;
        for name in names {
            print_line(&shown(&dir.join(name).to_string_lossy()))?;
        }
        Ok(())
    }
}
