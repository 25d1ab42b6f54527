//! Plain Python: the interpreter of `python` with nothing imported, for runs with little memory. And how it is installed: of the files of
//! another interpreter.

use super::{LIBRARY, Workshop, bundled, installed, run_bundle, said};
use cloister_model::{Outcome, Refusal, Rule};
use cloister_tests::{Ended, Trial, install_python_plain, program, root};
use serde_json::{Value, json};
use std::fs;

/// A limit under which `python` does not begin.
const LITTLE: &str = "memory=64MiB";

fn run(trial: Trial, runtime: &str, limit: &str) -> Ended {
    trial.with(&["--runtime", runtime, "--limits", limit]).run()
}

/// The one reason why a run did not begin.
#[track_caller]
fn refusal(ended: &Ended) -> Refusal {
    let outcome = ended.outcome();
    let refusals = if let Outcome::Refused { refusals } = outcome { refusals.as_slice() } else { &[] };
    assert_eq!((ended.code, refusals.len()), (Some(4), 1), "{outcome}");
    refusals[0].clone()
}

#[test]
fn a_hello_and_a_job_with_csv_run_in_little_memory() {
    install_python_plain();
    let hello = run(Trial::bytes(b"print('hello')\n"), "python-plain", LITTLE);
    hello.assert_succeeded();
    assert_eq!(hello.log, b"hello\n");
    let runtime = hello.report().algorithm.runtime.as_ref().expect("a runtime");
    assert_eq!((runtime.name.as_str(), runtime.snapshot_sha256), ("python-plain", None));

    let penguins = fs::read(root().join("data/penguins.csv")).expect("the penguins");
    let script = root().join("algorithms/python-hello/algorithm.py");
    let rows = run(Trial::file(&script).dataset("penguins", &penguins), "python-plain", LITTLE);
    rows.assert_succeeded();
    let found: Value = serde_json::from_slice(&rows.output("rows.json")).expect("JSON");
    assert_eq!(found, json!({"penguins/0": 344}));
}

#[test]
fn python_with_too_little_memory_names_plain_python() {
    install_python_plain();
    let hello = || Trial::bytes(b"print('hello')\n");
    let of_python = refusal(&run(hello(), "python", LITTLE));
    assert_eq!(of_python.rule, Rule::Memory);
    assert!(of_python.subject.starts_with("`python` begins with "), "{of_python}");
    assert!(of_python.advice.contains("67108864 bytes: ask for more, or choose `python-plain`"), "{of_python}");
    // Nothing smaller is to be had than that.
    let of_plain = refusal(&run(hello(), "python-plain", "memory=32MiB"));
    assert_eq!(of_plain.subject, "`python-plain` begins with 41943040 bytes of memory");
    assert!(of_plain.advice.ends_with("33554432 bytes: ask for more"), "{of_plain}");
}

/// A pod has no module that could be checked again: what was found when the bundle was made says how much memory it begins with.
#[test]
fn an_interpreter_in_a_bundle_is_refused_in_the_same_words() {
    let larger = |text: String| text.replace(r#"(memory (export "memory") 1)"#, r#"(memory (export "memory") 3)"#);
    let workshop = Workshop::with("tests/fixtures/interpreter.wat", larger, |_| {});
    let trusted = bundled(&workshop, &[]);
    let limits = ["--limits", "memory=128KiB"];
    let of_bundle = run_bundle(&workshop, &trusted, &limits);
    let words = ["run", "script", "--runtime", "tiny", "--dataset", "d=data", "--outputs", "other", "--json"];
    let of_home = workshop.sandbox(&[&words[..], &limits[..]].concat());
    for output in [of_bundle, of_home] {
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        let refusals = &report["outcome"]["refusals"];
        assert_eq!(refusals.as_array().map(Vec::len), Some(1), "{report:#}");
        assert_eq!(refusals[0]["subject"], "`tiny` begins with 196608 bytes of memory", "{report:#}");
        assert_eq!(refusals[0]["advice"], "The limit of this run is 131072 bytes: ask for more", "{report:#}");
    }
}

/// Manifests of one wheel share files, and the wheel is not kept.
#[test]
fn an_interpreter_with_the_files_of_another_one_is_installed_without_a_download() {
    let workshop = Workshop::new();
    assert!(workshop.add(&workshop.manifest).status.success());
    // Without programs there is no pip, and so no download.
    let add = |name: &str| {
        let mut manifest = workshop.manifest.clone();
        manifest["name"] = json!(name);
        fs::write(workshop.at("manifest.json"), manifest.to_string()).expect("written");
        let mut command = program();
        command.env("CLOISTER_SANDBOX_HOME", workshop.at("home")).env("PATH", workshop.at("nothing"));
        command.args(["runtime", "add", "manifest.json"]).current_dir(workshop.directory.path());
        command.output().expect("the program starts")
    };
    // One that is damaged, and looked at first, does not keep the other one from giving its files.
    let damaged = workshop.at("home/runtimes/damaged");
    fs::create_dir(&damaged).expect("made");
    let twin = add("twin");
    assert!(twin.status.success() && said(&twin).contains("copied the files of `tiny`"), "{}", said(&twin));
    fs::remove_dir(&damaged).expect("removed");
    for (name, content) in [("script", "0"), ("data", "1")] {
        fs::write(workshop.at(name), content).expect("written");
    }
    let words = ["run", "script", "--runtime", "twin", "--dataset", "d=data", "--outputs", "out", "--log", "log"];
    let ran = workshop.sandbox(&words);
    assert!(ran.status.success(), "{}", said(&ran));
    assert_eq!(fs::read(workshop.at("log")).expect("a log"), LIBRARY.as_bytes());

    // What was changed since is not taken, and nothing of it stays.
    for name in ["tiny", "twin"] {
        fs::write(workshop.at("home/runtimes").join(name).join("file-0"), "other words\n").expect("written");
    }
    let third = add("third");
    assert!(!third.status.success() && said(&third).contains("pip"), "{}", said(&third));
    let mut left = installed(&workshop.at("home"));
    left.sort();
    assert_eq!(left, ["tiny", "twin"]);
}
