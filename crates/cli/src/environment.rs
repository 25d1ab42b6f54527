//! `cloister environment`.

use crate::{
    client::{Environment, read_all},
    context::Context,
    output::{Format, Table, print_document},
};
use clap::Subcommand;
use serde_json::json;

/// Environments.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentCommand {
    /// List environments: what they offer, and their current load
    List,
}

impl EnvironmentCommand {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self::List = self;
        let items = context.client()?.list(&["v1", "environments"]).await?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &json!({"items": items}))?);
        }
        let mut table = Table::new(["ID", "DESCRIPTION", "RUNTIMES", "CPUS", "MEMORY", "RUNNING", "QUEUED"]);
        for environment in read_all::<Environment>(&items)? {
            let Environment { id, description, runtimes, interpreters, cpus, memory_bytes, running, queued } =
                environment;
            table.row([
                id,
                description,
                [runtimes, interpreters].concat().join(","),
                cpus.to_string(),
                format!("{} MiB", memory_bytes >> 20),
                running.to_string(),
                queued.to_string(),
            ]);
        }
        Ok(table.print("no environments")?)
    }
}
