use super::{Common, files, keep::RunFiles};
use crate::{context::Context, exit::Usage, serve};
use cloister_files::Watch;
use cloister_model::{JobId, ListDigest, PublishOrder, ResultFile, StepMessage, StepName, StepReport, StepResult};
use cloister_results::{Outgoing, PublishError, ResultStore};
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
    /// Also keep the outputs as they are, for a reviewer who could not read the encrypted results
    #[arg(long)]
    hold: bool,
    #[command(flatten)]
    run: RunFiles,
}

impl Publish {
    pub(super) async fn execute(self, context: &Context, watch: &Watch) -> anyhow::Result<()> {
        let Self { common, outputs, log, filtered, hold, run } = self;
        let mut order: PublishOrder = common.order()?;
        let settings = common.settings(context)?;
        let store = ResultStore::open(&serve::results(&settings)?).map_err(|error| Usage::error(error.to_string()))?;
        let filtered: Option<anyhow::Result<StepReport>> = filtered.map(|path| files::report(&path, None));
        let refused = filtered
            .as_ref()
            .and_then(|report| report.as_ref().ok())
            .is_some_and(|report| report.job == order.job && matches!(report.result, StepResult::Failed { .. }));
        // First: this is kept whatever becomes of the outputs.
        let kept = if refused {
            run.keep_at_last(order.job, &store, watch).await
        } else {
            run.keep(order.job, &store, watch).await
        };
        if let Err(error) = kept {
            let failed = error.downcast::<PublishError>()?;
            return common.finish(&StepReport::new(order.job, StepName::Publish, StepResult::from(failed)));
        }
        if let Some(report) = filtered {
            let report = report?;
            if refused {
                return common.finish(&report);
            }
            order.files = checked(report, order.job)?;
        }
        if hold && order.encrypt_to.is_some() {
            let held: Vec<Outgoing> = order.files.iter().map(|file| Outgoing::of(file, &outputs, &log)).collect();
            if let Err(failed) = store.hold(order.job, &held, watch).await {
                return common.finish(&StepReport::new(order.job, StepName::Publish, StepResult::from(failed)));
            }
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
