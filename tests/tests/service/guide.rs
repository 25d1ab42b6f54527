//! docs/consumers.md, followed as it is written: in an empty folder, with `cloister` and `sandbox` on the path.

use crate::scenario::Scenario;
use cloister_tests::{
    document::{Block, blocks},
    guest, program, root, sandbox,
    service::{cloister, text},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Blocks that are not run here. The calls of this one are made by `python_client.rs`.
const ELSEWHERE: [&str; 1] = ["import cloister_client as cloister"];

/// A shell whose folder is kept from block to block.
struct Shell {
    home: PathBuf,
    folder: PathBuf,
    /// What is exported before each block.
    exported: String,
}

impl Shell {
    /// Runs a block, which has to end with this code. Returns what it printed.
    #[track_caller]
    fn run(&mut self, block: &str, code: i32) -> String {
        let place = self.home.join("place");
        let lines = block.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let script = format!("{}\nset -e\n{lines}\npwd >'{}'\n", self.exported, place.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(&self.folder).stdin(Stdio::null()).env_clear();
        command.envs(program().get_envs().filter_map(|(name, value)| Some((name, value?)))).env("HOME", &self.home);
        // Rust is installed in the real home.
        for (name, below) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let real = std::env::var_os("HOME").map(|home| Path::new(&home).join(below));
            if let Some(value) = std::env::var_os(name).map(PathBuf::from).or(real) {
                command.env(name, value);
            }
        }
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        for of in [cloister(), sandbox()] {
            path =
                std::env::join_paths(of.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path)))
                    .expect("a path");
        }
        let output = command.env("PATH", path).output().expect("a shell");
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{block}\n{said}\n{complained}");
        if code == 0 {
            self.folder = PathBuf::from(fs::read_to_string(place).expect("where it ended").trim());
        }
        format!("{said}{complained}")
    }
}

/// The next block, which has to begin like this.
#[track_caller]
fn next(blocks: &mut impl Iterator<Item = Block>, beginning: &str) -> String {
    let block = blocks.next().unwrap_or_else(|| panic!("no block `{beginning}`"));
    assert!(block.first().trim_start_matches("$ ").starts_with(beginning), "not `{beginning}`: {}", block.text);
    block.text
}

#[test]
fn the_consumers_page_works_as_it_is_written() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let penguins = scenario.penguins();
    let bob = service.account("bob", "author");
    let home = tempfile::tempdir().expect("a folder");
    let environment = Command::new(root().join("scripts/rust-wasi.sh")).stdin(Stdio::null()).output().expect("sh");
    assert!(environment.status.success(), "{}", String::from_utf8_lossy(&environment.stderr));
    let mut shell = Shell {
        home: home.path().to_owned(),
        folder: home.path().join("work"),
        exported: String::from_utf8(environment.stdout).expect("text"),
    };
    fs::create_dir(&shell.folder).expect("made");
    let key = shell.folder.join("bob.key");
    fs::write(&key, &bob.key).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");

    let mut all = blocks("consumers.md").into_iter();
    let blocks = &mut all;
    let login = next(blocks, "cloister login").replace("https://cloister.example.org", &service.url());
    let said = shell.run(&login, 0);
    assert!(said.contains("bob") && said.contains("author") && said.contains("penguins"), "{said}");

    let said = shell.run(&next(blocks, "cloister algorithm new"), 0);
    assert!(said.contains("counted 5 rows"), "{said}");
    let _ = shell.run(&next(blocks, "cloister algorithm apply"), 0);
    let manifest = next(blocks, "apiVersion:");
    fs::write(shell.folder.join("column-stats.yaml"), manifest).expect("written");
    fs::copy(guest("column-stats.p1.wasm"), shell.folder.join("column-stats.wasm")).expect("copied");
    let _ = shell.run("cloister apply -f column-stats.yaml", 0);
    let said = shell.run(&next(blocks, "cloister job submit"), 3);
    assert!(said.contains("trusts"), "{said}");

    let algorithms = service.get(&bob, "/v1/algorithms?owner=bob").expect_json(200);
    let algorithms = algorithms["items"].as_array().expect("a list");
    let did = |name: &str| {
        let found = algorithms.iter().find(|algorithm| algorithm["name"] == name);
        text(found.unwrap_or_else(|| panic!("no {name}: {algorithms:#?}")), "did")
    };
    for name in ["rows", "column-stats"] {
        scenario.allow(&penguins, &did(name));
    }
    let said = shell.run(&next(blocks, "cloister run rows"), 0);
    // What it printed stays with the publisher, who has said nothing else.
    assert!(said.contains("answer/rows.json") && said.contains("the log is withheld"), "{said}");
    assert!(!said.contains("counted 344 rows"), "{said}");
    let rows = fs::read_to_string(shell.folder.join("answer/rows.json")).expect("a result");
    assert_eq!(serde_json::from_str::<Value>(&rows).expect("JSON"), json!({"rows": 344}));

    // NAME is a second context, which the last command of the block deletes.
    let second = format!("cloister login --url {} --key ../bob.key --context second", service.url());
    let _ = shell.run(&second, 0);
    let said = shell.run(&next(blocks, "cloister context list").replace("NAME", "second"), 0);
    assert!(said.contains("second") && said.contains("bob"), "{said}");
    let _ = shell.run(&second, 0);

    let python = next(blocks, ELSEWHERE[0]);
    assert!(python.contains("connect()"), "{python}");

    let upload = service.upload(&bob, b"no longer needed");
    let said = shell.run(&next(blocks, "cloister upload list").replace("DIGEST...", &upload), 0);
    assert!(said.contains(&upload) && said.contains("is deleted"), "{said}");

    let curl = next(blocks, "curl");
    let curl = curl.replacen("did:op:…", &penguins, 1).replacen("did:op:…", &did("column-stats"), 1);
    shell.exported = format!("export CLOISTER_URL={} CLOISTER_KEY={}", service.url(), bob.key);
    let said = shell.run(&curl, 0);
    assert!(said.contains("\"Queued\"") || said.contains("phase"), "{said}");
    assert_eq!(blocks.next(), None, "every block of the page is run or named");
}
