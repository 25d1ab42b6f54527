//! A place to make mistakes in, and what every mistake has in common.

use cloister_tests::program;
use std::{fs, os::unix::fs::symlink, process::Output};
use tempfile::TempDir;

const DATA: &str = "a,b\n1,2\n";
const CONTRACT: &str = r#"{"maxFiles":3}"#;

/// A directory in which everything is right: `good.wasm`, `data.csv`, a tree `data`, and files to misuse.
pub(crate) struct Bench(pub(crate) TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self(TempDir::new().expect("a temporary directory"));
        let good =
            wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).expect("a module");
        fs::create_dir_all(bench.at("data/inputs/d")).expect("made");
        fs::create_dir_all(bench.at("no-inputs/ddos")).expect("made");
        fs::create_dir_all(bench.at("strange/inputs/not a did")).expect("made");
        fs::create_dir_all(bench.at("full")).expect("made");
        symlink(bench.at("data/inputs"), bench.at("link")).expect("a link");
        for (name, content) in [
            ("good.wasm", good.as_slice()),
            ("data.csv", DATA.as_bytes()),
            ("data/inputs/d/0", DATA.as_bytes()),
            ("full/earlier.csv", b"1"),
            ("text.json", b"not json"),
            ("list.json", b"[]"),
            ("large.json", format!("\"{}\"", "x".repeat(1024 * 1024)).as_bytes()),
            ("contract.json", CONTRACT.as_bytes()),
            ("contract-field.json", br#"{"maxFile":3}"#),
            ("contract-type.json", br#"{"maxFiles":"three"}"#),
            ("contract-name.json", br#"{"names":["../*"]}"#),
            ("contract-use.json", br#"{"names":[]}"#),
            ("contract-huge.json", br#"{"maxBytes":18446744073709551615}"#),
            ("limits-field.json", br#"{"memory":3}"#),
            ("limits-zero.json", br#"{"memoryBytes":0}"#),
        ] {
            fs::write(bench.at(name), content).expect("written");
        }
        bench
    }

    pub(crate) fn at(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Every file and directory, with what is in it.
    pub(crate) fn content(&self) -> Vec<(String, Vec<u8>)> {
        let (mut found, mut open) = (Vec::new(), vec![self.0.path().to_owned()]);
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).expect("a directory") {
                let entry = entry.expect("an entry");
                let is_directory = entry.file_type().expect("a type").is_dir();
                found.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap_or_default()));
                open.extend(is_directory.then(|| entry.path()));
            }
        }
        found.sort();
        found
    }

    pub(crate) fn sandbox(&self, arguments: &[&str]) -> Output {
        program().args(arguments).current_dir(self.0.path()).output().expect("the program starts")
    }
}

/// Asserts a single line on stderr that says all of `said`.
#[track_caller]
#[expect(clippy::panic, reason = "a helper of tests fails them by panicking")]
pub(crate) fn assert_one_line(output: &Output, said: &[&str]) {
    let line = String::from_utf8(output.stderr.clone()).expect("text");
    let text = line.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {line:?}"));
    assert!(text.starts_with("sandbox: ") && !text.chars().any(char::is_control), "{line:?}");
    assert!(text.len() < 600, "too long for a line: {line}");
    for said in said {
        assert!(text.contains(said), "says nothing of {said:?}: {line}");
    }
}

/// Asserts that a command line is refused as bad usage, in one line, and that nothing was touched.
#[track_caller]
pub(crate) fn assert_usage(bench: &Bench, arguments: &[&str], said: &[&str]) {
    let before = bench.content();
    let output = bench.sandbox(arguments);
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
    assert_one_line(&output, said);
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let mut after = bench.content();
    // The empty directory that was made for results may stay.
    after.retain(|(path, _)| *path != bench.at("out").display().to_string());
    assert_eq!(before, after, "{arguments:?} touched something");
}

/// The words of a run in which everything is right, with some of them replaced or added.
pub(crate) fn run<'a>(changes: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["run"];
    let (options, algorithm): (Vec<_>, Vec<_>) = changes.chunks(2).partition(|pair| pair[0].starts_with("--"));
    arguments.push(algorithm.first().map_or("good.wasm", |words| words[0]));
    let has = |option: &str| options.iter().any(|pair| pair[0] == option);
    for (option, value) in [("--dataset", "d=data.csv"), ("--outputs", "out")] {
        if !has(option) && (option != "--dataset" || !has("--data")) {
            arguments.extend([option, value]);
        }
    }
    arguments.extend(options.concat());
    // The default of the harness would be as good, but this is what is counted to be absent.
    for (option, value) in [("--report", "report.json"), ("--log", "log")] {
        if !has(option) {
            arguments.extend([option, value]);
        }
    }
    arguments
}
