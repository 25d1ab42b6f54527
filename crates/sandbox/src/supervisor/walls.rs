//! `--require-isolation`: refusing to run where a wall is missing.

use super::JobError;
use cloister_isolation::probe;
use cloister_model::Isolation;

/// Checks the kernel before any byte of the algorithm is parsed: the compiler process needs the walls, too.
pub(super) fn require_walls() -> Result<(), JobError> {
    let found = probe();
    let missing: Vec<String> = found
        .walls()
        .into_iter()
        .filter(|(_, status)| !status.is_enforced())
        .map(|(name, status)| format!("{name}: {}", status.detail()))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(JobError::NotIsolated(format!("kernel {} lacks {}", found.kernel, missing.join("; "))))
    }
}

/// The refusal of a worker that found a wall missing.
pub(super) fn not_isolated(isolation: Option<&Isolation>) -> JobError {
    JobError::NotIsolated(match isolation {
        None => "no wall reported".to_owned(),
        Some(isolation) => {
            let missing = isolation.missing().map(|(wall, state)| format!("{wall:?} {state:?}"));
            missing.collect::<Vec<_>>().join("; ")
        }
    })
}
