use super::{
    Usage, code_for,
    limits::{HELP, LimitsArgument},
    print,
    progress::Progress,
    show,
};
use clap::Args;
use cloister_model::Profile;
use cloister_sandbox::{
    cache::Cache,
    compiler::{Compiled, Role, compile},
    engine::EngineSettings,
    hash::sha256,
    home::{Home, HomeError},
    host_file::open_regular,
    runtime::Runtime,
};
use std::path::PathBuf;

/// Check and compile an algorithm or runtime ahead of time, so that its first run starts faster
#[derive(Debug, Args)]
pub(super) struct Compile {
    /// The algorithm: a WebAssembly module or component
    #[arg(required_unless_present = "runtime")]
    algorithm: Option<PathBuf>,
    /// Compile this installed runtime instead
    #[arg(long, value_name = "NAME", conflicts_with = "algorithm")]
    runtime: Option<String>,
    /// The profile of the later runs
    #[arg(long, default_value_t)]
    profile: Profile,
    /// The limits of the later runs: a run with a fuel limit needs different machine code
    #[arg(long, value_name = "FILE | NAME=VALUE[,...]", long_help = HELP)]
    limits: Vec<LimitsArgument>,
}

impl Compile {
    pub(super) fn execute(self, home: impl FnOnce() -> Result<Home, HomeError>) -> anyhow::Result<u8> {
        let Self { algorithm, runtime, profile, limits } = self;
        let limits = LimitsArgument::resolve(&limits)?;
        let home = home()?;
        let runtime = runtime.map(|name| Runtime::find(&home, &name)).transpose()?;
        let (module, digest, role, limits) = match (&runtime, &algorithm) {
            (Some(runtime), _) => {
                (runtime.open_module()?, runtime.module_sha256(), runtime.role(), runtime.needs().raise(&limits))
            }
            (None, Some(path)) => {
                let wrong = |error| Usage::file("algorithm", path, error);
                let file = open_regular(path).map_err(wrong)?;
                let (digest, _) = sha256(&file).map_err(wrong)?;
                (file, digest, Role::Algorithm, limits)
            }
            (None, None) => return Err(Usage("give an algorithm, or --runtime NAME".to_owned()).into()),
        };
        let engine = EngineSettings { profile, exceptions: runtime.is_some(), fuel: limits.fuel.is_some() };
        let mut progress = Progress::new(false, None);
        let compiled = compile(&Cache::open(&home)?, || Ok(module), digest, &role, engine, &limits, &mut progress);
        progress.finish();
        match compiled? {
            Compiled::Ready { artifact, elapsed } => {
                let spent = elapsed.map_or("earlier".to_owned(), |elapsed| {
                    format!("in {}", show::millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)))
                });
                print(&format!(
                    "compiled {spent}: {} of machine code for the {profile} profile",
                    show::bytes(artifact.bytes)
                ));
                Ok(0)
            }
            Compiled::Not { outcome, .. } => {
                print(&outcome.to_string());
                Ok(code_for(&outcome))
            }
        }
    }
}
