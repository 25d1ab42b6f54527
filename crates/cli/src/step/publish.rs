use super::{Common, files};
use crate::{context::Context, exit::Usage, serve};
use anyhow::Context as _;
use cloister_files::Watch;
use cloister_model::{JobId, ListDigest, PublishOrder, ResultFile, Sha256, StepMessage, StepReport, StepResult};
use cloister_results::ResultStore;
use std::path::PathBuf;

/// Store what was checked where the consumer can fetch it
///
/// Uses the settings `results.*`, or else `home`.
#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    common: Common,
    /// What the algorithm wrote
    #[arg(long, value_name = "DIR")]
    outputs: PathBuf,
    /// What the algorithm printed
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// The report of filtering: what was checked is taken from it, and not from the order
    #[arg(long, value_name = "FILE")]
    filtered: Option<PathBuf>,
    /// The report of the run: kept in the store beside the results
    #[arg(long, value_name = "FILE")]
    run_report: Option<PathBuf>,
    /// The digest that the report of the run must have
    #[arg(long, value_name = "SHA256", requires = "run_report")]
    run_report_sha256: Option<Sha256>,
}

impl Publish {
    pub(super) async fn execute(self, context: &Context, watch: &Watch) -> anyhow::Result<()> {
        let Self { common, outputs, log, filtered, run_report, run_report_sha256 } = self;
        let mut order: PublishOrder = common.order()?;
        if let Some(path) = filtered {
            order.files = checked(files::report(&path, None)?, order.job)?;
        }
        let settings = common.settings(context)?;
        let store = ResultStore::open(&serve::results(&settings)?).map_err(|error| Usage::error(error.to_string()))?;
        if let Some(path) = run_report {
            let text = files::report_text(&path, run_report_sha256)?;
            store.put_report(order.job, text).await.context("the report of the run cannot be kept")?;
        }
        let report = store.carry_out(&order, &outputs, &log, watch).await;
        common.finish_with(&report, &StepMessage::of(&report, Some(ListDigest::of(&order.files)), false))
    }
}

/// The files that filtering let pass.
fn checked(report: StepReport, job: JobId) -> anyhow::Result<Vec<ResultFile>> {
    match report {
        StepReport { job: found, result: StepResult::Passed { files }, .. } if found == job => Ok(files),
        _ => Err(Usage::error("the report of filtering does not say that this job's outputs may leave".to_owned())),
    }
}
