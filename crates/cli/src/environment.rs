//! `cloister environment`.

use crate::{
    arguments::Context,
    output::{Format, Table, print_document},
};
use clap::Subcommand;
use serde_json::{Value, json};

/// Environments.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentCommand {
    /// List where jobs run: what is offered, how much is going on
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
        for item in &items {
            let list = |names: [&str; 2]| {
                let texts = names.iter().filter_map(|name| item[*name].as_array()).flatten().filter_map(Value::as_str);
                texts.collect::<Vec<_>>().join(",")
            };
            let number = |name: &str| item[name].as_u64().map(|number| number.to_string()).unwrap_or_default();
            let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            let memory = item["memoryBytes"].as_u64().map(|bytes| format!("{} MiB", bytes >> 20)).unwrap_or_default();
            table.row([
                text("id"),
                text("description"),
                list(["runtimes", "interpreters"]),
                number("cpus"),
                memory,
                number("running"),
                number("queued"),
            ]);
        }
        Ok(table.print("no environments")?)
    }
}
