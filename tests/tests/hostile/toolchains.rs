//! Components that tools of other languages make: componentize-py and componentize-js. `scripts/components.sh` builds them from
//! `tests/components`. Each does its work and then tries what must fail, through the libraries of its language.

use crate::runs::{Run as _, assert_outputs, shape};
use cloister_model::{Admission, Capability, ModuleKind, Verdict};
use cloister_tests::{Trial, program, root};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

const DATASET: &[u8] = b"species,mass\nA,3500\nB,4000.5\n";
const VARIABLES: &str = "variables: DIDS INPUTS LOGS OUTPUTS TRANSFORMATION_DID VOLUME";

/// What is read of `inspect --json`.
#[derive(Debug, Deserialize)]
struct Inspected {
    admission: Admission,
}

/// A component, compiled: that may take longer than a run.
#[track_caller]
fn built(name: &str) -> PathBuf {
    let path = root().join("target/guests").join(name);
    assert!(path.is_file(), "`{}` has not been built; run `scripts/components.sh` first", path.display());
    let compiled = program().arg("compile").arg(&path).args(["--limits", "compile-wall=10m"]).output();
    let compiled = compiled.expect("the program starts");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    path
}

/// The interfaces of a network that an admitted component imports, without their versions, sorted.
#[track_caller]
fn networks(component: &Path) -> Vec<String> {
    let inspected = program().args(["inspect", "--json"]).arg(component).output().expect("the program starts");
    let Inspected { admission } = serde_json::from_slice(&inspected.stdout).expect("JSON");
    assert_eq!((admission.kind, admission.verdict), (Some(ModuleKind::Component), Verdict::Admitted));
    let asked = admission.imports.iter().filter(|import| import.allows == Capability::Network);
    let mut names: Vec<_> =
        asked.map(|import| import.module.split('@').next().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

/// Runs a component on the dataset behind every wall, and compares what it printed and left.
#[track_caller]
fn run(component: &Path, result: &str, log: &[&str]) {
    let ended = Trial::file(component).dataset("d", DATASET).finish();
    ended.assert_succeeded();
    let printed = String::from_utf8(ended.log.clone()).expect("text");
    assert_eq!(printed.lines().collect::<Vec<_>>(), log, "{}", shape(&ended));
    assert_outputs(&ended, &[("sum.json", result.as_bytes())]);
    let report = ended.report();
    assert_eq!(report.algorithm.kind, Some(ModuleKind::Component));
    assert!(report.isolation.is_some(), "it reports its walls: {}", shape(&ended));
}

/// The documentation names the versions that are pinned, and so tested.
#[test]
fn the_documentation_names_the_versions_that_are_tested() {
    let read = |name: &str| fs::read_to_string(root().join(name)).expect("a file of the repository");
    let (python, javascript) =
        (read("tests/components/python-tools.txt"), read("tests/components/javascript/package.json"));
    for name in ["docs/writing-algorithms.md", "docs/compatibility.md"] {
        let text = read(name);
        let version = |tool: &str| {
            let (_, after) = text.split_once(&format!("{tool} 0.")).unwrap_or_else(|| panic!("{name}: no {tool}"));
            let end = after.find(|letter: char| letter != '.' && !letter.is_ascii_digit()).unwrap_or(after.len());
            format!("0.{}", &after[..end])
        };
        assert!(python.contains(&format!("componentize-py=={} ", version("componentize-py"))), "{name}");
        assert!(javascript.contains(&format!("componentize-js\": \"{}\"", version("componentize-js"))), "{name}");
    }
}

/// CPython in a component imports every interface of sockets. `socket`, `getaddrinfo` and `urllib` get the error of our answers.
#[test]
fn a_component_of_componentize_py() {
    let component = built("componentize-py.wasm");
    let every_one = [
        "wasi:sockets/instance-network",
        "wasi:sockets/ip-name-lookup",
        "wasi:sockets/network",
        "wasi:sockets/tcp",
        "wasi:sockets/tcp-create-socket",
        "wasi:sockets/udp",
        "wasi:sockets/udp-create-socket",
    ];
    assert_eq!(networks(&component), every_one);
    let log = [
        VARIABLES,
        "TCP: OSError ENOTSUP",
        "TCP over IPv6: OSError ENOTSUP",
        "UDP: OSError ENOTSUP",
        "connect: OSError ENOTSUP",
        "listen: OSError ENOTSUP",
        "look up: OSError ENOTSUP",
        "download: URLError ENOTSUP",
        "change the dataset: OSError EROFS",
        "read an output: PermissionError EACCES",
        "read a file of the machine: FileNotFoundError ENOENT",
        "start a process: OSError ENOTSUP",
        "start a thread: RuntimeError",
    ];
    run(&component, r#"{"rows": 2, "sum": 7500.5}"#, &log);
}

/// JavaScript in a component calls the interfaces of WASI itself, those of sockets, too. The name of the error is that of the interface.
#[test]
fn a_component_of_componentize_js() {
    let component = built("componentize-js.wasm");
    let those_it_calls_and_their_types = [
        "wasi:sockets/network",
        "wasi:sockets/tcp",
        "wasi:sockets/tcp-create-socket",
        "wasi:sockets/udp",
        "wasi:sockets/udp-create-socket",
    ];
    assert_eq!(networks(&component), those_it_calls_and_their_types);
    let log = [
        VARIABLES,
        "TCP over ipv4: not-supported",
        "UDP over ipv4: not-supported",
        "TCP over ipv6: not-supported",
        "UDP over ipv6: not-supported",
        "change the dataset: read-only",
        "read an output: access",
        "read a file of the machine: no-entry",
        "leave the root: not-permitted",
    ];
    run(&component, r#"{"rows":2,"sum":7500.5}"#, &log);
}
