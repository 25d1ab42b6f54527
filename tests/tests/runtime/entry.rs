//! How an interpreter is started, and the files that its manifest itself holds.

use crate::{Workshop, installed, said};
use cloister_model::Outcome;
use serde_json::json;
use std::fs;

const MAIN: &str = "tests/fixtures/main.wat";

fn starting_at_main(change: impl Fn(String) -> String) -> Workshop {
    Workshop::with(MAIN, change, |manifest| {
        manifest["start"] = json!(["main"]);
        manifest["trap"] = json!([]);
    })
}

#[test]
fn main_of_c_is_given_its_arguments() {
    let workshop = starting_at_main(|text| text);
    let added = workshop.add(&workshop.manifest);
    assert!(added.status.success(), "{}", said(&added));
    let (code, report, log) = workshop.run("x");
    assert_eq!(String::from_utf8_lossy(&log), "tiny\n/data/transformations/algorithm\n");
    assert!(matches!(report.expect("a report").outcome, Outcome::AlgorithmFailed { exit_code: 7 }), "{code}");
}

/// An interpreter that answers with an address outside of its memory is not written to, and harms itself alone.
#[test]
fn arguments_are_not_written_outside_of_the_memory() {
    for address in ["65530", "65536", "0x7fffffff", "0xfffffff0"] {
        let workshop = starting_at_main(|text| text.replace("(i32.const 1024)", &format!("(i32.const {address})")));
        let added = workshop.add(&workshop.manifest);
        assert!(added.status.success(), "{}", said(&added));
        let (_, report, log) = workshop.run("x");
        let outcome = report.expect("a report").outcome;
        assert!(!outcome.is_success() && log.is_empty(), "{address}: {outcome}");
    }
}

#[test]
fn main_of_c_needs_a_malloc() {
    for (old, new) in [("(export \"malloc\")", "(export \"other\")"), ("(param $bytes i32)", "(param $bytes i64)")] {
        let workshop = starting_at_main(|text| {
            // The first one is `malloc`'s.
            text.replacen(old, new, 1)
        });
        let added = workshop.add(&workshop.manifest);
        let told = said(&added);
        assert!(added.status.code() == Some(2) && told.contains("malloc") && told.contains("not installed"), "{told}");
        assert_eq!(installed(&workshop.at("home")), Vec::<String>::new());
    }
}

/// What a manifest says of its module is checked before anything is installed, and an interpreter that was there stays.
#[test]
fn an_interpreter_that_cannot_run_as_its_manifest_says_is_not_installed() {
    let workshop = Workshop::new();
    for was_there in [false, true] {
        if was_there {
            let added = workshop.add(&workshop.manifest);
            assert!(added.status.success(), "{}", said(&added));
        }
        for (pointer, value, expected) in [
            ("/start", json!(["nosuch"]), "nosuch"),
            ("/start", json!(["_initialize", "memory"]), "memory"),
            ("/trap", json!([]), "unknown functions from `host`: call"),
            ("/needs/moduleBytes", json!(1), "1 are allowed"),
        ] {
            let mut manifest = workshop.manifest.clone();
            *manifest.pointer_mut(pointer).expect("a field") = value;
            let output = workshop.add(&manifest);
            let line = said(&output);
            assert_eq!(output.status.code(), Some(2), "{pointer}: {line}");
            assert!(line.contains("not installed") && line.contains(expected), "{pointer}: {line}");
            let left = installed(&workshop.at("home"));
            assert_eq!(left, if was_there { vec!["tiny"] } else { vec![] }, "{pointer}");
        }
    }
    assert_eq!(workshop.run("0").0, 0);
}

/// A text is a file that a script finds, and that it cannot change.
#[test]
fn texts_of_the_manifest_are_files_of_the_guest() {
    let workshop = Workshop::with(
        "tests/fixtures/interpreter.wat",
        |text| text,
        |manifest| {
            manifest["files"] = json!([]);
            manifest["texts"] = json!([{ "guest": "/usr/share/library", "lines": ["of the manifest", "zwei"] }]);
        },
    );
    let added = workshop.add(&workshop.manifest);
    assert!(added.status.success(), "{}", said(&added));
    let (code, _, log) = workshop.run("0");
    assert_eq!((code, log), (0, "of the manifest\nzwei\n".as_bytes().to_vec()));
    // What is installed is what runs.
    let installed = workshop.at("home/runtimes/tiny");
    let manifest = fs::read_to_string(installed.join("runtime.json")).expect("the manifest");
    for lose_codes in [false, true] {
        fs::write(installed.join("runtime.json"), manifest.replace("zwei", "drei")).expect("written");
        if lose_codes {
            fs::remove_file(installed.join("codes.json")).expect("removed");
        }
        let (code, report, line) = workshop.run("0");
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(code == 2 && report.is_none() && line.contains("`runtime.json` has changed"), "{code} {line}");
    }
    let mut placed = workshop.manifest.clone();
    placed["texts"][0]["guest"] = json!("/data/inputs/library");
    assert!(said(&workshop.add(&placed)).contains("absolute paths outside /data"));
}

/// A script has one name inside the sandbox, and its tracebacks use that. The summary says which file it was.
#[test]
fn the_summary_of_a_failed_script_says_what_its_log_calls_it() {
    let workshop = Workshop::new();
    assert!(workshop.add(&workshop.manifest).status.success());
    fs::write(workshop.at("data"), "1").expect("written");
    for (name, script, shown) in [
        ("mean.py", "1", Some("in its log, /data/transformations/algorithm is mean.py")),
        ("red\u{1b}[31m.py", "1", Some("in its log, /data/transformations/algorithm is red\\")),
        ("good.py", "0", None),
    ] {
        fs::write(workshop.at(name), script).expect("written");
        let _ = fs::remove_dir_all(workshop.at("out"));
        let ended = workshop.sandbox(&["run", name, "--runtime", "tiny", "--dataset", "d=data", "--outputs", "out"]);
        assert_eq!(ended.status.code(), Some(i32::from(shown.is_some())), "{}", said(&ended));
        match shown {
            Some(shown) => assert!(said(&ended).contains(shown), "{}", said(&ended)),
            None => assert!(!said(&ended).contains("in its log"), "{}", said(&ended)),
        }
        assert!(!said(&ended).contains('\u{1b}'), "{}", said(&ended));
    }
}
