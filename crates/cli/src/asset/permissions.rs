use super::name::{Named, find};
use crate::{
    client::{Asset, Client, ClientError, read},
    context::Context,
    input::read_document,
    output::{Format, note, print_document},
};
use cloister_model::AssetKind;
use reqwest::Method;
use serde_json::json;
use std::path::PathBuf;

/// Which algorithm may compute on which dataset.
#[derive(Debug, clap::Args)]
pub(crate) struct Allow {
    /// Your dataset
    dataset: Named,
    /// The algorithm. It is trusted with its current files and container section only
    algorithm: Named,
}

/// Whose permission is revoked.
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
    /// Replace the permissions with those in this file; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Fail if the dataset no longer has this revision [default: the current one]
    #[arg(long, requires = "file", value_name = "REVISION")]
    if_revision: Option<u64>,
}

/// The DIDs of a dataset and an algorithm.
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
        note(&format!("{}, in its current version, may compute on {}", self.algorithm, self.dataset));
        Ok(())
    }
}

impl Disallow {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let (dataset, algorithm) = both(&client, &self.dataset, &self.algorithm).await?;
        client.delete(&["v1", "datasets", &dataset, "allow", &algorithm]).await?;
        note(&format!("{} is no longer allowed on {}, unless another rule allows it", self.algorithm, self.dataset));
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
            // Rules have no table. YAML is what -f reads.
            let format = if context.format == Format::Table { Format::Yaml } else { context.format };
            return Ok(print_document(format, &permissions)?);
        };
        let wanted = read_document(file)?;
        let revision = match self.if_revision {
            Some(revision) => revision,
            None => read::<Asset>(&client.get(&["v1", "datasets", &did], &[]).await?)?.revision,
        };
        let tag = format!("\"{revision}\"");
        let answer = client.send_json(Method::PUT, &path, Some(("if-match", &tag)), &wanted).await?.body;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        note(&format!("the permissions of {} are replaced", self.dataset));
        Ok(())
    }
}
