//! A program with an unknown import is refused before it runs.

use crate::runs::{Run as _, assert_crashed, assert_refused, assert_safe, fixture, shape};
use cloister_model::{Rule, TrapKind};
use cloister_tests::{Trial, root, sandbox, shared_home};
use std::{fs, io::Write as _, process::Command};

/// Names are untrusted text: they are escaped wherever they are shown.
#[test]
fn names_that_act_on_terminals() {
    let names = ["\u{1b}[2J", "\u{9b}31m", "\u{7f}\u{8}", "\u{202e}txt.exe", "\u{2066}x", "a\nb", "\u{85}"];
    for name in names {
        let name: String = name.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        let imports =
            format!("(import \"{name}\" \"{name}\" (func)) (import \"wasi_snapshot_preview1\" \"{name}\" (func))");
        let rest = format!(
            "(memory (export \"memory\") 1) (func (export \"_start\")) (global (export \"{name}\") i32 (i32.const 0)) (@custom \"{name}\" \"{name}\")"
        );
        for (imports, code) in [(imports.as_str(), 4), ("", 0)] {
            let program = wat::parse_str(format!("(module {imports} {rest})")).expect("valid");
            for arguments in [&[][..], &["--json"]] {
                let ended = Trial::bytes(&program).with(arguments).finish();
                assert_eq!(ended.code, Some(code), "{}", shape(&ended));
                let mut file = tempfile::NamedTempFile::new().expect("a file");
                file.write_all(&program).expect("written");
                let inspect = Command::new(sandbox())
                    .arg("inspect")
                    .arg(file.path())
                    .args(arguments)
                    .env("CLOISTER_SANDBOX_HOME", shared_home())
                    .output()
                    .expect("it starts");
                assert_safe(&inspect.stdout);
                assert_safe(&inspect.stderr);
                assert_eq!(inspect.status.code(), Some(code));
            }
        }
    }
}

#[track_caller]
fn refused(name: &str, rule: Rule) {
    assert_refused(&fixture(name).finish(), rule);
}

#[test]
pub(crate) fn import_sock_open() {
    refused("import_sock_open", Rule::Network);
}

#[test]
pub(crate) fn import_proc_raise() {
    refused("import_proc_raise", Rule::Import);
}

#[test]
pub(crate) fn import_unknown() {
    refused("import_unknown", Rule::Import);
}

#[test]
pub(crate) fn import_memory() {
    refused("import_memory", Rule::Import);
}

#[test]
pub(crate) fn import_wrong_type() {
    refused("import_wrong_type", Rule::Import);
}

/// Sockets may be mentioned: every call is answered with an error.
#[test]
pub(crate) fn import_sockets() {
    let ended = fixture("import_sockets").finish();
    ended.assert_succeeded();
}

/// They may even be used: names are looked up, sockets made, bound and connected, as far as a guest gets by saying that a socket is the
/// network that it was given. Every call is answered with the error `not-supported`.
#[test]
pub(crate) fn use_sockets() {
    let ended = fixture("use_sockets").finish();
    ended.assert_succeeded();
}

/// A call on a socket that does not exist ends the guest, and so does one that would return more than an error.
#[test]
fn sockets_that_are_made_up() {
    let text = fs::read_to_string(root().join("tests/hostile/use_sockets.wat")).expect("a fixture");
    let given = "(global.set $fake (call $instance))";
    for instead in
        ["(global.set $fake (i32.const 77))", "(drop (call $subscribe (call $instance))) (return (i32.const 0))"]
    {
        let changed = text.replace(given, instead);
        assert_ne!(changed, text);
        assert_crashed(&Trial::wat(&changed).finish(), TrapKind::AbiViolation);
    }
}

#[test]
pub(crate) fn import_http() {
    refused("import_http", Rule::Network);
}

#[test]
pub(crate) fn import_wasi_03() {
    refused("import_wasi_03", Rule::WasiVersion);
}

#[test]
pub(crate) fn import_unknown_interface() {
    refused("import_unknown_interface", Rule::Import);
}
