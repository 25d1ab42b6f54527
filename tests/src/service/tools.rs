//! What `scripts/test-tools.sh` installs.

use crate::root;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// A program of the virtual environment.
///
/// # Panics
/// If it is not installed.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let tools = root().join("target/test-tools");
    assert!(
        tools.join("installed.txt").exists(),
        "the tools of the tests are not installed: run scripts/test-tools.sh"
    );
    tools.join("bin").join(name)
}

/// Debian's libfaketime.
///
/// # Panics
/// If it is not installed.
#[must_use]
pub fn faketime() -> PathBuf {
    let triple = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
    let places = [triple, "/usr/lib/faketime/libfaketime.so.1".to_owned()];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.expect("libfaketime is not installed: run scripts/test-tools.sh as root, or install Debian's libfaketime")
}

/// A Python program, run by the Python that has the packages.
#[derive(Debug)]
pub struct Python;

impl Python {
    /// Runs it, and gives what it printed.
    ///
    /// # Panics
    /// If it fails: with what it said.
    #[must_use]
    #[track_caller]
    pub fn run(program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(tool("python"));
        let output =
            command.arg("-c").arg(program).args(arguments).stdin(Stdio::null()).output().expect("Python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
}
