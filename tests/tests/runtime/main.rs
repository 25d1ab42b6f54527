//! Runtimes: installed as their manifest says or not at all, and used only as they were installed.

mod entry;
mod guide;
mod kept;
mod plain;
mod snapshot;

use cloister_model::{ModuleKind, Outcome, Report, TrapKind};
use cloister_tests::{install_python, program, root};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

const LIBRARY: &str = "three little words\n";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A home of its own, and a wheel with a small interpreter and its library.
struct Workshop {
    directory: TempDir,
    manifest: Value,
}

impl Workshop {
    fn new() -> Self {
        Self::with("tests/fixtures/interpreter.wat", |text| text, |_| {})
    }

    /// Another interpreter, in text, with changes to it and to its manifest.
    fn with(text: &str, change: impl Fn(String) -> String, manifest: impl Fn(&mut Value)) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let text = fs::read_to_string(root().join(text)).expect("a text");
        let module = wat::parse_str(change(text)).expect("a module");
        fs::write(directory.path().join("tiny.wasm"), &module).expect("written");
        fs::write(directory.path().join("library"), LIBRARY).expect("written");
        // pip is how wheels come, so Python is there; a wheel is a zip archive.
        let packed = Command::new("python3")
            .args(["-m", "zipfile", "-c", "tiny.whl", "tiny.wasm", "library"])
            .current_dir(directory.path())
            .status()
            .expect("python3");
        assert!(packed.success());
        let wheel = fs::read(directory.path().join("tiny.whl")).expect("a wheel");
        let mut described = json!({
            "version": "cloister.dev/runtime/v1",
            "name": "tiny",
            "description": "One command per script",
            "source": { "pypi": "tiny", "version": "1.0", "sha256": sha256(&wheel) },
            "module": { "archive": "tiny.wasm", "sha256": sha256(&module) },
            "files": [{ "archive": "library", "guest": "/usr/share/library", "sha256": sha256(LIBRARY.as_bytes()) }],
            "start": ["_initialize", "run"],
            "trap": [["host", "call"]],
            "arguments": ["tiny", "/data/transformations/algorithm"],
            "needs": {
                "moduleBytes": 1_000_000, "stackBytes": 1_000_000, "tableElements": 10,
                "compile": { "wallMs": 60_000, "memoryBytes": 4_294_967_296_u64, "artifactBytes": 10_000_000 },
            },
        });
        manifest(&mut described);
        Self { directory, manifest: described }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn sandbox(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.env("CLOISTER_SANDBOX_HOME", self.at("home")).current_dir(self.directory.path());
        command.args(arguments).output().expect("the program starts")
    }

    fn add(&self, manifest: &Value) -> Output {
        fs::write(self.at("manifest.json"), manifest.to_string()).expect("written");
        self.sandbox(&["runtime", "add", "manifest.json", "--wheel", "tiny.whl"])
    }

