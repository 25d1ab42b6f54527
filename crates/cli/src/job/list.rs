use crate::{
    asset::{Named, find},
    client::{Job, JobAlgorithm, read_all},
    context::Context,
    output::{Format, Table, age, print_document},
};
use clap::ValueEnum;
use cloister_model::{Account, AssetKind};
use serde_json::json;

/// Which jobs: your own; as operator, all.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only jobs that have ended, or that have not
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only jobs in this phase, such as `Running`
    #[arg(long)]
    phase: Option<String>,
    /// Only jobs on this dataset. Its publisher sees the jobs of all consumers
    #[arg(long)]
    dataset: Option<Named>,
    /// Only jobs that run this algorithm
    #[arg(long)]
    algorithm: Option<Named>,
    /// Only jobs of this account (as operator)
    #[arg(long)]
    owner: Option<Account>,
    /// Maximum number of entries
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
        let mut table = Table::new(["ID", "PHASE", "AGE", "OWNER", "ALGORITHM", "DATASETS", "LABEL"]);
        for Job { id, phase, created, owner, label, algorithm, datasets, .. } in read_all(&items)? {
            let datasets = match &datasets[..] {
                [] => String::new(),
                [one] => short(one),
                [one, others @ ..] => format!("{} and {} more", short(one), others.len()),
            };
            let algorithm = short(&self::algorithm(algorithm));
            table.row([
                id.to_string(),
                phase,
                age(&created),
                owner.unwrap_or_default(),
                algorithm,
                datasets,
                label.unwrap_or_default(),
            ]);
        }
        Ok(table.print("no jobs")?)
    }
}

/// The DID of what ran, or `raw` for an algorithm that came with the job.
pub(super) fn algorithm(JobAlgorithm { did }: JobAlgorithm) -> String {
    did.unwrap_or_else(|| "raw".to_owned())
}

/// The first characters of a DID: enough to tell a few apart.
fn short(did: &str) -> String {
    match did.char_indices().nth(19) {
        Some((end, _)) if did.starts_with("did:op:") => format!("{}…", &did[..end]),
        _ => did.to_owned(),
    }
}
