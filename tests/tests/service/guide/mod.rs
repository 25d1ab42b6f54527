//! Pages of the documentation, followed as they are written: in an empty folder, with `cloister` and `sandbox` on the path.

mod consumers;
mod examples;
mod publishers;
mod readme;

use crate::scenario::Scenario;
use cloister_tests::{
    document::Block,
    service::{Who, text},
    shell::Shell,
};
use std::{fs, os::unix::fs::PermissionsExt as _};

/// The next block, which has to begin like this.
#[track_caller]
fn next(blocks: &mut impl Iterator<Item = Block>, beginning: &str) -> String {
    let block = blocks.next().unwrap_or_else(|| panic!("no block `{beginning}`"));
    assert!(block.first().trim_start_matches("$ ").starts_with(beginning), "not `{beginning}`: {}", block.text);
    block.text
}

/// Puts the key of an account into the folder, as the operator gives it.
fn put_key(shell: &Shell, who: &Who) {
    let key = shell.folder().join(format!("{}.key", who.account));
    fs::write(&key, &who.key).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
}

/// The DID of what an account has published. `collection` is `datasets` or `algorithms`.
#[track_caller]
fn did(scenario: &Scenario, owner: &Who, collection: &str, name: &str) -> String {
    let published = scenario.service.get(owner, &format!("/v1/{collection}?owner={}", owner.account)).expect_json(200);
    let published = published["items"].as_array().expect("a list");
    let found = published.iter().find(|asset| asset["name"] == name);
    text(found.unwrap_or_else(|| panic!("no {name}: {published:#?}")), "did")
}

/// A manifest with other rules: those of a block that begins with `compute:`.
fn with_rules(manifest: &str, rules: &str) -> String {
    let rest: Vec<&str> = manifest.lines().filter(|line| !line.starts_with("  compute:")).collect();
    let rules: Vec<String> = rules.lines().map(|line| format!("  {line}")).collect();
    format!("{}\n{}\n", rest.join("\n"), rules.join("\n"))
}
