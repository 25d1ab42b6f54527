//! `cloister algorithm new`: what it makes is built, run in the sandbox and compared, in a folder outside of the checkout, with
//! the compilers that the scripts of this repository find.

use cloister_tests::{install_python, program, root, sandbox, service::cloister};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// What a script prints.
#[track_caller]
fn script(name: &str) -> String {
    let output = Command::new(root().join("scripts").join(name)).stdin(Stdio::null()).output().expect("sh");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// A template in an empty folder.
#[track_caller]
fn new(language: &str) -> TempDir {
    let folder = TempDir::new().expect("a temporary directory");
    assert!(!folder.path().starts_with(root()), "outside of the checkout");
    let mut command = Command::new(cloister());
    command.args(["algorithm", "new", language, "rows"]).current_dir(folder.path()).stdin(Stdio::null());
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// Runs a shell command in the template's folder, with `SANDBOX` set. Returns what it printed.
#[track_caller]
fn sh(folder: &Path, line: &str) -> (bool, String) {
    // The sandbox finds its home as in every other test.
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(folder.join("rows"))
        .stdin(Stdio::null())
        .envs(program().get_envs().filter_map(|(name, value)| Some((name, value?))));
    // Cargo runs these tests. What it builds here is apart from that.
    for name in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "MAKEFLAGS", "MAKELEVEL"]
    {
        command.env_remove(name);
    }
    command.env("SANDBOX", sandbox());
    let output = command.output().expect("a shell");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn builds_and_passes_its_test(language: &str, before: &str) -> TempDir {
    let folder = new(language);
    let (succeeded, said) = sh(folder.path(), &format!("{before} make && make test"));
    assert!(succeeded && said.contains("counted 5 rows"), "{language}: {said}");
    let rows = |name: &str| fs::read_to_string(folder.path().join("rows").join(name).join("rows.json"));
    assert_eq!(rows("results").expect("a result"), rows("expected").expect("what is expected"));
    // Its test can fail.
    fs::write(folder.path().join("rows/data/sample.csv"), "a\n1\n").expect("written");
    let (succeeded, said) = sh(folder.path(), &format!("{before} make test"));
    assert!(!succeeded, "{language}: {said}");
    folder
}

#[test]
fn rust() {
    // Prints assignments for a shell.
    let environment = script("rust-wasi.sh");
    let folder = builds_and_passes_its_test("rust", &format!("{environment}\n"));
    assert!(folder.path().join("rows/algorithm.wasm").exists());
}

#[test]
fn go() {
    let _ = builds_and_passes_its_test("go", &format!("export GO='{}'; ", script("go.sh")));
}

#[test]
fn c() {
    let _ = builds_and_passes_its_test("c", &format!("export WASI_CC=\"{}\"; ", script("c-wasi.sh")));
}

#[test]
fn python() {
    install_python();
    let _ = builds_and_passes_its_test("python", "");
}

#[test]
fn a_template_replaces_nothing() {
    let folder = new("c");
    let mut command = Command::new(cloister());
    command.args(["algorithm", "new", "go", "rows"]).current_dir(folder.path()).stdin(Stdio::null());
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!folder.path().join("rows/main.go").exists());
}