    /// Runs a script: the exit code, the report, the log.
    fn run(&self, script: &str) -> (i32, Option<Report>, Vec<u8>) {
        for left in ["report.json", "log"] {
            let _ = fs::remove_file(self.at(left));
        }
        let _ = fs::remove_dir_all(self.at("out"));
        fs::write(self.at("script"), script).expect("written");
        fs::write(self.at("data"), "1").expect("written");
        let words = "run script --runtime tiny --dataset d=data --outputs out --report report.json --log log";
        let output = self.sandbox(&words.split(' ').collect::<Vec<_>>());
        let report = fs::read(self.at("report.json")).ok();
        (
            output.status.code().expect("an exit code"),
            report.map(|text| serde_json::from_slice(&text).expect("a report")),
            if output.stderr.starts_with(b"sandbox: ") {
                output.stderr
            } else {
                fs::read(self.at("log")).unwrap_or_default()
            },
        )
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What lies in the directory of installed runtimes, drafts included.
fn installed(home: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(home.join("runtimes")) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_runtime_is_added_listed_used_and_removed() {
    let workshop = Workshop::new();
    let first = workshop.add(&workshop.manifest);
    assert!(first.status.success(), "{}", said(&first));
    assert!(said(&first).contains("installed tiny"));
    let again = workshop.add(&workshop.manifest);
    assert!(again.status.success() && said(&again).contains("tiny is already installed"), "{}", said(&again));
    let list = workshop.sandbox(&["runtime", "list"]);
    assert_eq!(said(&list).trim_end(), "tiny         One command per script");
    let list: Value = serde_json::from_slice(&workshop.sandbox(&["runtime", "list", "--json"]).stdout).expect("JSON");
    assert_eq!(list[0]["source"], workshop.manifest["source"]);

    let (code, report, log) = workshop.run("0");
    assert_eq!((code, log.as_slice()), (0, LIBRARY.as_bytes()));
    let report = report.expect("a report");
    assert_eq!(report.outcome, Outcome::Succeeded);
    assert_eq!(report.algorithm.sha256.to_string(), sha256(b"0"), "the algorithm is the author's script");
    assert_eq!(report.algorithm.kind, Some(ModuleKind::Preview1Reactor));
    let runtime = report.algorithm.runtime.expect("a runtime");
    assert_eq!(runtime.module_sha256.to_string(), workshop.manifest["module"]["sha256"]);
    let manifest = fs::read(workshop.at("manifest.json")).expect("a manifest");
    assert_eq!(runtime.manifest_sha256.to_string(), sha256(&manifest));

    let removed = workshop.sandbox(&["runtime", "remove", "tiny"]);
    assert!(removed.status.success(), "{}", said(&removed));
    assert_eq!(installed(&workshop.at("home")), Vec::<String>::new());
    assert!(said(&workshop.sandbox(&["runtime", "list"])).starts_with("no runtimes installed; "));
    let (code, report, line) = workshop.run("0");
    assert_eq!((code, report.is_none()), (2, true));
    assert!(String::from_utf8_lossy(&line).contains("no runtime `tiny`; installed: none"));
}

#[test]
fn the_exit_code_and_traps_of_a_script_are_reported() {
    let workshop = Workshop::new();
    assert!(workshop.add(&workshop.manifest).status.success());
    for (script, code, outcome) in [
        ("7", 1, Outcome::AlgorithmFailed { exit_code: 7 }),
        ("!", 1, Outcome::Crashed { trap: TrapKind::TrappedImport }),
        ("0", 0, Outcome::Succeeded),
    ] {
        let (found, report, log) = workshop.run(script);
        let report = report.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&log)));
        assert_eq!((found, report.outcome), (code, outcome), "{script}");
        assert_eq!(log, LIBRARY.as_bytes());
    }
}

#[test]
fn files_that_the_manifest_does_not_name_are_not_installed() {
    let workshop = Workshop::new();
    let wrong = json!(sha256(b"something else"));
    for (pointer, value, expected) in [
        ("/source/sha256", wrong.clone(), vec!["tiny.whl", "not installed"]),
        ("/module/sha256", wrong.clone(), vec!["tiny.wasm", "not installed"]),
        ("/files/0/sha256", wrong, vec!["library", "not installed"]),
        ("/files/0/archive", json!("missing"), vec!["`missing`"]),
        ("/files/0/guest", json!("/data/inputs/d/0"), vec!["`files`", "outside /data"]),
        ("/files/0/guest", json!("/usr/../data/x"), vec!["`files`"]),
        ("/name", json!("../tiny"), vec!["`name`"]),
        ("/name", json!(".tiny"), vec!["`name`"]),
        ("/version", json!("v2"), vec!["`version`"]),
        ("/start", json!([]), vec!["`start`"]),
        ("/needs/stackBytes", json!("much"), vec!["manifest", "much"]),
    ] {
        let mut manifest = workshop.manifest.clone();
        *manifest.pointer_mut(pointer).expect("a field") = value;
        let output = workshop.add(&manifest);
        let line = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{pointer}: {line}");
        let line = line.lines().last().expect("a line");
        assert!(line.len() < 400 && expected.iter().all(|said| line.contains(said)), "{pointer}: {line}");
        assert_eq!(installed(&workshop.at("home")), Vec::<String>::new(), "{pointer}");
    }
    fs::write(workshop.at("tiny.whl"), "no archive").expect("written");
    let mut manifest = workshop.manifest.clone();
    manifest["source"]["sha256"] = json!(sha256(b"no archive"));
    let output = workshop.add(&manifest);
    assert!(output.status.code() == Some(2) && said(&output).contains("wheel"), "{}", said(&output));
    assert_eq!(installed(&workshop.at("home")), Vec::<String>::new());
}

