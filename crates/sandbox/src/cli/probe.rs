use super::{NOT_ISOLATED, print, show};
use clap::Args;
use cloister_isolation::{Status, probe};
use serde_json::json;

/// Say what isolation this kernel offers
#[derive(Debug, Args)]
pub(super) struct Probe {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Probe {
    /// Exits with 0 only if every wall could be put up.
    pub(super) fn execute(self) -> anyhow::Result<u8> {
        let found = probe();
        let walls = found.walls();
        let complete = walls.iter().all(|(_, status)| status.is_enforced());
        if self.json {
            let walls: serde_json::Map<_, _> = walls
                .iter()
                .map(|(name, status)| {
                    let (state, detail) = parts(status);
                    ((*name).to_owned(), json!({ "state": state, "detail": detail }))
                })
                .collect();
            let value = json!({ "kernel": found.kernel, "complete": complete, "walls": walls });
            print(&show::json(&value)?);
        } else {
            print(&format!("kernel        {}", found.kernel));
            for (name, status) in walls {
                let (state, detail) = parts(status);
                let what = purpose(name);
                print(&format!("{name:<13} {state:<8} {what} ({detail})"));
            }
            print(if complete {
                "every wall can be put up"
            } else {
                "NOT every wall can be put up: --require-isolation would refuse"
            });
        }
        Ok(if complete { 0 } else { NOT_ISOLATED })
    }
}

fn parts(status: &Status) -> (&'static str, &str) {
    match status {
        Status::Enforced(detail) => ("offered", detail),
        Status::Partial(detail) => ("in part", detail),
        Status::Absent(detail) => ("MISSING", detail),
    }
}

/// What a wall is for, in a phrase.
fn purpose(wall: &str) -> &'static str {
    match wall {
        "landlock" => "which files can be opened",
        "seccomp" => "which system calls can be made",
        "no-new-privs" => "no rights can be gained",
        "openat2" => "paths cannot leave their directory",
        "memfd-seals" => "what is handed over cannot change",
        "pidfd" => "the right process is killed",
        _ => "",
    }
}
