//! docs/sandbox.md, followed as it is written: each line that shows a form of a command is run, with values for what it leaves open.
//! Where the page says `python`, this is done with the other interpreter: it is compiled in seconds.

#![expect(clippy::panic, reason = "helpers of tests fail them by panicking")]

use cloister_tests::{
    document::{Block, blocks},
    guest, install_javascript, root,
    shell::Shell,
};
use serde_json::Value;
use std::fs;

/// A dataset for a run.
const DATASET: &str = "--dataset penguins=penguins.csv";

/// The next block, which has to begin like this.
#[track_caller]
fn next(blocks: &mut impl Iterator<Item = Block>, beginning: &str) -> String {
    let block = blocks.next().unwrap_or_else(|| panic!("no block `{beginning}`"));
    assert!(block.first().starts_with(beginning), "not `{beginning}`: {}", block.text);
    block.text
}

/// The line of a block that begins like this, with values for what it leaves open.
#[track_caller]
fn filled(block: &str, beginning: &str, values: &[(&str, &str)]) -> String {
    let found = block.lines().find(|line| line.starts_with(beginning));
    let line = found.unwrap_or_else(|| panic!("no line `{beginning}`: {block}")).to_owned();
    values.iter().fold(line, |line, (open, value)| {
        assert!(line.contains(open), "no `{open}`: {line}");
        line.replace(open, value)
    })
}

/// The digest of a bundle, as it is printed.
#[track_caller]
fn digest(said: &str) -> String {
    let found = said.lines().find(|line| line.starts_with("sha256:"));
    found.unwrap_or_else(|| panic!("no digest: {said}")).to_owned()
}

