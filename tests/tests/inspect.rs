//! `sandbox inspect` and `cloister algorithm inspect`: what a program is and asks for, whether it may run, without running it.

use cloister_model::{Capability, InspectedProgram, ModuleKind, Outcome, Verdict};
use cloister_tests::{guest, program, service::cloister};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// What `cloister` says of the file `algorithm` in a folder, without a service and without a home: its exit code, and what it prints.
fn inspect_as_client(folder: &Path, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(cloister());
    command.args(["algorithm", "inspect", "--file", "algorithm"]).args(more);
    let output = command.current_dir(folder).env_clear().stdin(Stdio::null()).output().expect("the program starts");
    let complaint = String::from_utf8(output.stderr).expect("text");
    let code = output.status.code().expect("an exit code");
    assert!(code == 0 || complaint.contains("algorithm is refused"), "{complaint}");
    assert_eq!(code == 0, complaint.is_empty(), "{complaint}");
    (code, String::from_utf8(output.stdout).expect("text"))
}

/// Exit code of `sandbox`, the text for people, and the same as JSON. Under the default limits, `cloister` says the same.
fn inspect(bytes: &[u8], more: &[&str]) -> (i32, String, InspectedProgram) {
    let directory = TempDir::new().expect("a temporary directory");
    fs::write(directory.path().join("algorithm"), bytes).expect("written");
    let run = |json: &[&str]| {
        let mut command = program();
        // Nothing of it needs a home.
        command.env_remove("CLOISTER_SANDBOX_HOME").env_remove("HOME").current_dir(directory.path());
        let output = command.args(["inspect", "algorithm"]).args(more).args(json).output().expect("the program starts");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.status.code().expect("an exit code"), String::from_utf8(output.stdout).expect("text"))
    };
    let ((code, text), (json_code, json)) = (run(&[]), run(&["--json"]));
    assert_eq!(code, json_code);
    assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
    assert!(!json.chars().any(|character| character.is_control() && character != '\n'), "{json:?}");
    let inspected: InspectedProgram = serde_json::from_str(&json).expect("JSON");
    assert!(text.contains(&inspected.sha256.to_string()));
    if more.is_empty() {
        let client_code = i32::from(code != 0);
        assert_eq!(inspect_as_client(directory.path(), &[]), (client_code, text.clone()));
        let (json_code, client_json) = inspect_as_client(directory.path(), &["-o", "json"]);
        assert_eq!(json_code, client_code);
        assert!(!client_json.chars().any(|character| character.is_control() && character != '\n'), "{client_json:?}");
        let value = |json: &str| serde_json::from_str::<Value>(json).expect("JSON");
        assert_eq!(value(&client_json), value(&json));
    }
    assert_eq!(inspected.bytes, bytes.len() as u64);
    assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1, "something was left behind");
    (code, text, inspected)
}

fn module(body: &str) -> Vec<u8> {
    wat::parse_str(format!("(module {body})")).expect("a module")
}