/// An interpreter that was changed after it was installed is not run, and can be put right.
#[test]
fn a_damaged_runtime_is_not_used() {
    let workshop = Workshop::new();
    assert!(workshop.add(&workshop.manifest).status.success());
    assert_eq!(workshop.run("0").0, 0);
    let runtime = workshop.at("home/runtimes/tiny");
    for (name, breaks) in [("file-0", "file-0"), ("runtime.json", "manifest")] {
        let mut bytes = fs::read(runtime.join(name)).expect("a file");
        bytes[0] ^= 1;
        fs::write(runtime.join(name), &bytes).expect("written");
        let (code, report, line) = workshop.run("0");
        let line = String::from_utf8(line).expect("text");
        assert_eq!((code, report.is_none()), (2, true), "{name}");
        assert_eq!(line.lines().count(), 1, "{line}");
        for said in ["runtime `tiny` is damaged", breaks, "Remove it and add it again"] {
            assert!(line.contains(said), "{line}");
        }
        let output = workshop.add(&workshop.manifest);
        assert!(output.status.success() && !said(&output).contains("already"), "{}", said(&output));
        assert_eq!(workshop.run("0").0, 0, "{name}");
    }
}

#[test]
fn a_runtime_runs_scripts_only() {
    let workshop = Workshop::new();
    assert!(workshop.add(&workshop.manifest).status.success());
    let (code, report, line) = workshop.run("\0asm\u{1}\0\0\0");
    assert_eq!((code, report.is_none()), (2, true));
    let line = String::from_utf8(line).expect("text");
    assert!(line.contains("not a script") && line.lines().count() == 1, "{line}");
}

#[test]
fn python_is_known_by_name() {
    install_python();
    let list = program().args(["runtime", "list"]).output().expect("the program starts");
    assert!(said(&list).contains("python       CPython 3.15"), "{}", said(&list));
    let compiled = program().args(["compile", "--runtime", "python"]).output().expect("the program starts");
    assert!(compiled.status.success() && said(&compiled).starts_with("compiled earlier"), "{}", said(&compiled));
}

/// The state of the interpreter has the same digest on every machine. Where it had not, scripts would be right, and start slowly.
#[test]
fn python_starts_from_the_snapshot_that_its_manifest_names() {
    install_python();
    let folder = TempDir::new().expect("a temporary directory");
    fs::write(folder.path().join("script.py"), "import pandas, sklearn, matplotlib.pyplot, statsmodels.api\n")
        .expect("written");
    fs::write(folder.path().join("data"), "1").expect("written");
    let mut command = program();
    command.current_dir(folder.path());
    command.args(["run", "script.py", "--runtime", "python", "--dataset", "d=data", "--outputs", "out", "--json"]);
    let output = command.output().expect("the program starts");
    let report: Report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    assert_eq!(report.outcome, Outcome::Succeeded);
    let list = program().args(["runtime", "list", "--json"]).output().expect("the program starts");
    let list: Value = serde_json::from_slice(&list.stdout).expect("JSON");
    let named = list.as_array().expect("a list").iter().find(|manifest| manifest["name"] == "python").expect("python");
    let found = report.algorithm.runtime.expect("a runtime").snapshot_sha256.expect("a snapshot");
    assert_eq!(Value::String(found.to_string()), named["snapshot"]["sha256"]);
}

