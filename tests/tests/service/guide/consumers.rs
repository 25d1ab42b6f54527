//! docs/consumers.md.

use super::{did, next, put_key};
use crate::scenario::Scenario;
use cloister_tests::{document::blocks, guest, root, shell::Shell};
use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Stdio},
};

/// Blocks that are not run here. The calls of this one are made by `python_client.rs`.
const ELSEWHERE: [&str; 1] = ["import cloister_client as cloister"];

#[test]
fn the_consumers_page_works_as_it_is_written() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let penguins = scenario.penguins();
    let bob = service.account("bob", "author");
    let environment = Command::new(root().join("scripts/rust-wasi.sh")).stdin(Stdio::null()).output().expect("sh");
    assert!(environment.status.success(), "{}", String::from_utf8_lossy(&environment.stderr));
    let mut shell = Shell::new();
    shell.exported = String::from_utf8(environment.stdout).expect("text");
    put_key(&shell, &bob);

    let mut all = blocks("consumers.md").into_iter();
    let blocks = &mut all;
    let login = next(blocks, "cloister login").replace("https://cloister.example.org", &service.url());
    let said = shell.run(&login, 0);
    assert!(said.contains("bob") && said.contains("author") && said.contains("penguins"), "{said}");

    let said = shell.run(&next(blocks, "cloister algorithm new"), 0);
    assert!(said.contains("counted 5 rows"), "{said}");
    let _ = shell.run(&next(blocks, "cloister algorithm apply"), 0);
    let manifest = next(blocks, "apiVersion:");
    fs::write(shell.folder().join("column-stats.yaml"), manifest).expect("written");
    fs::copy(guest("column-stats.p1.wasm"), shell.folder().join("column-stats.wasm")).expect("copied");
    let _ = shell.run("cloister apply -f column-stats.yaml", 0);
    let said = shell.run(&next(blocks, "cloister job submit"), 3);
    assert!(said.contains("trusts"), "{said}");

    for name in ["rows", "column-stats"] {
        scenario.allow(&penguins, &did(&scenario, &bob, "algorithms", name));
    }
    let said = shell.run(&next(blocks, "cloister run rows"), 0);
    // What it printed stays with the publisher, who has said nothing else.
    assert!(said.contains("answer/rows.json") && said.contains("the log is withheld"), "{said}");
    assert!(!said.contains("counted 344 rows"), "{said}");
    let rows = fs::read_to_string(shell.folder().join("answer/rows.json")).expect("a result");
    assert_eq!(serde_json::from_str::<Value>(&rows).expect("JSON"), json!({"rows": 344}));

    fs::write(shell.folder().join("job.yaml"), next(blocks, "datasets:")).expect("written");
    let said = shell.run(&next(blocks, "cloister job submit -f job.yaml"), 0);
    let is_id = |line: &&str| line.len() == 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let job = said.lines().find(is_id).unwrap_or_else(|| panic!("no id: {said}"));
    assert_eq!(service.job(&bob, job)["label"], "statistics of every species");

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
    let column_stats = did(&scenario, &bob, "algorithms", "column-stats");
    let curl = curl.replacen("did:op:…", &penguins, 1).replacen("did:op:…", &column_stats, 1);
    shell.exported = format!("export CLOISTER_URL={} CLOISTER_KEY={}", service.url(), bob.key);
    let said = shell.run(&curl, 0);
    assert!(said.contains("\"Queued\"") || said.contains("phase"), "{said}");
    assert_eq!(blocks.next(), None, "every block of the page is run or named");
}
