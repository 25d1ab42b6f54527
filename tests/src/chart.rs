//! The chart of `deploy/helm/cloister`, through the Helm that `scripts/helm.sh` builds.

use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// The namespace of the programs in these tests and in the documentation.
pub const SYSTEM: &str = "cloister-system";

/// The folder of the chart.
#[must_use]
pub fn folder() -> PathBuf {
    crate::root().join("deploy/helm/cloister")
}

/// The program; built if it is missing.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn helm() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let script = crate::root().join("scripts/helm.sh");
        let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script starts");
        assert!(output.status.success(), "scripts/helm.sh: {}", output.status);
        PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
    };
    PROGRAM.get_or_init(build).clone()
}

/// Runs Helm with these arguments.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run(arguments: &[&str]) -> Output {
    Command::new(helm()).args(arguments).stdin(Stdio::null()).output().expect("helm starts")
}

/// What the chart makes of these values, `--set` and the like; without a cluster.
///
/// # Errors
/// What Helm says.
///
/// # Panics
/// If it cannot be started.
pub fn render(values: &[&str]) -> Result<String, String> {
    let chart = folder().display().to_string();
    // Otherwise Helm takes its own version for that of the cluster.
    // What `helm test` makes is not of an installation.
    let fixed = ["template", "cloister", &chart, "--namespace", SYSTEM, "--kube-version", "1.35.0", "--skip-tests"];
    let output = run(&[&fixed, values].concat());
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The name of an object among all: kind, namespace, name.
#[must_use]
pub fn identity(object: &Value) -> String {
    let of = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
    format!("{} {} {}", of("/kind"), of("/metadata/namespace"), of("/metadata/name"))
}
