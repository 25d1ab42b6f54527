//! `cloister dataset`, `cloister algorithm` and `cloister apply`.

mod apply;
mod manifest;
mod name;
mod permissions;
mod show;

pub(crate) use apply::Apply;
pub(crate) use name::{Named, find};

use crate::{arguments::Context, output::note};
use clap::Subcommand;
use cloister_model::AssetKind;

/// Datasets.
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Publish the datasets that files describe, or change them
    Apply(Apply),
    /// List the datasets that you may see
    List(show::List),
    /// Show one
    Show(show::Show),
    /// Let an algorithm, as it is now, compute on a dataset
    Allow(permissions::Allow),
    /// Take that back
    Disallow(permissions::Disallow),
    /// Show who may compute on a dataset, or with -f: set it
    Permissions(permissions::PermissionsCommand),
    /// Withdraw a dataset: no new job may use it
    Withdraw(Withdraw),
}

/// Algorithms.
#[derive(Debug, Subcommand)]
pub(crate) enum AlgorithmCommand {
    /// Publish the algorithms that files describe, or change them
    Apply(Apply),
    /// List the algorithms that you may see
    List(show::List),
    /// Show one
    Show(show::Show),
    /// Withdraw an algorithm: no new job may use it
    Withdraw(Withdraw),
}

/// Which asset goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Withdraw {
    /// Its name, OWNER/NAME, or DID
    asset: Named,
}

impl DatasetCommand {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Apply(command) => command.execute_for(context, AssetKind::Dataset).await,
            Self::List(command) => command.execute(context, AssetKind::Dataset).await,
            Self::Show(command) => command.execute(context, AssetKind::Dataset).await,
            Self::Allow(command) => command.execute(context).await,
            Self::Disallow(command) => command.execute(context).await,
            Self::Permissions(command) => command.execute(context).await,
            Self::Withdraw(command) => command.execute(context, AssetKind::Dataset).await,
        }
    }
}

impl AlgorithmCommand {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Apply(command) => command.execute_for(context, AssetKind::Algorithm).await,
            Self::List(command) => command.execute(context, AssetKind::Algorithm).await,
            Self::Show(command) => command.execute(context, AssetKind::Algorithm).await,
            Self::Withdraw(command) => command.execute(context, AssetKind::Algorithm).await,
        }
    }
}

impl Withdraw {
    async fn execute(self, context: &Context, kind: AssetKind) -> anyhow::Result<()> {
        let client = context.client()?;
        let did = find(&client, kind, &self.asset).await?;
        client.delete(&["v1", collection(kind), &did]).await?;
        note(&format!("{} is withdrawn", self.asset));
        Ok(())
    }
}

/// Whether a description can be published, as far as that can be told without a service.
#[cfg(test)]
pub(crate) fn check(document: serde_json::Value, folder: &std::path::Path) -> anyhow::Result<()> {
    manifest::read(document, folder).map(drop)
}

/// The name of the collection in paths.
fn collection(kind: AssetKind) -> &'static str {
    match kind {
        AssetKind::Dataset => "datasets",
        AssetKind::Algorithm => "algorithms",
    }
}

fn noun(kind: AssetKind) -> &'static str {
    match kind {
        AssetKind::Dataset => "dataset",
        AssetKind::Algorithm => "algorithm",
    }
}
