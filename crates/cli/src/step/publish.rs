use super::{Common, files};
use crate::{context::Context, exit::Usage, serve};
use cloister_files::Watch;
use cloister_model::PublishOrder;
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
}

impl Publish {
    pub(super) async fn execute(self, context: &Context, watch: &Watch) -> anyhow::Result<()> {
        let Self { common, outputs, log } = self;
        let order: PublishOrder = files::read(&common.order)?;
        let settings = common.settings(context)?;
        let store = ResultStore::open(&serve::results(&settings)?).map_err(|error| Usage::error(error.to_string()))?;
        common.finish(&store.carry_out(&order, &outputs, &log, watch).await)
    }
}
