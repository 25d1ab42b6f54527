use super::{Named, find};
use crate::{
    arguments::Context,
    client::{Client, ClientError},
    input::read_document,
    output::{Format, note, print_document},
};
use cloister_model::AssetKind;
use reqwest::Method;
use serde_json::json;
use std::path::PathBuf;

/// Who may compute on what.
#[derive(Debug, clap::Args)]
pub(crate) struct Allow {
    /// Your dataset
    dataset: Named,
    /// The algorithm: trusted with the files and the container section that it has now, and no other
    algorithm: Named,
}

/// Who may no longer.
#[derive(Debug, clap::Args)]
pub(crate) struct Disallow {
    /// Your dataset
    dataset: Named,
    /// The algorithm
    algorithm: Named,
}

/// Permissions of a dataset.
#[derive(Debug, clap::Args)]
pub(crate) struct PermissionsCommand {
    /// Your dataset
    dataset: Named,
    /// Set the permissions to those in this file; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set them only if the dataset still has this revision [default: the one that it has now]
    #[arg(long, requires = "file", value_name = "REVISION")]
    if_revision: Option<u64>,
}

async fn both(client: &Client, dataset: &Named, algorithm: &Named) -> Result<(String, String), ClientError> {
    let dataset = find(client, AssetKind::Dataset, dataset).await?;
    Ok((dataset, find(client, AssetKind::Algorithm, algorithm).await?))
}

impl Allow {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let (dataset, algorithm) = both(&client, &self.dataset, &self.algorithm).await?;
        let path = ["v1", "datasets", &dataset, "allow"];
        let answer = client.post(&path, &json!({"algorithm": algorithm})).await?.body;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        note(&format!("{}, as it is now, may compute on {}", self.algorithm, self.dataset));
        Ok(())
    }
}

impl Disallow {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let (dataset, algorithm) = both(&client, &self.dataset, &self.algorithm).await?;
        client.delete(&["v1", "datasets", &dataset, "allow", &algorithm]).await?;
        note(&format!("{} may no longer compute on {}, unless another rule lets it", self.algorithm, self.dataset));
        Ok(())
    }
}

impl PermissionsCommand {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let did = find(&client, AssetKind::Dataset, &self.dataset).await?;
        let path = ["v1", "datasets", did.as_str(), "permissions"];
        let Some(file) = &self.file else {
            let permissions = client.get(&path, &[]).await?;
            // There is no table of rules; YAML is what -f reads.
            let format = if context.format == Format::Table { Format::Yaml } else { context.format };
            return Ok(print_document(format, &permissions)?);
        };
        let wanted = read_document(file)?;
        let revision = match self.if_revision {
            Some(revision) => Some(revision),
            None => client.get(&["v1", "datasets", &did], &[]).await?["revision"].as_u64(),
        };
        let tag = revision.map(|revision| format!("\"{revision}\""));
        let header = tag.as_deref().map(|tag| ("if-match", tag));
        let answer = client.send_json(Method::PUT, &path, header, &wanted).await?.body;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        note(&format!("the permissions of {} are set", self.dataset));
        Ok(())
    }
}
