//! Programs of the kinds that people bring, run as they are: `tests/corpus` holds them, and its table says what each of them
//! does. `docs/compatibility.md` is made of the same table.

use cloister_model::Outcome;
use cloister_tests::{Trial, install_javascript, install_python, root};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};
use tempfile::TempDir;

const PENGUINS: &[u8] =
    b"species,flipper,mass\nA,180,3500\nA,185,3450\nA,190,3600\nB,215,5000\nB,220,5100\nB,210,4950\n";

/// What a row of the table says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    /// A script, or a folder.
    program: String,
    group: String,
    does: String,
    /// How a folder is packed: `zip` if not said.
    pack: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
    /// What it reads as its standard input: `data:` and the path of a file that it sees, or `text:` and a text.
    stdin: Option<String>,
    /// All that it prints.
    log: Option<String>,
    /// Its outputs, and how they begin: each character is a byte.
    #[serde(default)]
    outputs: BTreeMap<String, String>,
    /// Part of what it says when it fails.
    fails: Option<String>,
    /// Why it fails.
    why: Option<String>,
}

impl Row {
    /// The runtime that it is for.
    fn runtime(&self) -> &'static str {
        let path = root().join("tests/corpus").join(&self.program);
        let is_script = path.extension().is_some_and(|ending| ["js", "mjs"].iter().any(|known| ending == *known));
        let is_folder = ["package.json", "index.js"].iter().any(|name| path.join(name).exists());
        if is_script || is_folder { "javascript" } else { "python" }
    }
}

fn rows() -> Vec<Row> {
    let text = fs::read(root().join("tests/corpus/table.json")).expect("the table");
    serde_json::from_slice(&text).expect("rows")
}

/// Runs Python's own packers: they are what authors use.
fn python(folder: &Path, arguments: &[&str]) {
    let ended = Command::new("python3").args(arguments).current_dir(folder).status().expect("python3");
    assert!(ended.success(), "python3 {arguments:?}");
}

