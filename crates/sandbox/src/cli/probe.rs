use super::{NOT_ISOLATED, print, show};
use clap::Args;
use cloister_isolation::{Status, probe};
use serde_json::json;

/// Show which isolation features this kernel offers
#[derive(Debug, Args)]
pub(super) struct Probe {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Probe {
    /// Returns exit code 0 only if every wall is available.
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
                "every wall is available"
            } else {
                "NOT every wall is available: --require-isolation would refuse to run"
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

/// What a wall restricts.
fn purpose(wall: &str) -> &'static str {
    match wall {
        "landlock" => "which files can be opened",
        "seccomp" => "which system calls can be made",
        "no-new-privs" => "no privileges can be gained",
        "openat2" => "paths cannot leave their directory",
        "memfd-seals" => "data passed to a process cannot change",
        "pidfd" => "a kill reaches the right process",
        _ => "",
    }
}