#[test]
fn the_sandbox_page_works_as_it_is_written() {
    install_javascript();
    let mut shell = Shell::new();
    let folder = shell.folder().to_owned();
    fs::copy(guest("column-stats.p1.wasm"), folder.join("column-stats.wasm")).expect("copied");
    fs::copy(root().join("data/penguins.csv"), folder.join("penguins.csv")).expect("copied");
    fs::create_dir_all(folder.join("data/inputs/penguins")).expect("made");
    fs::copy(root().join("data/penguins.csv"), folder.join("data/inputs/penguins/0")).expect("copied");
    fs::write(folder.join("script.js"), "require('fs').writeFileSync('/data/outputs/a.txt', 'hello');\n")
        .expect("written");
    let mut all = blocks("sandbox.md").into_iter();
    let blocks = &mut all;
    let algorithm = ("ALGORITHM", "column-stats.wasm");

    let names = next(blocks, "sandbox run ");
    for line in names.lines() {
        let name = line.split_whitespace().nth(1).expect("a name");
        let _ = shell.run(&format!("sandbox {name} --help"), 0);
    }
    assert_eq!(names.lines().count(), 6, "{names}");

    let run = next(blocks, "sandbox run ALGORITHM");
    let dataset = ("--dataset DID=PATH[,PATH...]", "--dataset penguins=penguins.csv,penguins.csv");
    let more = [("[options]", "--require-isolation"), ("[-- ARG...]", "-- one two")];
    for (form, outputs) in [(dataset, "one"), (("--data DIR", "--data data"), "two")] {
        let beginning = format!("sandbox run ALGORITHM {}", form.0);
        let into = format!("--outputs {outputs}");
        let values = [&more[..], &[algorithm, form, ("--outputs DIR", into.as_str())]].concat();
        let _ = shell.run(&filled(&run, &beginning, &values), 0);
        assert!(folder.join(outputs).join("statistics.csv").exists(), "{outputs}");
    }
    assert_eq!(run.lines().count(), 2, "{run}");

    let inspect = next(blocks, "sandbox inspect");
    for (limits, json) in [("", ""), ("--limits module=64MiB", "--json")] {
        let values = [algorithm, ("[--limits ...]", limits), ("[--json]", json)];
        let said = shell.run(&filled(&inspect, "sandbox inspect", &values), 0);
        assert!(said.contains("admitted"), "{said}");
    }

    let compile = next(blocks, "sandbox compile");
    for form in [algorithm, ("--runtime NAME", "--runtime javascript")] {
        let beginning = format!("sandbox compile {}", form.0);
        let values = [form, ("[--profile P]", "--profile deterministic"), ("[--limits ...]", "--limits wall=60s")];
        let said = shell.run(&filled(&compile, &beginning, &values), 0);
        assert!(said.contains("of machine code for the deterministic profile"), "{said}");
    }
    assert_eq!(compile.lines().count(), 2, "{compile}");

    let probe = next(blocks, "sandbox probe");
    for json in ["", "--json"] {
        let said = shell.run(&filled(&probe, "sandbox probe", &[("[--json]", json)]), 0);
        assert!(said.contains("landlock"), "{said}");
    }

    let completions = next(blocks, "sandbox completions bash > /etc/bash_completion.d/sandbox");
    let _ = shell.run(&completions.replace("/etc/bash_completion.d/", "completions-of-"), 0);
    let script = fs::read_to_string(folder.join("completions-of-sandbox")).expect("a script");
    assert!(script.contains("complete -F"), "{script}");

    let runtime = next(blocks, "sandbox runtime add python");
    let (add, name) = ("sandbox runtime add", ("NAME", "javascript"));
    let said = shell.run(&filled(&runtime, add, &[("python", "javascript")]), 0);
    assert!(said.contains("javascript is already installed"), "{said}");
    // A home of its own, for all that changes one.
    let bundle = [name, ("--output DIR", "--output one-bundle"), ("[--profile P]...", "--profile deterministic")];
    let trusted = digest(&shell.run(&filled(&runtime, "sandbox runtime bundle", &bundle), 0));
    let trust = format!("--trust-artifact {trusted}");
    let bundle =
        [("--bundle DIR", "--home home --bundle one-bundle"), ("[--trust-artifact sha256:HEX]", trust.as_str())];
    let said = shell.run(&filled(&runtime, "sandbox runtime add --bundle", &bundle), 0);
    assert!(said.contains("installed javascript"), "{said}");
    for json in ["", "--home home --json"] {
        let said = shell.run(&filled(&runtime, "sandbox runtime list", &[("[--json]", json)]), 0);
        assert!(said.contains("javascript"), "{said}");
    }
    let keep = [name, ("[--profile P]", "--profile deterministic"), ("[--most-bytes SIZE]", "--most-bytes 1GiB")];
    let said = shell.run(&filled(&runtime, "sandbox runtime keep", &keep), 0);
    assert!(said.starts_with("/proc/"), "{said}");
    let said = shell.run(&filled(&runtime, "sandbox runtime remove", &[("NAME", "--home home javascript")]), 0);
    assert!(said.contains("removed javascript"), "{said}");

    // The form of a manifest is right, and only its digests are not.
    let manifest = next(blocks, "{");
    let _ = serde_json::from_str::<Value>(&manifest).expect("JSON");
    let whole = manifest.replace("...\"", &format!("{}\"", "0".repeat(60)));
    fs::write(folder.join("MANIFEST.json"), whole).expect("written");
    let beginning = "sandbox runtime add MANIFEST.json";
    let values = [("[--wheel FILE]", "--home home --wheel penguins.csv")];
    let said = shell.run(&filled(&runtime, beginning, &values), 2);
    assert!(said.contains("`penguins.csv` has sha256") && said.contains("not installed"), "{said}");
    fs::write(folder.join("MANIFEST.json"), &manifest).expect("written");
    let said = shell.run(&filled(&runtime, beginning, &values), 2);
    assert!(said.contains("not a runtime manifest"), "{said}");
    assert_eq!(runtime.lines().count(), 7, "{runtime}");

    let said = shell.run(&next(blocks, "sandbox runtime keep python").replace("python", "javascript"), 0);
    let bytes = said.lines().nth(1).and_then(|bytes| bytes.parse::<u64>().ok());
    assert!(said.starts_with("/proc/") && bytes.is_some_and(|bytes| bytes > 1_000_000), "{said}");

    let bundle = next(blocks, "sandbox runtime bundle python --output DIR");
    let values = [("python", "javascript"), ("DIR", "both-profiles")];
    let trusted = digest(&shell.run(&filled(&bundle, "sandbox runtime bundle", &values), 0));
    let rest = format!("{DATASET} --outputs three");
    let values = [
        ("script.py", "script.js"),
        ("DIR", "both-profiles"),
        ("sha256:HEX", trusted.as_str()),
        ("...", rest.as_str()),
    ];
    let _ = shell.run(&filled(&bundle, "sandbox run script.py", &values), 0);
    assert_eq!(fs::read(folder.join("three/a.txt")).expect("a result"), b"hello");
    assert_eq!(blocks.next(), None, "every block of the page is run");
}
