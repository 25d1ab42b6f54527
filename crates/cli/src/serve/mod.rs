//! `cloister serve`: one service in one folder.

mod applied;
mod engine;
mod logging;
mod machine;
mod notify;
mod operator_key;
mod sandbox;
mod secrets;
mod service;
mod settings;
mod telemetry;

pub(crate) use logging::start as start_logging;
pub(crate) use sandbox::find as find_sandbox;
pub(crate) use secrets::{MakeSecrets, RECEIPT_KEY, SERVICE_SECRET};
pub(crate) use service::openapi;
pub(crate) use settings::{own_folders, results, sources};
use telemetry::Traces;

use crate::{
    client::DEFAULT_HOME,
    config::{Layers, Settings, print},
    context::Context,
    exit::Usage,
};
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// The name of the configuration file in the service's folder.
pub(crate) const CONFIG_FILE: &str = "cloister.toml";

/// Run a service on this machine
///
/// Everything is kept in one folder: --home, else $CLOISTER_HOME_DIR, else `cloister-data` in the current folder. Nothing
/// needs to be configured. The first start creates an operator's key and stores it in `operator.key` in that folder; it prints the key
/// to a terminal, never to a file or a journal. On this machine, the other commands find the key if they use the same folder.
///
/// Settings come from `cloister.toml` in the folder (or --config), from $CLOISTER_... variables, and from flags. Flags take
/// precedence over variables, variables over the file. `cloister serve --print-config` shows all settings, their values, and
/// where each value comes from.
///
/// With `--engine k8s`, jobs run on a Kubernetes cluster, where `cloister engine` runs them. The service then keeps nothing in its
/// folder that it needs again, and any number of replicas share the secrets that `cloister secrets` makes.
///
/// SIGTERM and SIGINT end the service. Running algorithms continue, and the next start takes their jobs up.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The configuration file [default: $CLOISTER_CONFIG, else cloister.toml in the service's folder, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on; port 0 is any free port [default: 127.0.0.1:8090]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where jobs run: `local` or `k8s`, see the settings `engine.kind` and `k8s.*` [default: local]
    #[arg(long, value_name = "KIND")]
    engine: Option<String>,
    /// The `sandbox` program [default: the one beside this program, else the first on PATH]
    #[arg(long, value_name = "FILE")]
    sandbox: Option<String>,
    /// Where the sandbox program keeps compiled programs and runtimes [default: `sandbox` in the service's folder]
    #[arg(long, value_name = "DIR")]
    sandbox_home: Option<String>,
    /// PEM file with the certificate chain for HTTPS
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// PEM file with the private key for HTTPS
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Listen on addresses of other machines without TLS. Only on a trusted network
    #[arg(long)]
    insecure_http: bool,
    /// `auto`, `text` or `json` [default: text on a terminal, JSON elsewhere]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// `error`, `warn`, `info`, `debug` or `trace` [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Any setting. Can be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Create a new operator's key, as at the first start. Earlier keys stay valid until they are revoked
    #[arg(long)]
    new_operator_key: bool,
    /// Create a new key for receipts if `receipt.key` is lost. Receipts that were given out cannot be verified with it
    #[arg(long)]
    new_receipt_key: bool,
    /// Write the address to this file once the service listens
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// End when standard input ends: for programs that start a service temporarily
    #[arg(long, hide = true)]
    until_eof: bool,
    /// Print all settings and where their values come from, and end
    #[arg(long)]
    print_config: bool,
}

/// What starting the service needs.
#[derive(Debug)]
struct Start {
    settings: Settings,
    new_operator_key: bool,
    new_receipt_key: bool,
    ready_file: Option<PathBuf>,
    until_eof: bool,
}

impl Serve {
    pub(crate) fn execute(self, context: &Context) -> anyhow::Result<()> {
        let layers = self.layers(context.connection.home.as_deref(), |name| std::env::var_os(name), environment()?)?;
        let settings = Settings::resolve(&layers)?;
        if self.print_config {
            return Ok(print(&settings, &layers, io::stdout().lock())?);
        }
        let Self { new_operator_key, new_receipt_key, ready_file, until_eof, .. } = self;
        // Dropped last, when the service's runtime is gone: the remaining spans are sent then.
        let traces = Traces::start(&settings)?;
        logging::start(settings.log_format, settings.log_level, traces.as_ref());
        service::run(Start { settings, new_operator_key, new_receipt_key, ready_file, until_eof })
    }

