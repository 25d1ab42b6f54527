use super::{
    fetch::files_checksum,
    leaving::say_of_rules,
    name::{Named, find},
};
use crate::{
    client::{Asset, Client, ClientError, read},
    context::Context,
    exit::{Ended, NOT_FOUND, Usage},
    input::read_document,
    output::{Format, note, print_document, shown},
};
use anyhow::Context as _;
use cloister_model::{AssetKind, FilesChecksum};
use reqwest::Method;
use serde_json::json;
use std::{
    io::{BufRead as _, IsTerminal as _, Read as _, stderr, stdin},
    path::PathBuf,
};

/// Which algorithm may compute on which dataset.
#[derive(Debug, clap::Args)]
pub(crate) struct Allow {
    /// Your dataset
    dataset: Named,
    /// The algorithm. It is trusted with these files and its present container section only
    algorithm: Named,
    /// The `filesChecksum` of what you have inspected, as `cloister algorithm show` and `fetch` print it. Without it, the
    /// present one is shown on a terminal, and you are asked
    #[arg(long, value_name = "CHECKSUM")]
    checksum: Option<FilesChecksum>,
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
        let asset: Asset = read(&client.get(&["v1", "algorithms", &algorithm], &[]).await?)?;
        let present = files_checksum(&asset)?;
        let checksum = match self.checksum {
            Some(checksum) => checksum,
            None => confirmed(&self.algorithm, &asset, present)?,
        };
        let path = ["v1", "datasets", &dataset, "allow"];
        let body = json!({
            "algorithm": algorithm, "filesChecksum": checksum,
            "containerSectionChecksum": asset.container_section_checksum,
        });
        // The service compares: what is published may change until then.
        let answer = client.post(&path, &body).await?.body;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        note(&format!("{}, with exactly these files, may compute on {}", self.algorithm, self.dataset));
        say_of_rules(&answer);
        Ok(())
    }
}

/// Asks on the terminal whether these are the files that were inspected.
fn confirmed(name: &Named, asset: &Asset, present: FilesChecksum) -> anyhow::Result<FilesChecksum> {
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        return Err(Usage::error(format!(
            "give --checksum, with the filesChecksum of what you have inspected; the present one of {name} is {present}"
        )));
    }
    let Asset { title, owner, revision, .. } = asset;
    note(&format!("{} ({}), published by {}, revision {revision}", name, shown(title), shown(owner)));
    note(&format!("filesChecksum {present}"));
    note("Have you inspected exactly these files? [y/N]");
    let mut answer = String::new();
    stdin().lock().take(16).read_line(&mut answer).context("reading the answer")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(present),
        _ => Err(Usage::error("nothing was allowed")),
    }
}

impl Disallow {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let (dataset, algorithm) = both(&client, &self.dataset, &self.algorithm).await?;
        match client.delete(&["v1", "datasets", &dataset, "allow", &algorithm]).await {
            Err(ClientError::Problem(problem)) if problem.is("not-trusted") => {
                let text = format!("no rule of {} trusts {} by name: nothing to revoke", self.dataset, self.algorithm);
                return Err(Ended::error(NOT_FOUND, text));
            }
            // Both exist, as was seen above.
            Err(ClientError::Problem(problem)) if problem.status == 404 => {
                return Err(Ended::error(NOT_FOUND, format!("the dataset {} is not yours", self.dataset)));
            }
            answer => answer?,
        }
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
            if context.format == Format::Table {
                say_of_rules(&permissions);
            }
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
        say_of_rules(&answer);
        Ok(())
    }
}
