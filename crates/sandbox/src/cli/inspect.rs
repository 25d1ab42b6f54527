use super::{
    Usage, code_for,
    limits::{HELP, LimitsArgument},
    print,
    progress::Progress,
    show,
};
use clap::Args;
use cloister_model::InspectedProgram;
use cloister_sandbox::{
    compiler::{Role, inspect},
    hash::sha256,
    home::{Home, HomeError},
    host_file::open_regular,
};
use std::path::PathBuf;

/// Show what an algorithm is, what it imports, and whether it may run
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The algorithm: a WebAssembly module or component
    algorithm: PathBuf,
    #[arg(long, value_name = "FILE | NAME=VALUE[,...]", help = HELP)]
    limits: Vec<LimitsArgument>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn execute(self, _home: impl FnOnce() -> Result<Home, HomeError>) -> anyhow::Result<u8> {
        let Self { algorithm, limits, json } = self;
        let limits = LimitsArgument::resolve(&limits)?;
        let wrong = |error| Usage::file("algorithm", &algorithm, error);
        let file = open_regular(&algorithm).map_err(wrong)?;
        let (sha256, bytes) = sha256(&file).map_err(wrong)?;
        let mut progress = Progress::new(false, None);
        let (admission, outcome) = inspect(&file, &Role::Algorithm, &limits, &mut progress)?;
        progress.finish();
        let inspected = InspectedProgram { sha256, bytes, admission, outcome, script: None };
        if json {
            print(&show::json(&serde_json::to_value(&inspected)?)?);
        } else {
            print(&inspected.to_string());
        }
        Ok(inspected.outcome.as_ref().map_or(0, code_for))
    }
}
