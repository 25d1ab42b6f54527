//! Programs and guests that tests run: built beforehand, because a test that compiles an engine takes minutes.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Something that a test needs has not been built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Where it was looked for.
    pub path: PathBuf,
    /// The command that builds it.
    pub command: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` has not been built; run `{}` first", self.path.display(), self.command)
    }
}

impl std::error::Error for Missing {}

/// The repository.
///
/// # Panics
/// If this crate does not lie in `crates/testkit`.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository")
}

/// Where cargo puts what it builds: `CARGO_TARGET_DIR`, or `target` in the repository.
#[must_use]
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |target| root().join(target))
}

/// A program of the workspace, `sandbox` or `cloister`: the one that `CLOISTERDEV_SANDBOX` or `CLOISTERDEV_PROGRAM` names, or
/// the one that `make build` leaves.
///
/// # Errors
/// [`Missing`] if it has not been built.
pub fn program(name: &str) -> Result<PathBuf, Missing> {
    let variable = match name {
        "cloister" => Some("CLOISTERDEV_PROGRAM"),
        "sandbox" => Some("CLOISTERDEV_SANDBOX"),
        _ => None,
    };
    let path = variable.and_then(env::var_os).map_or_else(|| target().join("release").join(name), PathBuf::from);
    if path.is_file() { Ok(path) } else { Err(Missing { path, command: "make build".to_owned() }) }
}

/// A guest that `scripts/guests.sh` builds from `algorithms/NAME`, by the name of its file, such as
/// `column-stats.p1.wasm`.
///
/// # Errors
/// [`Missing`] if it has not been built.
pub fn guest(file: &str) -> Result<PathBuf, Missing> {
    let path = root().join("target/guests").join(file);
    if path.is_file() {
        return Ok(path);
    }
    // A folder may build several guests. What does not bear its folder's name is built with all others.
    let name = file.split('.').next().unwrap_or(file);
    let folder = root().join("algorithms").join(name).is_dir();
    let command = if folder { format!("scripts/guests.sh {name}") } else { "scripts/guests.sh".to_owned() };
    Err(Missing { path, command })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_names_the_command_that_builds_it() {
        let missing = guest("column-stats.no-such-target.wasm").expect_err("not there").to_string();
        assert!(missing.ends_with("run `scripts/guests.sh column-stats` first"), "{missing}");
        let missing = Missing { path: "target/release/sandbox".into(), command: "make build".to_owned() };
        assert_eq!(missing.to_string(), "`target/release/sandbox` has not been built; run `make build` first");
    }

    #[test]
    fn the_repository_is_found() {
        assert!(root().join("Cargo.toml").is_file() && root().join("algorithms").is_dir());
    }
}
