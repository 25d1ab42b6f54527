//! The manifests in docs/examples are those of the pages.

use super::with_rules;
use cloister_tests::{document::blocks, root};
use std::fs;

/// The block of a page that begins like this.
#[track_caller]
fn block(page: &str, beginning: &str) -> String {
    let found = blocks(page).into_iter().find(|block| block.text.starts_with(beginning));
    found.unwrap_or_else(|| panic!("{page} has no block `{beginning}`")).text
}

#[test]
fn the_examples_are_those_of_the_pages() {
    let penguins = block("publishers.md", "apiVersion:");
    let contract = block("publishers.md", "compute:\n  outputContract:\n    maxBytes:");
    for (name, expected) in [
        ("penguins.yaml", penguins.clone()),
        ("reviewed.yaml", with_rules(&penguins, &contract)),
        ("column-stats.yaml", block("consumers.md", "apiVersion:")),
        ("job.yaml", block("consumers.md", "datasets:")),
    ] {
        let path = root().join("docs/examples").join(name);
        let found = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(found, expected, "{name} is not what its page shows");
    }
    let here = root().join("docs/examples/data/penguins.csv");
    assert!(penguins.contains("path: data/penguins.csv") && here.exists(), "the file that the datasets name");
}
