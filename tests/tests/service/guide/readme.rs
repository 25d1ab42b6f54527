//! README.md, from its commands for a service of one's own.

use super::next;
use cloister_testkit::EndsSandboxes;
use cloister_tests::{document::blocks, guest, root, service::wait_for, shell::Shell};
use std::{fs, os::unix::fs::symlink, process::Child};

/// Blocks that are not run here, by how they begin, and what covers them.
const ELSEWHERE: [(&str, &str); 3] = [
    ("make demo", "tests/service/client.rs runs the demo; whoever runs tests runs `make test`"),
    (
        "$ cloister --key alice.key dataset apply",
        "shortened: tests/service/client.rs#the_demo_succeeds_and_shows_each_step",
    ),
    ("consumer, Ocean's Provider, CLI", "a drawing"),
];

/// A program that ends with the test.
struct Behind(Child);

impl Drop for Behind {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder in which the commands find what they find in a checkout that was built.
fn checkout() -> Shell {
    let shell = Shell::new();
    fs::create_dir_all(shell.folder().join("target/guests")).expect("made");
    for (from, to) in
        [(root().join("data"), "data"), (guest("column-stats.p1.wasm"), "target/guests/column-stats.p1.wasm")]
    {
        symlink(from, shell.folder().join(to)).expect("a link");
    }
    shell
}

#[test]
fn the_readme_works_as_it_is_written() {
    let mut shell = checkout();
    let folder = shell.folder().to_owned();
    let mut all = blocks("../README.md")
        .into_iter()
        .filter(|block| !ELSEWHERE.iter().any(|(beginning, _)| block.first().starts_with(beginning)));
    let blocks = &mut all;

    let start = next(blocks, "make build && scripts/guests.sh column-stats && export PATH=");
    let serve = start.lines().nth(1).expect("a line");
    assert!(serve.starts_with("cloister serve "), "whoever runs tests has built: {start}");
    assert_eq!(start.lines().count(), 2, "{start}");
    let log = fs::File::create(folder.join("log")).expect("a file");
    let mut command = shell.command(&format!("exec {serve}"));
    let child = command.env("CLOISTER_LISTEN", "127.0.0.1:0").stderr(log).spawn().expect("a shell");
    let (_sandboxes, _service) = (EndsSandboxes::of(&folder), Behind(child));
    let address = folder.join("cloister-data/service.url");
    wait_for("the service", || address.exists().then_some(()));

    let said = shell.run(&next(blocks, "# in another shell"), 0);
    assert!(said.contains("dataset penguins: published"), "{said}");
    let statistics = fs::read_to_string(folder.join("statistics/statistics.csv")).expect("a result");
    assert!(statistics.contains("Gentoo"), "{statistics}");

    let _ = shell.run(&next(blocks, "# the same host"), 0);
    let statistics = fs::read_to_string(folder.join("results/statistics.csv")).expect("a result");
    assert!(statistics.contains("bill_length_mm"), "{statistics}");
    assert_eq!(blocks.next(), None, "every block of the page is run or named");
}

#[test]
fn what_covers_a_block_of_the_readme_is_about_one() {
    for (beginning, _) in ELSEWHERE {
        let found = blocks("../README.md").iter().any(|block| block.first().starts_with(beginning));
        assert!(found, "gone: {beginning}");
    }
}
