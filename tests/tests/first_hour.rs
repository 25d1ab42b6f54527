//! What people do in their first hour: the scripts of `tests/first-hour`, one for each role, each in an empty folder. How long each
//! part took is printed. What they run is what the pages of the documentation tell.

#![expect(clippy::panic, reason = "helpers of tests fail them by panicking")]

use cloister_tests::{
    document::blocks,
    guest, install_javascript, install_python, program, root, sandbox,
    service::{Service, Setup, Who, cloister},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};
use tempfile::TempDir;

/// A folder that holds what people are given.
struct WorkFolder(TempDir);

impl WorkFolder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn put(&self, name: &str, content: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn put_key(&self, who: &Who) {
        let name = format!("{}.key", who.account);
        self.put(&name, who.key.as_bytes());
        fs::set_permissions(self.0.path().join(name), fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    fn put_column_stats(&self) {
        self.put("column-stats.wasm", &fs::read(guest("column-stats.p1.wasm")).expect("a guest"));
    }

    /// Runs a script of `tests/first-hour`, and prints how long its parts took. `before` is what this machine's shell needs to find
    /// a compiler.
    #[track_caller]
    fn run(&self, before: &str, script: &str, arguments: &[&str]) {
        let line = format!("{before}\nexec {}/tests/first-hour/{script} \"$@\"", root().display());
        let home = self.0.path().join("home");
        fs::create_dir_all(&home).expect("made");
        let mut command = Command::new("sh");
        command
            .args(["-ec", &line, script])
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .env_clear();
        // The sandbox finds its home as in every other test.
        command.envs(program().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("HOME", &home).env("REPOSITORY", root()).env("CLOISTER_LISTEN", "127.0.0.1:0");
        // Compilers are installed in the real home, and keep what they have compiled there.
        let real = std::env::var_os("HOME").map(|home| Path::new(&home).to_owned());
        for (name, below) in [
            ("CARGO_HOME", ".cargo"),
            ("RUSTUP_HOME", ".rustup"),
            ("GOCACHE", ".cache/go-build"),
            ("GOPATH", "go"),
            ("ZIG_GLOBAL_CACHE_DIR", ".cache/zig"),
        ] {
            if let Some(value) = std::env::var_os(name).or_else(|| Some(real.as_ref()?.join(below).into())) {
                command.env(name, value);
            }
        }
        let programs = [cloister(), sandbox()].map(|program| program.parent().map(Path::to_owned).expect("a folder"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path))).expect("a path");
        let began = Instant::now();
        let output = command.env("PATH", path).output().expect("a shell");
        let took = began.elapsed();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} {arguments:?}\n{said}\n{complained}");
        let parts: Vec<&str> = said.lines().filter(|line| is_milestone(line)).collect();
        assert!(!parts.is_empty(), "{script} has no milestone: {said}");
        let table = format!("{script} {}: {:.1} s\n{}\n", arguments.join(" "), took.as_secs_f32(), parts.join("\n"));
        // Not through `print!`, which a test that passes keeps to itself.
        let _ = std::io::stderr().lock().write_all(table.as_bytes());
    }
}

/// Whether a line is as `milestones.sh` prints them: `   1.2 s  published`.
fn is_milestone(line: &str) -> bool {
    line.trim_start().split_once(" s  ").is_some_and(|(seconds, _)| seconds.parse::<f32>().is_ok())
}

/// A block of a page that begins like this.
#[track_caller]
fn block(page: &str, beginning: &str) -> String {
    let found = blocks(page).into_iter().find(|block| block.text.starts_with(beginning));
    found.unwrap_or_else(|| panic!("{page} has no block `{beginning}`")).text
}

fn penguins() -> Vec<u8> {
    fs::read(root().join("data/penguins.csv")).expect("the penguins")
}

/// A service with alice's penguins under these rules, and bob's folder.
fn with_penguins(compute: &Value) -> (Service, WorkFolder) {
    let service = Setup::new().start();
    let (alice, bob) = (service.account("alice", "publisher"), service.account("bob", "author"));
    let csv = service.file("penguins.csv", penguins());
    let schema = json!({"columns": [
        {"name": "species", "type": "text", "values": ["Adelie", "Chinstrap", "Gentoo"]},
        {"name": "body_mass_g", "type": "integer", "unit": "g", "minimum": 2500, "maximum": 6500},
    ]});
    let files = json!([{"type": "local", "path": csv}]);
    let _ = service.publish_dataset(&alice, "penguins", &json!({"files": files, "compute": compute, "schema": schema}));
    let work = WorkFolder::new();
    work.put_key(&bob);
    (service, work)
}

#[test]
fn a_steward_gets_to_a_reviewed_release() {
    let service = Setup::new().start();
    let work = WorkFolder::new();
    for (name, role) in [("alice", "publisher"), ("bob", "author")] {
        work.put_key(&service.account(name, role));
    }
    work.put("penguins.yaml", block("publishers.md", "apiVersion:").as_bytes());
    work.put("contract.yaml", block("publishers.md", "compute:\n  outputContract:").as_bytes());
    work.put("data/penguins.csv", &penguins());
    work.put("column-stats.yaml", block("consumers.md", "apiVersion:").as_bytes());
    work.put_column_stats();
    work.run("", "steward.sh", &[&service.url()]);
}

#[test]
fn a_scientist_gets_from_made_up_rows_to_a_result() {
    install_python();
    let (service, work) = with_penguins(&json!({"allowRawAlgorithm": true}));
    work.run("", "scientist.sh", &[&service.url()]);
}

/// What a script of this repository prints.
#[track_caller]
fn compiler(name: &str) -> String {
    let output = Command::new(root().join("scripts").join(name)).stdin(Stdio::null()).output().expect("sh");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[track_caller]
fn an_author_publishes(before: &str, language: &str) {
    let (service, work) = with_penguins(&json!({"allowAlgorithmsPublishedHere": true}));
    work.run(before, "author.sh", &[&service.url(), language]);
}

#[test]
fn an_author_publishes_a_program_in_rust() {
    // It prints assignments for a shell.
    an_author_publishes(&compiler("rust-wasi.sh"), "rust");
}

#[test]
fn an_author_publishes_a_program_in_go() {
    an_author_publishes(&format!("export GO='{}'", compiler("go.sh")), "go");
}

#[test]
fn an_author_publishes_a_program_in_c() {
    an_author_publishes(&format!("export WASI_CC=\"{}\"", compiler("c-wasi.sh")), "c");
}

#[test]
fn an_author_publishes_a_program_in_python() {
    install_python();
    an_author_publishes("", "python");
}

#[test]
fn an_author_publishes_a_program_in_javascript() {
    install_javascript();
    an_author_publishes("", "javascript");
}

#[test]
fn an_operator_starts_loses_restores_and_upgrades_a_service() {
    let work = WorkFolder::new();
    work.put("penguins.csv", &penguins());
    work.put_column_stats();
    work.run("", "operator.sh", &[]);
}

/// The words of a line that name a command or an option of `cloister` or `sandbox`: `dataset`, `apply`, `--no-check`.
fn words_of(line: &str) -> Option<(String, Vec<&str>)> {
    let line = line.split(" #").next()?;
    let at = ["cloister ", "sandbox "].into_iter().find_map(|program| {
        let at = line.find(program)?;
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| matches!(before, ' ' | '(' | '|')).then_some(at)
    })?;
    let command = line[at..].split(['|', '>', ')', ';']).next()?;
    let mut words = command.split_whitespace().peekable();
    let mut name = vec![words.next()?];
    let mut options = Vec::new();
    let mut in_name = true;
    while let Some(word) = words.next() {
        if word.starts_with('-') {
            options.push(word);
            // Options before the command have a value: `cloister --key bob.key dataset`.
            if name.len() == 1 {
                let _ = words.next();
            }
        } else if in_name && name.len() < 3 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            name.push(word);
        } else {
            in_name = false;
        }
    }
    Some((name.join(" "), options))
}