/// Makes a bundle of the workshop's interpreter, and returns its digest as it was printed.
fn bundled(workshop: &Workshop, arguments: &[&str]) -> String {
    assert!(workshop.add(&workshop.manifest).status.success());
    let output = workshop.sandbox(&[&["runtime", "bundle", "tiny", "--output", "bundle"], arguments].concat());
    assert!(output.status.success(), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).expect("text").trim_end().to_owned();
    let index = fs::read(workshop.at("bundle/bundle.json")).expect("an index");
    assert_eq!(printed, format!("sha256:{}", sha256(&index)));
    printed
}

/// Runs a script with the bundle in an environment without any home.
fn run_bundle(workshop: &Workshop, trusted: &str, arguments: &[&str]) -> Output {
    let _ = fs::remove_dir_all(workshop.at("out"));
    fs::write(workshop.at("script"), "0").expect("written");
    fs::write(workshop.at("data"), "1").expect("written");
    let mut command = program();
    command.env_clear().current_dir(workshop.directory.path());
    command.args(["run", "script", "--dataset", "d=data", "--outputs", "out", "--json"]);
    command.args(["--runtime-bundle", "bundle", "--trust-artifact", trusted]).args(arguments);
    command.output().expect("the program starts")
}

#[test]
fn a_bundle_runs_without_a_home_and_compiles_nothing() {
    let workshop = Workshop::new();
    let trusted = bundled(&workshop, &[]);
    for profile in ["deterministic", "standard"] {
        let output = run_bundle(&workshop, &trusted, &["--profile", profile]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let report: Report = serde_json::from_slice(&output.stdout).expect("a report");
        assert_eq!(report.outcome, Outcome::Succeeded);
        assert_eq!(report.usage.compile_ms, None);
        // The report is the same as with the runtime in a home.
        let (words, home) = (["--runtime", "tiny", "--profile", profile], workshop.at("home"));
        let _ = fs::remove_dir_all(workshop.at("out"));
        let mut command = program();
        command.env("CLOISTER_SANDBOX_HOME", home).current_dir(workshop.directory.path());
        command.args(["run", "script", "--dataset", "d=data", "--outputs", "out", "--json"]).args(words);
        let installed = command.output().expect("the program starts");
        let installed: Report = serde_json::from_slice(&installed.stdout).expect("a report");
        assert_eq!(report.engine, installed.engine);
        assert_eq!(report.algorithm, installed.algorithm);
    }
    // The interpreter's module is not needed to run it.
    assert!(!workshop.at("bundle/module.wasm").exists());
    assert!(fs::metadata(workshop.at("bundle/deterministic.cwasm")).is_ok());
}

#[test]
fn machine_code_that_the_operator_does_not_trust_is_not_loaded() {
    let workshop = Workshop::new();
    let trusted = bundled(&workshop, &[]);
    let other = format!("sha256:{}", sha256(b"another bundle"));
    let output = run_bundle(&workshop, &other, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("belongs to another release"), "{}", said(&output));

    for file in ["deterministic.cwasm", "bundle.json", "runtime.json", "file-0"] {
        let path = workshop.at("bundle").join(file);
        let good = fs::read(&path).expect("a file");
        let mut bad = good.clone();
        let last = bad.last_mut().expect("not empty");
        *last = if *last == b' ' { b'\n' } else { b' ' };
        fs::write(&path, bad).expect("written");
        let output = run_bundle(&workshop, &trusted, &[]);
        assert_eq!(output.status.code(), Some(2), "{file}: {}", said(&output));
        assert!(said(&output).contains("changed"), "{file}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{file}: {}", said(&output));
        fs::write(&path, good).expect("written");
    }
    assert_eq!(run_bundle(&workshop, &trusted, &[]).status.code(), Some(0));
}

#[test]
fn machine_code_that_another_user_could_change_is_not_loaded() {
    let workshop = Workshop::new();
    let trusted = bundled(&workshop, &[]);
    let code = workshop.at("bundle/deterministic.cwasm");
    for (mode, exit_code) in [(0o646, 2), (0o664, 2), (0o644, 0), (0o444, 0)] {
        fs::set_permissions(&code, fs::Permissions::from_mode(mode)).expect("changed");
        let output = run_bundle(&workshop, &trusted, &[]);
        assert_eq!(output.status.code(), Some(exit_code), "{mode:o}: {}", said(&output));
        assert_eq!(said(&output).contains("can be changed by another user"), exit_code == 2, "{}", said(&output));
    }
}

/// Machine code for another processor would end in an illegal instruction, in the middle of a run.
#[test]
fn a_bundle_for_another_processor_or_profile_is_refused_with_the_reason() {
    let workshop = Workshop::new();
    let trusted = bundled(&workshop, &["--profile", "standard"]);
    let output = run_bundle(&workshop, &trusted, &["--profile", "deterministic"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("has no code for the deterministic profile"), "{}", said(&output));
    let output = run_bundle(&workshop, &trusted, &["--profile", "standard", "--limits", "fuel=1000000"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("with a fuel limit"), "{}", said(&output));

    let index = workshop.at("bundle/bundle.json");
    let mut changed: Value = serde_json::from_slice(&fs::read(&index).expect("an index")).expect("JSON");
    changed["code"][0]["target"]["features"] = json!(["avx1024"]);
    fs::write(&index, changed.to_string()).expect("written");
    let trusted = format!("sha256:{}", sha256(changed.to_string().as_bytes()));
    let output = run_bundle(&workshop, &trusted, &["--profile", "standard"]);
    assert_eq!(output.status.code(), Some(70), "{}", said(&output));
    assert!(said(&output).contains("a processor with avx1024, which this one lacks"), "{}", said(&output));
}

/// What a release ships: an interpreter that no machine compiles.
#[test]
fn an_interpreter_is_installed_from_a_bundle_without_a_compiler() {
    let workshop = Workshop::new();
    let trusted = bundled(&workshop, &[]);
    fs::remove_dir_all(workshop.at("home")).expect("removed");
    let add = |trusted: &[&str]| workshop.sandbox(&[&["runtime", "add", "--bundle", "bundle"], trusted].concat());
    // Nothing is installed of another bundle, of a changed one, or without a digest.
    let other = format!("sha256:{}", sha256(b"another bundle"));
    for (output, said_of) in [(add(&["--trust-artifact", &other]), "another release"), (add(&[]), "--trust-artifact")] {
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(said_of), "{}", said(&output));
    }
    for file in ["standard.cwasm", "runtime.json", "file-0"] {
        let path = workshop.at("bundle").join(file);
        let good = fs::read(&path).expect("a file");
        let mut bad = good.clone();
        let last = bad.last_mut().expect("not empty");
        *last = if *last == b' ' { b'\n' } else { b' ' };
        fs::write(&path, bad).expect("written");
        let output = add(&["--trust-artifact", &trusted]);
        assert!(!output.status.success() && said(&output).contains("changed"), "{file}: {}", said(&output));
        assert_eq!(installed(&workshop.at("home")), Vec::<String>::new(), "{file}");
        fs::write(&path, good).expect("written");
    }
    let output = add(&["--trust-artifact", &trusted]);
    assert!(output.status.success() && said(&output).contains("installed tiny"), "{}", said(&output));
    let (code, report, log) = workshop.run("0");
    assert_eq!((code, log.as_slice()), (0, LIBRARY.as_bytes()));
    assert_eq!(report.expect("a report").usage.compile_ms, None, "it was compiled in the bundle");
    // A run that needs other code says what to do.
    let words =
        ["run", "script", "--runtime", "tiny", "--dataset", "d=data", "--outputs", "out-2", "--limits", "fuel=1000"];
    let output = workshop.sandbox(&words);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("sandbox runtime add tiny"), "{}", said(&output));
}
