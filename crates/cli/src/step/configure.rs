use super::{Common, files};
use crate::{context::Context, exit::Usage, serve};
use anyhow::Context as _;
use cloister_files::Watch;
use cloister_model::{ConfigureOrder, StepName, StepReport, StepResult};
use cloister_results::ResultStore;
use cloister_sources::{Cache, Fetcher};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Fetch the inputs of a job and lay them out as the guest sees them
///
/// Uses the settings `home` (for cache and uploads), `cache.bytes`, `sources.*` and `results.*` (for sources that are results
/// of jobs).
#[derive(Debug, clap::Args)]
pub(crate) struct Configure {
    #[command(flatten)]
    common: Common,
    /// Where the inputs are laid out; what the guest sees as /data
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
}

impl Configure {
    pub(super) async fn execute(self, context: &Context, watch: &Watch) -> anyhow::Result<()> {
        let Self { common, into } = self;
        let order: ConfigureOrder = files::read(&common.order)?;
        let settings = common.settings(context)?;
        let results =
            Arc::new(ResultStore::open(&serve::results(&settings)?).map_err(|error| Usage::error(error.to_string()))?);
        let cache = Cache::open(&settings.home.join("cache"), settings.cache_bytes.0).context("the cache")?;
        let mut policy = serve::sources(&settings)?;
        policy.closed.extend(serve::own_folders(&settings, &results)?);
        let fetcher = Fetcher::new(policy, Arc::new(cache), settings.home.join("uploads"), results)
            .map_err(|error| Usage::error(error.to_string()))?;
        let last = Arc::new(Mutex::new(None));
        let seen = last.clone();
        let progress = Arc::new(move |progress| {
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        });
        let watch = Watch { cancel: watch.cancel.clone(), progress };
        let configured = fetcher.configure(&order, &into, &watch).await;
        let result = configured.map_or_else(StepResult::from, StepResult::from);
        let progress = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        common.finish(&StepReport { progress, ..StepReport::new(order.job, StepName::Configure, result) })
    }
}
