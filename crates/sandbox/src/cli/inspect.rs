use super::{
    Usage, code_for,
    limits::{HELP, LimitsArgument},
    print,
    progress::Progress,
    show,
};
use clap::Args;
use cloister_model::{Admission, Capability, Outcome, Sha256, Verdict};
use cloister_sandbox::{
    compiler::{Role, inspect},
    hash::sha256,
    home::{Home, HomeError},
    host_file::open_regular,
};
use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

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
        let (digest, size) = sha256(&file).map_err(wrong)?;
        let mut progress = Progress::new(false, None);
        let (admission, outcome) = inspect(&file, &Role::Algorithm, &limits, &mut progress)?;
        progress.finish();
        let code = outcome.as_ref().map_or(0, code_for);
        if json {
            let value =
                serde_json::json!({ "sha256": digest, "bytes": size, "admission": admission, "outcome": outcome });
            print(&show::json(&value)?);
        } else {
            print(&describe(digest, size, admission.as_ref(), outcome.as_ref()));
        }
        Ok(code)
    }
}

/// The most entries of a list that are shown.
const SHOWN: usize = 40;

fn describe(digest: Sha256, size: u64, admission: Option<&Admission>, outcome: Option<&Outcome>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("sha256", &digest.to_string());
    line("size", &show::bytes(size));
    if let Some(admission) = admission {
        line("kind", admission.kind.map_or("not a WebAssembly program", cloister_model::ModuleKind::describe));
        for tool in &admission.toolchain {
            line(
                "toolchain",
                &format!("{} {} ({})", show::name(&tool.name), show::name(&tool.version), show::name(&tool.field)),
            );
        }
        if admission.functions > 0 {
            let functions = show::count(admission.functions, "function");
            line("code", &format!("{functions}, {}", show::bytes(admission.code_bytes)));
        }
        for memory in &admission.memories {
            let most = memory.maximum_pages.map_or("up to the memory limit".to_owned(), |pages| {
                format!("to at most {}", show::bytes(pages.saturating_mul(65_536)))
            });
            line("memory", &format!("{}, grows {most}", show::bytes(memory.initial_pages.saturating_mul(65_536))));
        }
        let mut groups: BTreeMap<Capability, Vec<String>> = BTreeMap::new();
        for import in &admission.imports {
            let what = if import.name.is_empty() { &import.module } else { &import.name };
            groups.entry(import.allows).or_default().push(show::name(what));
        }
        for (capability, names) in groups {
            let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
            line(
                "asks for",
                &format!("{}: {}{more}", capability.describe(), names[..names.len().min(SHOWN)].join(", ")),
            );
        }
        let exports: Vec<String> = admission.exports.iter().take(SHOWN).map(|export| show::name(export)).collect();
        if !exports.is_empty() {
            line("exports", &exports.join(", "));
        }
        match &admission.verdict {
            Verdict::Admitted => line("verdict", "admitted"),
            Verdict::Refused { refusals } => {
                for refusal in refusals {
                    line("REFUSED", &refusal.to_string());
                }
            }
        }
    } else if let Some(outcome) = outcome {
        line("verdict", &outcome.to_string());
    }
    text.trim_end().to_owned()
}
