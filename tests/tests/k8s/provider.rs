//! The Provider in miniature of `tests/conformance`, which asks the service of an installation.

use cloister_tests::service::tool;
use serde_json::Value;
use std::process::{Child, Command, Stdio};

/// A Provider's key: a test key, published in Ocean's own documentation; and its address.
const KEY: &str = "0x2222222222222222222222222222222222222222222222222222222222222222";
pub(super) const ADDRESS: &str = "0x1563915e194D8CfBA1943570603F7606A3115508";

/// A Provider that asks, and checks the answers.
pub(super) struct Asking(Child);

impl Asking {
    /// Starts it. `assets` are the DIDs of a dataset and of an algorithm.
    pub(super) fn start(url: &str, assets: &[String; 2], options: &[&str]) -> Self {
        let child = Command::new(tool("python"))
            .arg(cloister_testkit::root().join("tests/conformance/provider.py"))
            .args([url, KEY])
            .args(assets)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python starts");
        Self(child)
    }

    /// Waits for its end, and gives its checks. All of them passed.
    pub(super) fn passed(self) -> Vec<Value> {
        let output = self.0.wait_with_output().expect("Python ends");
        let said = String::from_utf8_lossy(&output.stdout);
        let checks: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let failed: Vec<_> = checks.iter().filter(|check| check["ok"] != true).collect();
        assert!(
            output.status.success() && failed.is_empty() && !checks.is_empty(),
            "{failed:#?}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        checks
    }
}