    /// Collects the settings of all layers.
    fn layers(
        &self,
        home: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
        environment: Vec<(String, String)>,
    ) -> anyhow::Result<Layers> {
        let home_flag = home.map(|home| home.to_string_lossy().into_owned());
        let flags = [
            ("--home", "home", &home_flag),
            ("--listen", "listen", &self.listen),
            ("--engine", "engine.kind", &self.engine),
            ("--sandbox", "sandbox", &self.sandbox),
            ("--sandbox-home", "sandbox_home", &self.sandbox_home),
            ("--tls-cert", "tls.certificate", &self.tls_cert),
            ("--tls-key", "tls.key", &self.tls_key),
            ("--log-format", "log.format", &self.log_format),
            ("--log-level", "log.level", &self.log_level),
            ("--insecure-http", "insecure_http", &self.insecure_http.then(|| "true".to_owned())),
        ];
        collect(self.config.as_deref(), home, variable, environment, &flags, &self.set)
    }
}

/// Collects the settings of all layers: of the configuration file that is `given`, or that lies in the folder; of environment
/// variables; of flags with the settings that they are for; and of `--set`.
///
/// # Errors
/// The first name that is no setting, and a file that cannot be read.
pub(crate) fn collect(
    given: Option<&Path>,
    home: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    environment: Vec<(String, String)>,
    flags: &[(&str, &str, &Option<String>)],
    set: &[String],
) -> anyhow::Result<Layers> {
    let mut layers = Layers::default();
    let given = given.map(Path::to_owned).or_else(|| variable("CLOISTER_CONFIG").map(PathBuf::from));
    match given {
        Some(file) => layers.file(&file)?,
        None => {
            let folder = home.map(Path::to_owned).or_else(|| variable("CLOISTER_HOME_DIR").map(PathBuf::from));
            let file = folder.unwrap_or_else(|| PathBuf::from(DEFAULT_HOME)).join(CONFIG_FILE);
            if file.exists() {
                layers.file(&file)?;
            }
        }
    }
    layers.environment(environment)?;
    for (flag, key, value) in flags {
        layers.flag(flag, key, (*value).clone())?;
    }
    for pair in set {
        layers.set(pair)?;
    }
    Ok(layers)
}

/// Our environment variables as text. Others may contain anything.
pub(crate) fn environment() -> anyhow::Result<Vec<(String, String)>> {
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLOISTER_"));
    ours.map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        let value =
            value.into_string().map_err(|_| Usage::error(format!("the environment variable {name} is not UTF-8")))?;
        Ok((name, value))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        serve: Serve,
    }

    #[test]
    fn the_file_in_the_folder_is_found_and_flags_take_precedence() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join(CONFIG_FILE);
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nlog.level = \"warn\"\n").expect("written");
        let line = ["serve", "--listen", "127.0.0.1:0", "--set", "engine.max_queued=5", "--insecure-http"];
        let serve = Line::try_parse_from(line).expect("a command").serve;
        let layers = serve.layers(Some(home.path()), |_| None, Vec::new()).expect("layers");
        assert_eq!(layers.origin("log.level"), Origin::File(file.clone(), 2));
        assert_eq!(layers.origin("listen"), Origin::Flag("--listen".to_owned()));
        assert_eq!(layers.origin("engine.max_queued"), Origin::Flag("--set".to_owned()));
        assert_eq!(layers.origin("home"), Origin::Flag("--home".to_owned()));
        assert!(Settings::resolve(&layers).expect("settings").insecure_http);
        let found = |name: &str| (name == "CLOISTER_HOME_DIR").then(|| home.path().as_os_str().to_owned());
        let variables = vec![("CLOISTER_HOME_DIR".to_owned(), home.path().to_string_lossy().into_owned())];
        let layers = serve.layers(None, found, variables).expect("layers");
        assert_eq!(layers.origin("log.level"), Origin::File(file, 2));
        assert_eq!(layers.origin("home"), Origin::Environment("CLOISTER_HOME_DIR".to_owned()));
    }

    #[test]
    fn a_configuration_file_that_was_named_must_exist() {
        let serve = Line::try_parse_from(["serve", "--config", "/nowhere/cloister.toml"]).expect("a command").serve;
        let error = serve.layers(None, |_| None, Vec::new()).expect_err("no file").to_string();
        assert!(error.contains("/nowhere/cloister.toml"), "{error}");
    }
}
