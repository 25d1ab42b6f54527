use super::download::{Folder, fetch_all};
use crate::{
    arguments::Context,
    client::ClientError,
    output::{Format, Table, note, print_document, shown},
};
use cloister_model::{JobId, ResultKind, Sha256};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

/// Which results.
#[derive(Debug, clap::Args)]
pub(crate) struct Results {
    /// The job's id
    job: JobId,
    /// Fetch all into this folder, which is made if it is not there. What is there already is not fetched again, and
    /// what was cut short is gone on with
    #[arg(short, long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Replace files that are there and are others
    #[arg(long, requires = "dir")]
    force: bool,
}

/// A result, as the service lists it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) kind: ResultKind,
    pub(super) bytes: u64,
    pub(super) sha256: Sha256,
}

/// Reads a list of results.
pub(super) fn read_list(answer: &Value) -> Result<Vec<Listed>, ClientError> {
    Vec::deserialize(&answer["items"]).map_err(|_| ClientError::Unexpected("a list of results".to_owned()))
}

/// Prints such a list.
pub(super) fn print_list(context: &Context, answer: &Value, list: &[Listed]) -> anyhow::Result<()> {
    if context.format != Format::Table {
        return Ok(print_document(context.format, answer)?);
    }
    let mut table = Table::new(["INDEX", "NAME", "KIND", "BYTES", "SHA256"]);
    for Listed { index, name, kind, bytes, sha256 } in list {
        let kind = serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        table.row([index.to_string(), name.clone(), kind.unwrap_or_default(), bytes.to_string(), sha256.to_string()]);
    }
    Ok(table.print("no results (yet)")?)
}

impl Results {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { job, dir, force } = self;
        let (client, id) = (context.client()?, job.to_string());
        let path = ["v1", "jobs", id.as_str(), "results"];
        let answer = client.get(&path, &[]).await?;
        let list = read_list(&answer)?;
        let Some(dir) = dir else { return print_list(context, &answer, &list) };
        if list.is_empty() {
            note("no results (yet)");
            return Ok(());
        }
        let names = fetch_all(&client, &path, &id, &list, &Folder::open(&dir)?, force).await?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        for (listed, name) in list.iter().zip(names) {
            let meant = if listed.name == name { String::new() } else { format!("  (named {})", shown(&listed.name)) };
            crate::output::print_line(&format!("{}{meant}", shown(&dir.join(name).to_string_lossy())))?;
        }
        Ok(())
    }
}