/// The file that is sent for a program.
fn packed(row: &Row, into: &TempDir) -> PathBuf {
    let program = root().join("tests/corpus").join(&row.program);
    if program.is_file() {
        return program;
    }
    let archive = into.path().join("program");
    let to = archive.to_str().expect("a path");
    let staged = into.path().join("staged");
    copy(&program, &staged);
    if row.runtime() == "python" && !staged.join("__main__.py").exists() {
        // As the command line does for a folder with another entry.
        fs::rename(staged.join("main.py"), staged.join("__main__.py")).expect("renamed");
    }
    let names: Vec<String> = fs::read_dir(&staged)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match row.pack.as_deref() {
        None => python(&staged, &[&["-m", "zipfile", "-c", to], names.as_slice()].concat()),
        Some("tar.gz") => {
            let script = "import sys, tarfile\nwith tarfile.open(sys.argv[1], 'w:gz') as out: out.add('.')";
            python(&staged, &["-c", script, to]);
        }
        Some("forge") => {
            let script =
                "import sys, tarfile\nwith tarfile.open(sys.argv[1], 'w:gz') as out: out.add('.', 'study-1.0')";
            python(&staged, &["-c", script, to]);
        }
        Some("zipapp") => python(into.path(), &["-m", "zipapp", "staged", "-p", "/usr/bin/env python3", "-o", to]),
        Some(other) => unreachable!("packed as {other}"),
    }
    archive
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// What is wrong with a row, if anything.
fn problem(row: &Row) -> Option<String> {
    let folder = TempDir::new().expect("a folder");
    let file = packed(row, &folder);
    let mut arguments = vec!["--runtime", row.runtime(), "--limits", "wall=10m"];
    if let Some((option, value)) = row.stdin.as_deref().and_then(|stdin| stdin.split_once(':')) {
        arguments.extend([if option == "data" { "--stdin-data" } else { "--stdin-text" }, value]);
    }
    if !row.arguments.is_empty() {
        arguments.push("--");
        arguments.extend(row.arguments.iter().map(String::as_str));
    }
    let ended = Trial::file(&file).dataset("penguins", PENGUINS).with(&arguments).run();
    let log = String::from_utf8_lossy(&ended.log).into_owned();
    let Some(report) = &ended.report else { return Some(format!("no report: {}", ended.stderr)) };
    let outcome = &report.outcome;
    match &row.fails {
        Some(said) => {
            let failed = matches!(outcome, Outcome::AlgorithmFailed { .. }) && log.contains(said.as_str());
            return (!failed).then(|| format!("{outcome}, expected to fail with `{said}`\n{log}"));
        }
        None if !outcome.is_success() => return Some(format!("{outcome}\n{log}")),
        None => {}
    }
    if row.log.as_ref().is_some_and(|expected| *expected != log) {
        return Some(format!("printed {log:?}"));
    }
    let outputs = ended.outputs();
    let begin = |(name, start): (&String, &String)| {
        let start: Vec<u8> = start.chars().map(|letter| u8::try_from(letter).expect("a byte")).collect();
        outputs.get(name).is_some_and(|content| content.starts_with(&start))
    };
    let all = outputs.len() == row.outputs.len() && row.outputs.iter().all(begin);
    (!all).then(|| format!("other outputs: {:?}", outputs.keys().collect::<Vec<_>>()))
}

#[test]
fn every_program_of_the_corpus_does_what_the_table_says() {
    install_python();
    install_javascript();
    let (rows, next) = (rows(), AtomicUsize::new(0));
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut wrong = Vec::new();
                    while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Some(problem) = problem(row) {
                            wrong.push(format!("{} ({}): {problem}", row.program, row.does));
                        }
                    }
                    wrong
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The interpreter keeps nothing back: what was printed before a limit is met is in the log, as of any other end.
#[test]
fn what_was_printed_before_a_limit_is_in_the_log() {
    install_python();
    let script =
        b"import sys, time\nprint('one')\nprint('two', file=sys.stderr)\nprint('three', end='')\nwhile True: pass\n";
    // However long the interpreter waits for a processor before it has begun.
    let ended = Trial::bytes(script).with(&["--runtime", "python", "--limits", "cpu=20s"]).run();
    let outcome = ended.outcome();
    assert!(matches!(outcome, Outcome::LimitExceeded { limit: cloister_model::Limit::CpuTime, .. }), "{outcome}");
    assert_eq!(String::from_utf8_lossy(&ended.log), "one\ntwo\nthree");
}

/// Every kind of block, of literals and of table that the tool `zstd` writes is read: `tests/fixtures/zstd/make.py` made the frames.
#[test]
fn frames_of_zstandard_are_read() {
    install_python();
    let fixture = |name: &str| fs::read(root().join("tests/fixtures/zstd").join(name)).expect("a file");
    let check = b"import base64, json\nfrom compression import zstd\n\
        whole, rows = contents(), json.load(open('/data/inputs/frames/0'))\n\
        wrong = [row['way'] for row in rows if zstd.decompress(base64.b64decode(row['frame'])) != whole[row['content']]]\n\
        print(wrong, {row['content'] for row in rows} == set(whole))\n";
    let script = [fixture("contents.py"), check.to_vec()].concat();
    let ended = Trial::bytes(&script).dataset("frames", &fixture("frames.json")).with(&["--runtime", "python"]).run();
    ended.assert_succeeded();
    assert_eq!(String::from_utf8_lossy(&ended.log), "[] True\n");
}

/// The packages of the runtime, as it says itself: a script asks it.
fn packages() -> Vec<(String, String)> {
    let script = b"import json, sys\nfrom importlib import metadata\n\
        found = [(found.metadata['Name'], found.version) for found in metadata.distributions()]\n\
        found.append(('Python', sys.version.split()[0]))\n\
        json.dump(found, open('/data/outputs/packages.json', 'w'))\n";
    let ended = Trial::bytes(script).with(&["--runtime", "python"]).run();
    let outputs = ended.outputs();
    let found = outputs.get("packages.json").unwrap_or_else(|| unreachable!("{}", ended.stderr));
    let mut found: Vec<(String, String)> = serde_json::from_slice(found).expect("JSON");
    found.sort_by_key(|(name, _)| name.to_lowercase());
    found.dedup();
    found
}

/// What no program of the corpus shows: paths that are not there.
const INPUTS: &str = "\
## Paths of inputs

Programs find their inputs as those of Ocean's operator-engine do: `/data/inputs/<did>/<n>`, with the DIDs in `DIDS`. ocean-node puts
inputs into one folder, under the names of their files (`/data/inputs/<file name>`), and Cloister does not: a program that opens its
inputs by such names does not find them.
";

/// What is no script: the tests of these programs are in `tests/tests/hostile/toolchains.rs`.
const COMPONENTS: &str = "\
## Components of other tools

Components of WASI 0.2 that componentize-py 0.25.1 and componentize-js 0.23.0 make run: a test runs one of each, from
[`tests/components`](../tests/components). [What to know about them](writing-algorithms.md#components-of-other-tools).
";

/// The page for people who ask what runs.
fn page(rows: &[Row], packages: &[(String, String)]) -> String {
    let works = rows.iter().filter(|row| row.fails.is_none()).count();
    let mut text = format!(
        "# Compatibility\n\nWhat a program in Python or JavaScript may expect of the sandbox, kind by kind. Every line is a program in \
         [`tests/corpus`](../tests/corpus)\nthat a test runs unchanged; this page is made of the same table\n(`CLOISTERDEV_BLESS=1 \
         cargo test --release -p cloister-tests --test compatibility` writes it anew). {works} of {} do what their\nauthor \
         means; the others fail for the reason that is given.\n",
        rows.len()
    );
    let mut group = "";
    for row in rows {
        if row.group != group {
            group = &row.group;
            let _ = write!(text, "\n## {group}\n\n| program | what it does | result |\n|---|---|---|\n");
        }
        let result = match &row.why {
            None => "works".to_owned(),
            Some(why) if row.fails.as_deref() == Some("no rows match") => format!("fails, {why}"),
            Some(why) => format!("refused: {why}"),
        };
        let _ = writeln!(text, "| `{}` | {} | {result} |", row.program, row.does);
    }
    let _ = write!(text, "\n{INPUTS}\n{COMPONENTS}");
    let _ = write!(
        text,
        "\n## Packages of the runtime\n\nWhat `python` has installed, as it says itself; `python-plain` has \
         the same. Others of pure Python can be [sent along](writing-algorithms.md#packages).\n\n| package | version |\n|---|---|\n"
    );
    for (name, version) in packages {
        let _ = writeln!(text, "| {name} | {version} |");
    }
    text
}

#[test]
fn the_page_says_what_the_table_says() {
    let path = root().join("docs/compatibility.md");
    install_python();
    let text = page(&rows(), &packages());
    if std::env::var_os("CLOISTERDEV_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, &text).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/compatibility.md is not made of tests/corpus/table.json: see the page for how it is written"
    );
}

/// Every kind of trouble that programs were seen to have is in the table, and each row with a failure says why.
#[test]
fn the_table_is_whole() {
    let rows = rows();
    assert!(rows.len() >= 40, "{} rows", rows.len());
    for row in &rows {
        assert_eq!(row.fails.is_some(), row.why.is_some(), "{}", row.program);
        assert!(row.fails.is_some() || row.log.is_some() || !row.outputs.is_empty(), "{} says nothing", row.program);
    }
    for entry in fs::read_dir(root().join("tests/corpus")).expect("the corpus") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        assert!(name == "table.json" || rows.iter().any(|row| row.program == name), "{name} is not in the table");
    }
}
