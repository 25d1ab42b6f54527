//! Mistakes of the program's caller: one line that says what is wrong and where, the promised exit code, and
//! nothing touched.

mod bench;
mod disk;

use bench::{Bench, assert_one_line, assert_usage, run};
use cloister_model::{Limits, Outcome};
use cloister_tests::program;
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

#[test]
fn a_valid_invocation_succeeds() {
    let bench = Bench::new();
    for change in [vec![], vec!["--data", "data"], vec!["--contract", "contract.json"]] {
        let output = bench.sandbox(&run(&change));
        assert!(output.status.success(), "{change:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty());
        fs::remove_dir(bench.at("out")).expect("empty outputs");
    }
}

#[test]
fn missing_files_and_files_of_another_type_are_reported() {
    let bench = Bench::new();
    for (change, said) in [
        (["missing.wasm", ""], ["algorithm", "missing.wasm"]),
        (["data", ""], ["algorithm", "not a regular file"]),
        (["data.csv/below", ""], ["algorithm", "data.csv/below"]),
        (["/dev/zero", ""], ["algorithm", "not a regular file"]),
        (["--dataset", "d=missing.csv"], ["input", "missing.csv"]),
        (["--dataset", "d=data"], ["`data`", "not a regular file"]),
        (["--dataset", "d=data.csv,"], ["--dataset `d=data.csv,`", "an empty path"]),
        (["--dataset", "d=good.wasm/below"], ["input", "good.wasm/below"]),
        (["--params", "missing.json"], ["parameters", "missing.json"]),
        (["--params", "data"], ["parameters", "not a regular file"]),
        (["--params", "text.json"], ["text.json", "not JSON"]),
        (["--params", "large.json"], ["large.json", "at most 1048576 bytes"]),
        (["--ddo", "d=missing.json"], ["input", "missing.json"]),
        (["--contract", "missing.json"], ["contract", "missing.json"]),
        (["--contract", "data"], ["contract", "not a regular file"]),
        (["--limits", "missing.json"], ["limits", "missing.json"]),
        (["--data", "missing"], ["missing/inputs", "No such file"]),
        (["--data", "no-inputs"], ["no-inputs/inputs", "No such file"]),
        (["--data", "data.csv"], ["data.csv/inputs", "Not a directory"]),
        (["--data", "strange"], ["not a did", "DID"]),
    ] {
        assert_usage(&bench, &run(&change), &said);
    }
}

#[test]
fn invalid_option_values_are_reported() {
    let bench = Bench::new();
    for (change, said) in [
        (["--dataset", "data.csv"], ["data.csv", "DID=PATH"]),
        (["--dataset", "did:web:x=data.csv"], ["did:web:x", "did:op:"]),
        (["--dataset", "=data.csv"], ["--dataset", "1 to 64 characters"]),
        (["--dataset", "a/b=data.csv"], ["a/b", "letters"]),
        (["--dataset", "..=data.csv"], ["..", "letters"]),
        (["--dataset", "a\x1b[2J=data.csv"], ["\\u{1b}[2J", "letters"]),
        (["--ddo", "d"], ["--ddo", "DID=PATH"]),
        (["--contract", "text.json"], ["text.json", "JSON object"]),
        (["--contract", "list.json"], ["list.json", "JSON object"]),
        (["--contract", "contract-field.json"], ["contract-field.json", "`maxFile`"]),
        (["--contract", "contract-type.json"], ["contract-type.json", "three"]),
        (["--contract", "contract-name.json"], ["contract-name.json", "name pattern"]),
        (["--contract", "contract-use.json"], ["contract", "`names`"]),
        (["--contract", "contract-huge.json"], ["contract", "`maxBytes`"]),
        (["--limits", "limits-field.json"], ["limits-field.json", "`memory`"]),
        (["--limits", "limits-zero.json"], ["memoryBytes", "is 0"]),
        (["--limits", "list.json"], ["list.json", "JSON object"]),
        (["--limits", "memory=0"], ["memoryBytes", "is 0"]),
        (["--limits", "memory=999999GiB"], ["memoryBytes", "must be"]),
        (["--limits", "memory=99999999999GiB"], ["memory=99999999999GiB", "expected a size"]),
        (["--limits", "memory=much"], ["memory=much", "512MiB"]),
        (["--limits", "memory=-1"], ["memory=-1", "512MiB"]),
        (["--limits", "wall=0s"], ["wallMs", "is 0"]),
        (["--limits", "wall=5"], ["wall=5", "30s"]),
        (["--limits", "cpu=500ms"], ["cpuSeconds", "is 0"]),
        (["--limits", "fuel=0"], ["fuel", "is 0"]),
        (["--limits", "fuel=1e9"], ["fuel=1e9", "number"]),
        (["--limits", "handles=1"], ["handles", "must be"]),
        (["--limits", "stack=1GiB"], ["stackBytes", "must be"]),
        (["--limits", "colour=red"], ["colour=red", "unknown limit"]),
        (["--limits", "wall=1s,"], ["limit ``", "name=value"]),
        (["--runtime", "cobol"], ["`cobol`", "runtime add"]),
        (["--runtime", "../../etc"], ["../../etc", "no runtime"]),
    ] {
        assert_usage(&bench, &run(&change), &said);
    }
    let twice = run(&["--dataset", "did:op:d=data.csv", "--dataset", "d=data.csv"]);
    assert_usage(&bench, &twice, &["did:op:d", "twice"]);
    assert_usage(&bench, &["run", "good.wasm", "--outputs", "out"], &["no dataset", "--dataset"]);
    assert_usage(&bench, &["inspect", "missing.wasm"], &["algorithm", "missing.wasm"]);
    assert_usage(&bench, &["compile", "missing.wasm"], &["algorithm", "missing.wasm"]);
    assert_usage(&bench, &["compile", "--runtime", "cobol"], &["`cobol`"]);
    assert_usage(&bench, &["runtime", "remove", "cobol"], &["`cobol`"]);
    assert_usage(&bench, &["runtime", "add", "cobol"], &["`cobol`", "manifest"]);
}

#[test]
fn unusable_output_directories_are_reported() {
    let bench = Bench::new();
    for (changes, said) in [
        (vec!["--outputs", "full"], ["`full`", "not empty"]),
        (vec!["--outputs", "data.csv"], ["outputs `data.csv`", "Not a directory"]),
        (vec!["--outputs", "data.csv/out"], ["outputs `data.csv/out`", "cannot be created"]),
        (vec!["--outputs", "missing/out"], ["outputs `missing/out`", "cannot be created"]),
        (vec!["--outputs", "/proc/self/fd"], ["outputs `/proc/self/fd`", ""]),
        (vec!["--outputs", "/sys/kernel"], ["outputs `/sys/kernel`", ""]),
        (vec!["--data", "data", "--outputs", "data"], ["outputs `data`", "overlaps"]),
        (vec!["--data", "data", "--outputs", "data/inputs/d/out"], ["data/inputs/d/out", "overlaps"]),
        (vec!["--data", "data", "--outputs", "link/out"], ["outputs `link/out`", "overlaps"]),
        (
            vec!["--data", "data", "--outputs", ".", "--report", "/dev/null", "--log", "/dev/null"],
            ["outputs `.`", "overlaps"],
        ),
        (vec!["--report", "missing/report.json"], ["report `missing/report.json`", "No such file"]),
        (vec!["--report", "data"], ["report `data`", "Is a directory"]),
        (vec!["--report", "data.csv/report.json"], ["report `data.csv/report.json`", "Not a directory"]),
        (vec!["--report", "data.csv"], ["report `data.csv`", "which the job reads"]),
        (vec!["--report", "good.wasm"], ["report `good.wasm`", "which the job reads"]),
        (vec!["--outputs", "full", "--report", "full/report.json"], ["report `full/report.json`", "lies in"]),
        (vec!["--data", "data", "--report", "data/report.json"], ["report `data/report.json`", "lies in"]),
        (vec!["--data", "data", "--log", "data/inputs/d/0"], ["log `data/inputs/d/0`", "lies in"]),
        (vec!["--log", "data.csv"], ["log `data.csv`", "which the job reads"]),
        (vec!["--log", "missing/log"], ["log `missing/log`", "No such file"]),
    ] {
        assert_usage(&bench, &run(&changes), &said);
    }
    // Ocean's own layout: results beside the inputs.
    let beside = bench.sandbox(&run(&["--data", "data", "--outputs", "data/outputs", "--log", "data.log"]));
    assert!(beside.status.success(), "{}", String::from_utf8_lossy(&beside.stderr));
}

#[test]
fn an_earlier_report_survives_a_mistake() {
    let bench = Bench::new();
    fs::write(bench.at("report.json"), "earlier").expect("written");
    fs::write(bench.at("log"), "earlier, and longer than what is printed next").expect("written");
    assert_usage(&bench, &run(&["missing.wasm", ""]), &["missing.wasm"]);
    assert!(bench.sandbox(&run(&[])).status.success());
    assert!(fs::read_to_string(bench.at("report.json")).expect("a report").starts_with('{'));
    assert_eq!(fs::read_to_string(bench.at("log")).expect("a log"), "");
}

#[test]
fn an_unusable_home_is_reported() {
    let bench = Bench::new();
    let shared = bench.at("shared");
    fs::create_dir(&shared).expect("made");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).expect("changed");
    assert_usage(&bench, &run(&["--home", "shared"]), &["`shared`", "chmod 700"]);
    assert_usage(&bench, &run(&["--home", "data.csv"]), &["home `data.csv`", "ot a directory"]);
    assert_usage(&bench, &run(&["--home", "data.csv/home"]), &["home `data.csv/home`", "ot a directory"]);
    let mut nowhere = program();
    nowhere.args(run(&[])).current_dir(bench.0.path());
    for name in ["CLOISTER_SANDBOX_HOME", "CLOISTER_HOME", "XDG_DATA_HOME", "HOME"] {
        nowhere.env_remove(name);
    }
    let output = nowhere.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert_one_line(&output, &["CLOISTER_SANDBOX_HOME", "--home DIR"]);
    // The older name of the variable is read as well.
    let output = nowhere.env("CLOISTER_HOME", "data.csv").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert_one_line(&output, &["home `data.csv`"]);
}