const COMMAND: &str = r#"
    (@producers (processed-by "clang" "19.1"))
    (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
    (memory (export "memory") 3 7)
    (table 5 funcref)
    (func (export "_start"))"#;

#[test]
fn inspect_shows_what_a_command_imports() {
    let (code, text, inspected) = inspect(&module(COMMAND), &[]);
    assert_eq!(code, 0);
    assert!(inspected.outcome.is_none());
    let admission = inspected.admission.expect("an admission");
    assert_eq!(admission.kind, Some(ModuleKind::Preview1Command));
    assert_eq!(admission.verdict, Verdict::Admitted);
    assert_eq!(admission.exports, ["_start", "memory"]);
    let asked: Vec<_> = admission.imports.iter().map(|import| (import.name.as_str(), import.allows)).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.contains(&("random_get", Capability::Random)), "{asked:?}");
    let memory = admission.memories[0];
    assert_eq!((memory.initial_pages, memory.maximum_pages), (3, Some(7)));
    assert_eq!((admission.table_elements, admission.functions), (5, 1));
    for said in
        ["WASI preview 1 command", "192.0 KiB, grows to at most 448.0 KiB", "clang 19.1", "random_get", "admitted"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn inspect_recognises_the_kind_of_each_built_guest() {
    for (name, kind) in
        [("column-stats.p1.wasm", ModuleKind::Preview1Command), ("column-stats.p2.wasm", ModuleKind::Component)]
    {
        let (code, text, inspected) = inspect(&fs::read(guest(name)).expect("a guest"), &[]);
        let admission = inspected.admission.expect("an admission");
        assert_eq!((code, admission.kind, admission.verdict), (0, Some(kind), Verdict::Admitted));
        // Older versions of Rust name the types of sockets in every component, and no function on them.
        let is_inert = |name: &str| name.starts_with("wasi:sockets/tcp@") || name.starts_with("wasi:sockets/udp@");
        assert!(
            admission
                .imports
                .iter()
                .filter(|import| !is_inert(&import.module))
                .all(|import| !matches!(import.allows, Capability::Network | Capability::Unknown))
        );
        assert!(admission.functions > 100 && admission.code_bytes > 10_000);
        assert!(text.contains(kind.describe()), "{text}");
    }
}

#[test]
fn a_refusal_names_the_rule_and_the_import() {
    let component = |body: &str| wat::parse_str(format!("(component {body})")).expect("a component");
    // Of preview 1 only what can open a connection; the calls on one that is open have nothing to work on.
    let open = r#"(import "wasi_snapshot_preview1" "sock_open" (func (param i32 i32 i32) (result i32)))"#;
    let start = r#"(memory (export "memory") 1) (func (export "_start"))"#;
    for (bytes, rule, subject) in [
        (module(&format!(r#"(import "env" "system" (func)) {start}"#)), "import", "system"),
        (module(&format!("{open} {start}")), "network", "sock_open"),
        (component(r#"(import "wasi:sockets/tcp@0.2.0" (instance))"#), "network", "wasi:sockets/tcp"),
        (component(r#"(import "wasi:http/types@0.2.0" (instance))"#), "network", "wasi:http/types"),
        (
            component(r#"(import "wasi:cli/environment@0.3.0" (instance))"#),
            "wasi-version",
            "wasi:cli/environment@0.3.0",
        ),
        (module(r#"(memory (export "memory") 1)"#), "entry-point", "_start"),
        (module(r#"(memory (export "memory") 65536) (func (export "_start"))"#), "memory", ""),
        (b"def main():\n    pass\n".to_vec(), "not-web-assembly", "text"),
        (b"\0asm\x02\0\0\0".to_vec(), "", ""),
    ] {
        let (code, text, inspected) = inspect(&bytes, &[]);
        assert_eq!(code, 4, "{text}");
        let Some(Outcome::Refused { refusals }) = inspected.outcome else { panic!("{:?}", inspected.outcome) };
        let Verdict::Refused { refusals: admitted } = inspected.admission.expect("an admission").verdict else {
            panic!("admitted: {text}")
        };
        assert_eq!(refusals, admitted);
        let refusal = refusals.iter().find(|refusal| refusal.rule.as_str().contains(rule)).unwrap_or_else(|| {
            panic!("not refused by {rule}: {text}");
        });
        assert!(refusal.subject.contains(subject), "{refusal}");
        assert!(refusal.advice.len() > 10, "{refusal}");
        for refusal in &refusals {
            assert!(text.contains(&format!("REFUSED      {refusal}")), "{text}");
        }
    }
}

#[test]
fn admission_applies_the_limits() {
    for (limits, code, said) in [
        ("memory=192KiB", 0, "admitted"),
        ("memory=128KiB", 4, "memory"),
        ("tables=5", 0, "admitted"),
        ("tables=4", 4, "too-large"),
        ("module=32", 4, "too-large"),
    ] {
        let (found, text, _) = inspect(&module(COMMAND), &["--limits", limits]);
        assert!(found == code && text.contains(said), "{limits}: {found} {text}");
    }
}

/// A stranger's names are shown without letting them act, and quoted as they are in JSON.
#[test]
fn names_are_escaped() {
    let name = "\u{1b}]0;owned\u{7}\u{202e}\n";
    let wat_name = "\\1b]0;owned\\07\\e2\\80\\ae\\0a";
    let body = format!(
        r#"(import "env" "{wat_name}" (func)) (memory (export "memory") 1) (func (export "_start")) (export "{wat_name}" (func 1))"#
    );
    let (code, text, inspected) = inspect(&module(&body), &[]);
    assert_eq!(code, 4);
    assert!(text.contains(r"\u{1b}]0;owned\u{7}\u{202e}\n"), "{text}");
    assert!(!text.contains('\u{202e}'));
    let admission = inspected.admission.expect("an admission");
    assert!(admission.exports.iter().any(|export| export == name), "{:?}", admission.exports);
    assert!(admission.imports.iter().any(|import| import.name == name));
    let Verdict::Refused { refusals } = admission.verdict else { panic!("admitted") };
    assert!(refusals.iter().all(|refusal| !refusal.to_string().chars().any(char::is_control)));
}

/// Whatever is in a file, both programs answer alike, and no answer is long.
#[test]
fn a_hostile_file_is_bounded_and_escaped() {
    let whole = module(COMMAND);
    for length in [0, 1, 4, 7, 8, 9, whole.len() / 2, whole.len() - 1] {
        let (code, text, inspected) = inspect(&whole[..length], &[]);
        assert!(code == 4 && inspected.outcome.is_some(), "{length}: {text}");
    }

    // A name as long as the format allows, of what acts on terminals, imported and exported.
    let name = r"\1b[2J\e2\80\ae\0a".repeat(12_000);
    let body = format!(
        r#"(import "{name}" "{name}" (func)) (memory (export "memory") 1) (func (export "_start")) (export "{name}" (func 1))
        (@producers (processed-by "{name}" "{name}"))"#
    );
    let (code, text, inspected) = inspect(&module(&body), &[]);
    assert_eq!(code, 4);
    assert!(text.len() < 8000, "{} bytes", text.len());
    let json = serde_json::to_string(&inspected).expect("JSON");
    assert!(json.len() < 16_000, "{} bytes", json.len());

    // More than any program may have: not read to be checked, and digested all the same.
    let huge = vec![0; (64 << 20) + 1];
    let (code, text, _) = inspect(&huge, &[]);
    assert!(code == 4 && text.contains("too-large: 67108865 bytes, where 67108864 are allowed"), "{text}");
}

#[test]
fn a_script_is_described_for_the_image_that_runs_it() {
    let directory = TempDir::new().expect("a temporary directory");
    fs::write(directory.path().join("algorithm"), "import pandas\n\nprint(1)\n").expect("written");
    let (code, _) = inspect_as_client(directory.path(), &["--image", "wasm"]);
    assert_eq!(code, 1, "no program");
    let (code, text) = inspect_as_client(directory.path(), &["--image", "python"]);
    assert_eq!(code, 0, "{text}");
    for said in ["text, perhaps source code, 3 lines", "image        python", "not checked", "24 bytes"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let (_, json) = inspect_as_client(directory.path(), &["--image", "python", "-o", "json"]);
    let inspected: InspectedProgram = serde_json::from_str(&json).expect("JSON");
    assert!(text.contains(&inspected.sha256.to_string()));
    assert_eq!(inspected.script.expect("a script").lines, Some(3));
}

#[test]
fn a_long_list_is_cut_for_people_only() {
    let exports: String = (0..100).map(|number| format!(r#"(export "e{number:03}" (func 0))"#)).collect();
    let (code, text, inspected) =
        inspect(&module(&format!("{COMMAND} {exports}").replace("(func 0)", "(func 2)")), &[]);
    assert_eq!(code, 0);
    assert_eq!(inspected.admission.expect("an admission").exports.len(), 102);
    assert!(text.contains("e020") && !text.contains("e090") && text.contains(" and 62 more"), "{text}");
}
