use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing between the guest's process and the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Wall {
    /// A process of its own for the guest, that the supervisor can kill.
    Process,
    /// Landlock: which files the process can open, and how; no TCP; no signals to others.
    Landlock,
    /// seccomp: the few system calls the process can make; any other kills it.
    Seccomp,
    /// `no_new_privs`: nothing the process starts can gain rights.
    NoNewPrivs,
    /// Resource limits: open files, file size, processor seconds, core dumps.
    Rlimits,
    /// `openat2` with `RESOLVE_BENEATH`: the kernel itself refuses a path that leaves its directory.
    Openat2,
    /// Every inherited descriptor and environment variable is gone.
    Inheritance,
}

/// Whether a wall stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum WallState {
    /// In force, entirely.
    Enforced {
        /// What exactly, such as `ABI 7`.
        detail: String,
    },
    /// In force in part: an older kernel knows fewer of its rules.
    Partial {
        /// What is missing.
        detail: String,
    },
    /// Not there.
    Absent {
        /// Why, and what would bring it.
        detail: String,
    },
}

/// The walls around one run. A wall that is not listed was not put up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Isolation(pub BTreeMap<Wall, WallState>);

impl Isolation {
    /// The walls that must stand for a run to count as isolated.
    pub const REQUIRED: [Wall; 7] = [
        Wall::Process,
        Wall::Landlock,
        Wall::Seccomp,
        Wall::NoNewPrivs,
        Wall::Rlimits,
        Wall::Openat2,
        Wall::Inheritance,
    ];

    /// The required walls that do not stand entirely.
    pub fn missing(&self) -> impl Iterator<Item = (Wall, Option<&WallState>)> {
        Self::REQUIRED
            .iter()
            .map(|&wall| (wall, self.0.get(&wall)))
            .filter(|(_, state)| !matches!(state, Some(WallState::Enforced { .. })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_without_a_report_is_missing() {
        let mut isolation = Isolation::default();
        assert_eq!(isolation.missing().count(), 7);
        isolation.0.insert(Wall::Seccomp, WallState::Partial { detail: String::new() });
        assert_eq!(isolation.missing().count(), 7);
        isolation.0.insert(Wall::Seccomp, WallState::Enforced { detail: String::new() });
        assert_eq!(isolation.missing().count(), 6);
    }
}
