//! docs/writing-algorithms.md, followed as it is written: every program in it is built, run in the sandbox and compared, in an empty
//! folder.

#![expect(clippy::panic, reason = "helpers of tests fail them by panicking")]

use cloister_tests::{
    document::{Block, blocks},
    install_javascript, install_python, program, root, sandbox,
    service::cloister,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Blocks that are not run, by their first line, and what covers them.
const ELSEWHERE: [(&str, &str); 7] = [
    ("cloister algorithm new rust rows      # or go, c, python, javascript", "tests/first_hour.rs"),
    (
        "cloister run app/ --dataset alice/penguins",
        "a folder of the reader's: tests/service/flows/tree.rs, tests/hostile/archives.rs",
    ),
    (
        "cloister run tool.wasm --dataset alice/penguins -- --mode fast",
        "a program of the reader's: tests/hostile/archives.rs",
    ),
    ("# requirements.txt", "crates/cli/src/requirements.rs, tests/service/flows/packages.rs"),
    ("algorithm:", "tests/service/flows/computing.rs#parameters_fill_the_arguments_of_a_published_algorithm"),
    ("{", "the defaults of a contract: crates/model/src/output_contract.rs"),
    ("DIR/inputs/<did>/0", "a layout: tests/samples.rs"),
];

/// The blocks of one language: those from its first one to the next heading's.
struct Language {
    /// What the fence of its program says.
    name: &'static str,
    /// Where its results are.
    results: &'static str,
}

const LANGUAGES: [Language; 5] = [
    Language { name: "rust", results: "results-rust" },
    Language { name: "c", results: "results-c" },
    Language { name: "go", results: "results-go" },
    Language { name: "python", results: "results-python" },
    Language { name: "javascript", results: "results-javascript" },
];

/// The file that a program's first line names: `// NAME`, `/* NAME */` or `# NAME`.
fn file_name(block: &Block) -> &str {
    block.first().trim_start_matches(['/', '*', '#', ' ']).trim_end_matches(['*', '/', ' '])
}

/// Runs commands as they are written, in a shell of their own.
#[track_caller]
fn run(folder: &Path, commands: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-ec", commands]).current_dir(folder).stdin(Stdio::null());
    command.envs(program().get_envs().filter_map(|(name, value)| Some((name, value?))));
    // Cargo runs these tests. What it builds here is apart from that.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    let programs = [sandbox(), cloister()].map(|program| program.parent().map(Path::to_owned).expect("a folder"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path))).expect("a path");
    let output = command.env("PATH", path).env("REPOSITORY", root()).output().expect("a shell");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{commands}\n{said}\n{complained}");
    format!("{said}{complained}")
}

/// Follows the section of one language, in an empty folder.
#[track_caller]
fn follow(name: &str) {
    let language = LANGUAGES.iter().find(|language| language.name == name).expect("a language");
    let folder = tempfile::tempdir().expect("a folder");
    for block in &section(language) {
        if block.language == "sh" {
            let _ = run(folder.path(), &block.text);
        } else {
            fs::write(folder.path().join(file_name(block)), &block.text).expect("written");
        }
    }
    let result = fs::read(folder.path().join(language.results).join("rows.json")).expect("a result");
    let rows: Value = serde_json::from_slice(&result).expect("JSON");
    let expected = if name == "python" { json!({"penguins": 344}) } else { json!({"rows": 344}) };
    assert_eq!(rows, expected, "{name}");
}

/// The blocks of one language: its program, what makes its place before, and what builds and runs it after.
fn section(language: &Language) -> Vec<Block> {
    let all = blocks("writing-algorithms.md");
    let program = all.iter().position(|block| block.language == language.name);
    let program = program.unwrap_or_else(|| panic!("no program in {}", language.name));
    let before = program.checked_sub(1).filter(|before| all[*before].first().starts_with("cargo new"));
    all[before.unwrap_or(program)..=program + 1].to_vec()
}

#[test]
fn rust_is_built_and_run_as_it_is_written() {
    follow("rust");
}

#[test]
fn c_is_built_and_run_as_it_is_written() {
    follow("c");
}

#[test]
fn go_is_built_and_run_as_it_is_written() {
    follow("go");
}

#[test]
fn python_is_run_as_it_is_written() {
    install_python();
    follow("python");
}

#[test]
fn javascript_is_run_as_it_is_written() {
    install_javascript();
    follow("javascript");
}

/// The first line of the block that makes a folder in JavaScript and runs it.
const FOLDER: &str = "mkdir -p app/lib";

#[test]
fn a_folder_in_javascript_is_run_as_it_is_written() {
    install_javascript();
    let folder = tempfile::tempdir().expect("a folder");
    let block = blocks("writing-algorithms.md").into_iter().find(|block| block.first() == FOLDER).expect("a block");
    let _ = run(folder.path(), &block.text);
    let result = fs::read(folder.path().join("results-folder/rows.json")).expect("a result");
    assert_eq!(result, br#"{"rows":344}"#);
}

#[test]
fn every_block_is_followed_or_named() {
    let followed: Vec<Block> = LANGUAGES.iter().flat_map(section).collect();
    let known = |block: &Block| {
        followed.contains(block)
            || ELSEWHERE.iter().any(|(first, _)| block.first() == *first)
            || block.first() == FOLDER
            || block.first().starts_with("export REPOSITORY=")
    };
    let left: Vec<_> = blocks("writing-algorithms.md").into_iter().filter(|block| !known(block)).collect();
    assert!(left.is_empty(), "blocks that nobody follows: {left:#?}");
    for (first, _) in ELSEWHERE {
        assert!(blocks("writing-algorithms.md").iter().any(|block| block.first() == first), "gone: {first}");
    }
}
