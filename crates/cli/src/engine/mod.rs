//! `cloister engine`: the controller that runs the jobs of a Kubernetes installation.

mod metrics;
mod options;
mod run;
mod state;

use crate::{
    config::{Settings, print},
    context::Context,
    serve::{collect, environment, start_logging},
};
use std::{io, path::PathBuf};

/// Run the jobs of an installation on Kubernetes
///
/// It needs the definitions of deploy/crds and the rights of deploy/kubernetes. It reads no Secret and keeps no state of its own:
/// it can be killed at any moment, and goes on when it is started again. Of several, one works and the others stand by.
///
/// It runs in a pod, or anywhere with a kubeconfig. Settings are those of `cloister serve`, of which it uses `k8s.*` and `log.*`;
/// --print-config shows them. `k8s.listen` answers /livez, /readyz and /metrics.
///
/// SIGTERM and SIGINT end it. Running algorithms continue.
#[derive(Debug, clap::Args)]
pub(crate) struct Engine {
    /// The configuration file [default: $CLOISTER_CONFIG, else cloister.toml in --home, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to reach the API server [default: $KUBECONFIG, else the service account of the pod]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// Address and port of /livez, /readyz and /metrics [default: 0.0.0.0:8091]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// `auto`, `text` or `json` [default: text on a terminal, JSON elsewhere]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// `error`, `warn`, `info`, `debug` or `trace` [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Any setting. Can be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print all settings and where their values come from, and end
    #[arg(long)]
    print_config: bool,
}

impl Engine {
    pub(crate) fn execute(self, context: &Context) -> anyhow::Result<()> {
        let flags = [
            ("--kubeconfig", "k8s.kubeconfig", &self.kubeconfig),
            ("--listen", "k8s.listen", &self.listen),
            ("--log-format", "log.format", &self.log_format),
            ("--log-level", "log.level", &self.log_level),
        ];
        let home = context.connection.home.as_deref();
        let variable = |name: &str| std::env::var_os(name);
        let layers = collect(self.config.as_deref(), home, variable, environment()?, &flags, &self.set)?;
        let settings = Settings::resolve(&layers)?;
        if self.print_config {
            return Ok(print(&settings, &layers, io::stdout().lock())?);
        }
        start_logging(settings.log_format, settings.log_level, None);
        run::run(&settings)
    }
}
