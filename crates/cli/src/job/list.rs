use crate::{
    asset::{Named, Names, find},
    client::{Job, JobAlgorithm, read_all},
    context::Context,
    output::{Format, Table, age, print_document},
};
use clap::ValueEnum;
use cloister_model::{Account, AssetKind};
use serde_json::json;

/// Which jobs: your own, and those on your datasets; as operator, all.
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
    /// Only jobs of this account: your own without those on your datasets, or as operator those of any account
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
        let mut names = Names::new(&client);
        for Job { id, phase, created, owner, label, algorithm, datasets, .. } in read_all(&items)? {
            let algorithm = algorithm_name(&mut names, algorithm).await;
            let datasets = names.of_datasets(&datasets).await;
            let (owner, label) = (owner.unwrap_or_default(), label.unwrap_or_default());
            table.row([id.to_string(), phase, age(&created), owner, algorithm, datasets, label]);
        }
        Ok(table.print("no jobs")?)
    }
}

/// The DID of what ran, or `raw` for an algorithm that came with the job.
pub(super) fn algorithm(JobAlgorithm { did }: JobAlgorithm) -> String {
    did.unwrap_or_else(|| "raw".to_owned())
}

/// The name of what ran, or `raw` for an algorithm that came with the job.
pub(super) async fn algorithm_name(names: &mut Names<'_>, JobAlgorithm { did }: JobAlgorithm) -> String {
    match did {
        Some(did) => names.of(AssetKind::Algorithm, &did).await,
        None => "raw".to_owned(),
    }
}
