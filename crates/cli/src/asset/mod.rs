//! `cloister dataset`, `cloister algorithm` and `cloister apply`.

mod apply;
mod changed;
mod check;
mod describe;
mod diff;
mod dummy;
mod fetch;
mod inspect;
mod kind;
mod leaving;
mod manifest;
mod name;
mod names;
mod permissions;
mod report;
mod show;
mod template;
mod trust;

pub(crate) use apply::Apply;
pub(crate) use name::{Named, find};
pub(crate) use names::Names;

use crate::{context::Context, output::note};
use clap::Subcommand;
use cloister_model::AssetKind;
use kind::collection;

/// Datasets.
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Publish or update the datasets that files describe
    Apply(Apply),
    /// List the datasets that you may see
    List(show::List),
    /// Show a dataset
    #[command(alias = "get")]
    Show(show::Show),
    /// Allow an algorithm that you have inspected to compute on a dataset
    Allow(permissions::Allow),
    /// Revoke an algorithm's permission on a dataset
    Disallow(permissions::Disallow),
    /// Show which algorithms may compute on a dataset; with -f, replace these rules
    Permissions(permissions::PermissionsCommand),
    /// Check the sources of your dataset: whether each can be read, its size, and whether it is the declared file
    Check(check::Check),
    /// Draft the `schema` of a manifest from a CSV file on this machine
    Describe(describe::Describe),
    /// Print made-up rows that have the schema of a dataset, to try programs with
    Dummy(dummy::Dummy),
    Report(report::Report),
    /// Withdraw a dataset: new jobs cannot use it any more
    Withdraw(Withdraw),
}

/// Algorithms.
#[derive(Debug, Subcommand)]
pub(crate) enum AlgorithmCommand {
    New(template::New),
    /// Publish or update the algorithms that files describe
    Apply(Apply),
    /// List the algorithms that you may see
    List(show::List),
    /// Show an algorithm
    #[command(aliases = ["get", "describe"])]
    Show(show::Show),
    /// Download the files of an algorithm, to keep and to read what you are asked to trust
    Fetch(fetch::Fetch),
    Inspect(inspect::Inspect),
    Diff(changed::Diff),
    /// Withdraw an algorithm: new jobs cannot use it any more
    Withdraw(Withdraw),
}

/// Which asset to withdraw.
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
            Self::Check(command) => command.execute(context).await,
            Self::Describe(command) => command.execute(context),
            Self::Dummy(command) => command.execute(context).await,
            Self::Report(command) => command.execute(context).await,
            Self::Withdraw(command) => command.execute(context, AssetKind::Dataset).await,
        }
    }
}

impl AlgorithmCommand {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::New(command) => command.execute(),
            Self::Apply(command) => command.execute_for(context, AssetKind::Algorithm).await,
            Self::List(command) => command.execute(context, AssetKind::Algorithm).await,
            Self::Show(command) => command.execute(context, AssetKind::Algorithm).await,
            Self::Fetch(command) => command.execute(context).await,
            Self::Inspect(command) => command.execute(context).await,
            Self::Diff(command) => command.execute(context).await,
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

/// Checks a description as far as that is possible without a service.
#[cfg(test)]
pub(crate) fn check(document: serde_json::Value, folder: &std::path::Path) -> anyhow::Result<()> {
    manifest::read(document, folder).map(drop)
}