#[test]
fn a_file_that_is_not_a_program_is_refused_with_a_report() {
    let bench = Bench::new();
    let component = |body: &str| wat::parse_str(format!("(component {body})")).expect("a component");
    let module = |body: &str| wat::parse_str(format!("(module {body})")).expect("a module");
    let sandbox = fs::read(cloister_tests::sandbox()).expect("a native program");
    let precompiled = {
        // What wasmtime writes is an ELF file that says so in its header.
        let mut elf = b"\x7fELF\x02\x01\x01\xc8".to_vec();
        elf.resize(64, 0);
        elf
    };
    let p3 =
        r#"(import "wasi:cli/environment@0.3.0" (instance (export "get-arguments" (func (result (list string))))))"#;
    for (bytes, rule, said) in [
        (b"print('hello')\n".to_vec(), "not-web-assembly", "runtime"),
        (b"#!/usr/bin/env python3\n".to_vec(), "not-web-assembly", "runtime"),
        (vec![], "not-web-assembly", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), "not-web-assembly", ""),
        (b"PK\x03\x04".to_vec(), "not-web-assembly", ""),
        (sandbox, "not-web-assembly", "native"),
        (precompiled, "precompiled", ""),
        (b"\0asm".to_vec(), "", ""),
        (b"\0asm\x01\0\0\0\x01".to_vec(), "invalid", ""),
        (component(p3), "wasi-version", "0.3"),
        (module(r#"(memory (export "memory") 1)"#), "entry-point", "_start"),
        (
            module(r#"(memory (export "memory") 1) (global (export "_start") i32 (i32.const 0))"#),
            "entry-point",
            "_start",
        ),
        (module(r#"(memory (export "memory") 1) (func (export "_start") (param i32))"#), "entry-point", "_start"),
        (module(r#"(import "env" "system" (func)) (func (export "_start"))"#), "import", "system"),
    ] {
        fs::write(bench.at("bad.wasm"), &bytes).expect("written");
        let output = bench.sandbox(&run(&["bad.wasm", ""]));
        assert_eq!(output.status.code(), Some(4), "{rule}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "the summary says it: {}", String::from_utf8_lossy(&output.stderr));
        let summary = String::from_utf8(output.stdout).expect("text");
        assert!(summary.starts_with(&format!("refused: {rule}")) && summary.contains(said), "{said}: {summary}");
        assert!(!summary.chars().any(|character| character.is_control() && character != '\n'));
        println!("{}", summary.lines().next().expect("a line"));
        let report = fs::read(bench.at("report.json")).expect("a report");
        let report: cloister_model::Report = serde_json::from_slice(&report).expect("a report");
        assert!(matches!(report.outcome, Outcome::Refused { .. }));
        assert!(report.isolation.is_none() && report.outputs.is_empty());
        assert_eq!(report.algorithm.bytes, bytes.len() as u64);
        assert_eq!(report.limits, Limits::default());
        assert_eq!(fs::read_dir(bench.at("out")).expect("outputs").count(), 0);
    }
}

/// The command line itself: what it does not know it says, with a hint, and with the same exit code.
#[test]
fn unknown_words_are_explained() {
    let bench = Bench::new();
    for (arguments, said) in [
        (vec!["run"], "<ALGORITHM>"),
        (vec!["run", "good.wasm", "--output", "x"], "--outputs"),
        (vec!["fly"], "fly"),
        (vec!["run", "good.wasm", "--outputs", "out", "--profile", "random"], "deterministic"),
        (vec!["run", "good.wasm", "--outputs", "out", "--data", "data", "--dataset", "d=data.csv"], "--dataset"),
        (vec!["run", "good.wasm", "--outputs", "out", "--data", "data", "--params", "x"], "--params"),
    ] {
        let output = bench.sandbox(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert!(!Path::new(&bench.at("out")).exists());
    }
}
