use crate::{
    arguments::Context,
    asset::{Named, find},
    output::{Format, Table, age, print_document, shown},
};
use clap::ValueEnum;
use cloister_model::{Account, AssetKind};
use serde_json::{Value, json};

/// Which jobs: yours; all, for the operator.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Those that have ended, or that have not
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Those in this phase, such as `Running`
    #[arg(long)]
    phase: Option<String>,
    /// Those on this dataset; for its publisher, everybody's
    #[arg(long)]
    dataset: Option<Named>,
    /// Those of this algorithm
    #[arg(long)]
    algorithm: Option<Named>,
    /// Those of this account; for the operator
    #[arg(long)]
    owner: Option<Account>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Active,
    Ended,
}

impl List {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let Self { state, phase, dataset, algorithm, owner, limit } = self;
        let mut query = Vec::new();
        if let Some(state) = state {
            query.push(("state", if matches!(state, State::Active) { "active" } else { "ended" }.to_owned()));
        }
        query.extend(phase.map(|phase| ("phase", phase)));
        if let Some(dataset) = dataset {
            query.push(("dataset", find(&client, AssetKind::Dataset, &dataset).await?));
        }
        if let Some(algorithm) = algorithm {
            query.push(("algorithm", find(&client, AssetKind::Algorithm, &algorithm).await?));
        }
        query.extend(owner.map(|owner| ("owner", owner.as_str().to_owned())));
        let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let items = client.pages(&["v1", "jobs"], &query, limit).await?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &json!({"items": items}))?);
        }
        let mut table = Table::new(["ID", "PHASE", "AGE", "OWNER", "ALGORITHM", "DATASETS"]);
        for job in &items {
            let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
            let datasets: Vec<_> = job["datasets"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let datasets = match datasets[..] {
                [] => String::new(),
                [one] => short(one),
                [one, ref others @ ..] => format!("{} and {} more", short(one), others.len()),
            };
            let what = short(&self::algorithm(&job["algorithm"]));
            table.row([text("id"), text("phase"), age(&text("created")), text("owner"), what, datasets]);
        }
        Ok(table.print("no jobs")?)
    }
}

/// What ran, in a word; safe to show.
pub(super) fn algorithm(value: &Value) -> String {
    shown(value["did"].as_str().or(value.as_str()).unwrap_or("raw"))
}

/// The beginning of a DID: enough to tell a few apart.
fn short(did: &str) -> String {
    match did.char_indices().nth(19) {
        Some((end, _)) if did.starts_with("did:op:") => format!("{}…", &did[..end]),
        _ => did.to_owned(),
    }
}
