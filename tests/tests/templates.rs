//! `cloister algorithm new`. What it makes is built, tested, published and run in `first_hour.rs`, for each language.

use cloister_tests::service::cloister;
use std::process::{Command, Stdio};
use tempfile::TempDir;

#[test]
fn a_template_replaces_nothing() {
    let folder = TempDir::new().expect("a temporary directory");
    let new = |language: &str| {
        let mut command = Command::new(cloister());
        command.args(["algorithm", "new", language, "rows"]).current_dir(folder.path()).stdin(Stdio::null());
        command.output().expect("the program starts")
    };
    let output = new("c");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = new("go");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!folder.path().join("rows/main.go").exists());
}
