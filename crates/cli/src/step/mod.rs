//! `cloister step`: one step of a job as a program, for engines that run steps apart from each other. The service calls
//! the same functions.

mod configure;
mod files;
mod filter;
mod keep;
mod publish;

use crate::{
    config::{Layers, Settings},
    context::Context,
    exit::{Ended, FAILED},
    serve,
    signals::end_signal,
};
use anyhow::Context as _;
use cloister_files::Watch;
use cloister_model::{Sha256, StepMessage, StepReport, StepResult};
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// One step of a job: reads an order, does what it says, writes a report. For engines; see docs/operators.md
///
/// Settings are those of `cloister serve`: from a configuration file, from $CLOISTER_... and from --set. The exit code is 0
/// if the step was done, 1 if the report says why it was not, and another one if there is no report.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum StepCommand {
    Configure(configure::Configure),
    Filter(filter::Filter),
    Publish(publish::Publish),
    Keep(keep::Keep),
}

/// What every step has.
#[derive(Debug, clap::Args)]
struct Common {
    /// The order: a JSON file, a folder with its parts (put together in the order of their names), or a JSON object
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
    /// The digest that the order must have
    #[arg(long, value_name = "SHA256")]
    order_sha256: Option<Sha256>,
    /// Where the report is written, a JSON file
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
    /// Also write a short account of the report to this file, as a pod's termination message
    #[arg(long, value_name = "FILE")]
    termination_message: Option<PathBuf>,
    #[command(flatten)]
    settings: StepSettings,
}

/// Where a step has its settings from.
#[derive(Debug, clap::Args)]
struct StepSettings {
    /// The configuration file [default: $CLOISTER_CONFIG, if it is set]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting of `cloister serve`. May be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl StepCommand {
    pub(crate) fn execute(self, context: &Context) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
        runtime.block_on(async {
            let watch = watch()?;
            match self {
                Self::Configure(command) => command.execute(context, &watch).await,
                Self::Filter(command) => command.execute(context).await,
                Self::Publish(command) => command.execute(context, &watch).await,
                Self::Keep(command) => command.execute(context, &watch).await,
            }
        })
    }
}

impl StepSettings {
    fn resolve(&self, context: &Context) -> anyhow::Result<Settings> {
        let mut layers = Layers::default();
        if let Some(file) = self.config.clone().or_else(|| std::env::var_os("CLOISTER_CONFIG").map(PathBuf::from)) {
            layers.file(&file)?;
        }
        layers.environment(serve::environment()?)?;
        let home = context.connection.home.as_ref().map(|home| home.to_string_lossy().into_owned());
        layers.flag("--home", "home", home)?;
        for pair in &self.set {
            layers.set(pair)?;
        }
        Ok(Settings::resolve(&layers)?)
    }
}

impl Common {
    fn settings(&self, context: &Context) -> anyhow::Result<Settings> {
        self.settings.resolve(context)
    }

    fn order<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        files::order(&self.order, self.order_sha256)
    }

    /// Says again what an earlier attempt of this step said.
    fn repeat(&self, message: &StepMessage) -> anyhow::Result<()> {
        self.termination_message.as_deref().map_or(Ok(()), |path| files::write_message(path, message))
    }

    /// Writes the report, and ends as it says.
    fn finish(&self, report: &StepReport) -> anyhow::Result<()> {
        self.finish_with(report, &StepMessage::of(report, None, false))
    }

    /// The same, with another termination message than the report alone would give.
    fn finish_with(&self, report: &StepReport, message: &StepMessage) -> anyhow::Result<()> {
        files::write(&self.report, report)?;
        if let Some(path) = &self.termination_message {
            files::write_message(path, message)?;
        }
        match &report.result {
            StepResult::Failed { reason, .. } => Err(Ended::error(FAILED, reason.text())),
            StepResult::Configured { .. } | StepResult::Passed { .. } | StepResult::Published { .. } => Ok(()),
        }
    }
}

/// Ends a step when the program gets a signal to end.
fn watch() -> anyhow::Result<Watch> {
    let watch = Watch::unwatched();
    let cancel = watch.cancel.clone();
    let signal = end_signal()?;
    tokio::spawn(async move {
        signal.await;
        cancel.cancel();
    });
    Ok(watch)
}
