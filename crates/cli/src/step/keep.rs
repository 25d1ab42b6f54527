use super::{StepSettings, files};
use crate::{context::Context, exit::Usage, output::note, serve};
use cloister_files::Watch;
use cloister_model::{JobId, Said, Sha256, StepMessage};
use cloister_results::{PublishError, ResultStore};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// After the first attempt that the store did not take. Each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// For how long it is tried again. The end of the job waits for it, also if somebody has stopped the job.
const MOST_TRIED: Duration = Duration::from_secs(300);

/// Keep what is known of a run that has no results: its report and its log
///
/// Uses the settings `results.*`, or else `home`. Storing them lets no account read them: the engine decides who may. While the store is away or
/// refuses them, it is tried again for five minutes.
#[derive(Debug, clap::Args)]
pub(crate) struct Keep {
    /// Which job
    #[arg(long, value_name = "ID")]
    job: JobId,
    #[command(flatten)]
    run: RunFiles,
    /// Also write what became of it to this file, as a pod's termination message
    #[arg(long, value_name = "FILE")]
    termination_message: Option<PathBuf>,
    #[command(flatten)]
    settings: StepSettings,
}

/// What a run left beside its outputs, to be kept in the store of results.
#[derive(Debug, clap::Args)]
pub(super) struct RunFiles {
    /// The report of the run: kept in the store beside the results
    #[arg(long, value_name = "FILE")]
    run_report: Option<PathBuf>,
    /// The digest that the report of the run must have
    #[arg(long, value_name = "SHA256", requires = "run_report")]
    run_report_sha256: Option<Sha256>,
    /// Take that digest from the account of the run in this file
    #[arg(long, value_name = "FILE", requires = "run_report", conflicts_with = "run_report_sha256")]
    after_run: Option<PathBuf>,
    /// The whole log of the run: kept likewise, whatever may leave of it. It may be missing
    #[arg(long, value_name = "FILE", requires = "run_log_bytes")]
    run_log: Option<PathBuf>,
    /// Maximum number of its bytes that are kept
    #[arg(long, value_name = "BYTES", requires = "run_log")]
    run_log_bytes: Option<u64>,
}

impl Keep {
    pub(super) async fn execute(self, context: &Context, watch: &Watch) -> anyhow::Result<()> {
        let Self { job, run, termination_message, settings } = self;
        let settings = settings.resolve(context)?;
        let store = ResultStore::open(&serve::results(&settings)?).map_err(|error| Usage::error(error.to_string()))?;
        run.keep_at_last(job, &store, watch).await?;
        if let Some(path) = termination_message {
            files::write_message(&path, &StepMessage::new(job, Said::Kept))?;
        }
        Ok(())
    }
}

impl RunFiles {
    /// Keeps what there is of a run that has no results. No job waits for that as it does for results: what is not stored while this program
    /// runs is lost, so that it is tried again for a while.
    pub(super) async fn keep_at_last(&self, job: JobId, store: &ResultStore, watch: &Watch) -> anyhow::Result<()> {
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        while let Err(error) = self.keep(job, store, watch).await {
            let waits = error.downcast_ref::<PublishError>().is_some_and(PublishError::is_waited_for);
            if !waits || begun.elapsed() > MOST_TRIED {
                return Err(error);
            }
            note(&format!("{error}; it is tried again"));
            tokio::select! {
                () = watch.cancel.cancelled() => return Err(error),
                () = tokio::time::sleep(pause) => {}
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Keeps what there is.
    pub(super) async fn keep(&self, job: JobId, store: &ResultStore, watch: &Watch) -> anyhow::Result<()> {
        let sha256 = match &self.after_run {
            Some(path) => files::run_of(path, job).await?.report,
            None => self.run_report_sha256,
        };
        if let Some(path) = &self.run_report {
            let text = files::report_text(path, sha256)?;
            store.keep_report(job, text).await?;
        }
        if let (Some(path), Some(most_bytes)) = (&self.run_log, self.run_log_bytes) {
            store.keep_log(job, path, most_bytes, watch).await?;
        }
        Ok(())
    }
}