/// A script knows no command and no option that the pages do not tell.
#[test]
fn the_scripts_use_what_the_pages_tell() {
    let mut told = fs::read_to_string(root().join("README.md")).expect("a page");
    for page in ["publishers.md", "consumers.md", "writing-algorithms.md", "operators.md", "sandbox.md"] {
        told += &fs::read_to_string(root().join("docs").join(page)).expect("a page");
    }
    let mut seen = 0;
    for entry in fs::read_dir(root().join("tests/first-hour")).expect("the scripts") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "sh") {
            continue;
        }
        let script = fs::read_to_string(&path).expect("a script");
        for line in script.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let Some((name, options)) = words_of(line) else { continue };
            // A third word can be a name: `dataset check penguins`.
            let two = name.split(' ').take(3).collect::<Vec<_>>().join(" ");
            let one = name.rsplit_once(' ').map_or(name.as_str(), |(before, _)| before);
            let short = name.strip_prefix("cloister ").unwrap_or(&name);
            // Options may stand before the command: `cloister --home DIR restore`.
            let bare = one.strip_prefix("cloister ").unwrap_or(one);
            let is_told = [two.as_str(), one, short, bare].iter().any(|words| told.contains(words));
            assert!(is_told, "{}: no page tells of `{name}`: {line}", path.display());
            for option in options {
                assert!(told.contains(option), "{}: no page tells of {option}: {line}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn commands_are_found_in_lines() {
    for (line, name, options) in [
        ("cloister dataset apply -f d.yaml --dry-run", "cloister dataset apply", vec!["-f", "--dry-run"]),
        ("job=$(cloister --context bob job submit --dataset x)", "cloister job submit", vec!["--context", "--dataset"]),
        ("fails 1 cloister dataset check penguins", "cloister dataset check", vec![]),
        ("sandbox run analysis.py --runtime python", "sandbox run", vec!["--runtime"]),
        ("cloister job list | awk '/x/'", "cloister job list", vec![]),
    ] {
        assert_eq!(words_of(line), Some((name.to_owned(), options)), "{line}");
    }
    assert_eq!(words_of("echo not-cloister at all"), None);
}
