//! The shape of the repository: which part may use which, where `unsafe` may stand, how long a file may get. What a
//! reviewer would have to remember is written here once.

use cloister_tests::root;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// One crate below `crates/`. A crate that is not listed fails the test; a listed crate that is not written yet does not.
struct Layer {
    name: &'static str,
    /// What of ours it may depend on.
    ours: &'static [&'static str],
    /// What else it may depend on; none: anything that no other crate keeps to itself.
    only: Option<&'static [&'static str]>,
    /// What its whole dependency closure must not hold.
    never: &'static [&'static str],
}

const HTTP_CLIENTS: &[&str] =
    &["reqwest", "hyper", "ureq", "curl", "isahc", "attohttpc", "awc", "minreq", "wasmtime-wasi-http"];
const ENGINES: &[&str] = &["wasmtime", "wasmtime-wasi", "cranelift-codegen", "wasmer", "wasmi"];

/// What reads strangers' outputs has no way out: no HTTP client, no store, no TLS, no engine, no credentials to use.
const NETWORK: &[&str] = &[
    "reqwest",
    "hyper",
    "ureq",
    "curl",
    "isahc",
    "attohttpc",
    "awc",
    "minreq",
    "wasmtime-wasi-http",
    "object_store",
    "age",
    "rustls",
    "native-tls",
    "cloister-sources",
    "cloister-results",
    "wasmtime",
    "wasmtime-wasi",
    "cranelift-codegen",
];

const LAYERS: &[Layer] = &[
    Layer {
        name: "cloister-model",
        ours: &[],
        // `url`, `base64` and `bech32` parse what a publisher writes, and `strsim` finds the field that was meant; they do no I/O.
        only: Some(&["serde", "serde_json", "sha2", "strsim", "thiserror", "schemars", "url", "base64", "bech32"]),
        never: &["tokio", "wasmtime", "kube", "rusqlite", "hyper", "rustix"],
    },
    Layer {
        name: "cloister-lifecycle",
        ours: &["cloister-model"],
        only: Some(&["jiff", "serde_json", "sha2", "thiserror"]),
        never: &["tokio", "rusqlite", "rustix", "hyper", "kube", "wasmtime"],
    },
    Layer {
        name: "cloister-admission",
        ours: &["cloister-model"],
        only: Some(&["wasmparser", "wit-component"]),
        never: &["tokio", "wasmtime", "rustix"],
    },
    Layer {
        name: "cloister-isolation",
        ours: &[],
        only: Some(&["landlock", "libc", "rustix", "seccompiler", "serde", "thiserror"]),
        never: ENGINES,
    },
    Layer {
        name: "cloister-sandbox",
        ours: &["cloister-model", "cloister-admission", "cloister-isolation"],
        only: None,
        never: HTTP_CLIENTS,
    },
    // Process 1 of a container that holds a stranger's program: small, and without a way out.
    Layer {
        name: "cloister-entry",
        ours: &["cloister-model", "cloister-isolation"],
        only: Some(&["rustix", "thiserror"]),
        never: NETWORK,
    },
    // The steps around a run, split by the rights that they need.
    Layer { name: "cloister-files", ours: &["cloister-model"], only: None, never: NETWORK },
    Layer { name: "cloister-release", ours: &["cloister-model", "cloister-files"], only: None, never: NETWORK },
    Layer { name: "cloister-sources", ours: &["cloister-model", "cloister-files"], only: None, never: ENGINES },
    Layer { name: "cloister-results", ours: &["cloister-model", "cloister-files"], only: None, never: ENGINES },
    Layer {
        name: "cloister-runner",
        ours: &["cloister-model", "cloister-lifecycle"],
        only: Some(&["rustix", "serde_json", "thiserror", "tokio"]),
        never: NETWORK,
    },
    Layer {
        name: "cloister-local-engine",
        ours: &[
            "cloister-model",
            "cloister-lifecycle",
            "cloister-files",
            "cloister-sources",
            "cloister-release",
            "cloister-results",
            "cloister-runner",
        ],
        only: None,
        never: ENGINES,
    },
    Layer {
        name: "cloister-k8s-engine",
        ours: &["cloister-model", "cloister-lifecycle", "cloister-files", "cloister-sources", "cloister-results"],
        only: None,
        never: ENGINES,
    },
    Layer {
        name: "cloister-service",
        ours: &["cloister-model", "cloister-admission", "cloister-lifecycle"],
        only: None,
        // Use cases know neither HTTP nor an engine.
        never: &["axum", "hyper", "reqwest", "wasmtime", "wasmtime-wasi", "cranelift-codegen", "wasmer", "wasmi"],
    },
    Layer { name: "cloister-api", ours: &["cloister-model", "cloister-service"], only: None, never: ENGINES },
    Layer {
        name: "cloister-cli",
        ours: &[
            "cloister-model",
            "cloister-admission",
            "cloister-files",
            "cloister-sources",
            "cloister-release",
            "cloister-results",
            "cloister-local-engine",
            "cloister-k8s-engine",
            "cloister-api",
        ],
        only: None,
        // It starts the sandbox as a program of its own: what speaks HTTP never holds an engine.
        never: ENGINES,
    },
];

/// Heavy or sharp outside crates, and the crates that may name them.
const KEPT: &[(&[&str], &[&str])] = &[
    (&["wasmtime", "wasmtime-wasi", "wasmtime-wasi-io"], &["cloister-sandbox", "cloister-bench"]),
    (&["cap-std"], &["cloister-sandbox"]),
    (&["wasmparser", "wit-component"], &["cloister-admission"]),
    (&["landlock", "seccompiler"], &["cloister-isolation"]),
    (&["libc"], &["cloister-isolation", "cloister-bench"]),
    // The supervisor, too, opens files and waits for processes; the host measures both.
    // A program that starts sandboxes holds locks and sends signals.
    (
        &["rustix"],
        &[
            "cloister-isolation",
            "cloister-sandbox",
            "cloister-entry",
            "cloister-files",
            "cloister-sources",
            "cloister-release",
            "cloister-results",
            "cloister-runner",
            "cloister-local-engine",
            "cloister-cli",
            "cloister-bench",
            // Ends the sandboxes that a killed service leaves to a test.
            "cloister-testkit",
        ],
    ),
    // The command line is a client of the service.
    (&["reqwest"], &["cloister-sources", "cloister-results", "cloister-cli", "cloister-bench"]),
    (&["object_store"], &["cloister-sources", "cloister-results"]),
    (&["age"], &["cloister-results"]),
    (&["opentelemetry", "opentelemetry_sdk", "opentelemetry-otlp", "tracing-opentelemetry"], &["cloister-cli"]),
    (&["rusqlite", "sqlx"], &["cloister-local-engine"]),
    // The benchmark plays the nodes of a cluster.
    (&["kube", "k8s-openapi"], &["cloister-k8s-engine", "cloister-bench"]),
    (&["axum", "tower-http", "utoipa", "jsonwebtoken", "k256"], &["cloister-api"]),
    (&["clap"], &["cloister-sandbox", "cloister-cli"]),
];

/// What tests and measures the product. Nothing that is shipped depends on it; for tests it may.
const NOT_SHIPPED: &[&str] = &["cloister-bench", "cloister-engine-tests", "cloister-testkit", "cloister-tests"];

/// What is built of the workspace on this platform, with tests and build scripts left out.
struct Graph {
    names: BTreeMap<String, String>,
    members: Vec<String>,
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read() -> Self {
        let host = Command::new("rustc").arg("-vV").output().expect("rustc");
        let host = String::from_utf8(host.stdout).expect("text");
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
        let metadata = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
            .current_dir(root())
            .output()
            .expect("cargo");
        assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
        let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let mut graph = Self { names: BTreeMap::new(), members: vec![], edges: BTreeMap::new() };
        for package in list(&metadata["packages"]) {
            graph.names.insert(text(&package["id"]), text(&package["name"]));
        }
        graph.members = list(&metadata["workspace_members"]).iter().map(text).collect();
        for node in list(&metadata["resolve"]["nodes"]) {
            let is_normal =
                |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let mut normal = list(&node["deps"]);
            normal.retain(is_normal);
            graph.edges.insert(text(&node["id"]), normal.iter().map(|dependency| text(&dependency["pkg"])).collect());
        }
        graph
    }

    fn name(&self, id: &str) -> &str {
        &self.names[id]
    }

    fn direct(&self, id: &str) -> impl Iterator<Item = &str> {
        self.edges[id].iter().map(|id| self.name(id))
    }

    /// The ids of everything that a package is made of.
    fn closure<'a>(&'a self, id: &'a str) -> BTreeSet<&'a str> {
        let (mut seen, mut open) = (BTreeSet::from([id]), vec![id]);
        while let Some(id) = open.pop() {
            open.extend(self.edges[id].iter().map(String::as_str).filter(|next| seen.insert(next)));
        }
        seen
    }
}

#[test]
fn dependencies_between_crates_go_one_way() {
    let graph = Graph::read();
    assert!(graph.members.len() > LAYERS.len() / 2, "{:?}", graph.members);
    for id in &graph.members {
        let name = graph.name(id);
        let direct: Vec<&str> = graph.direct(id).collect();
        for (kept, owners) in KEPT {
            let named: Vec<_> = direct.iter().filter(|dependency| kept.contains(dependency)).collect();
            assert!(named.is_empty() || owners.contains(&name), "{name} names {named:?}, which only {owners:?} may");
        }
        // Not part of the product: what tests and measures it.
        if NOT_SHIPPED.contains(&name) {
            continue;
        }
        let layer = LAYERS.iter().find(|layer| layer.name == name);
        let Layer { name, ours, only, never } = layer.unwrap_or_else(|| panic!("{name} has no place in LAYERS"));
        for dependency in direct {
            if dependency.starts_with("cloister-") {
                assert!(ours.contains(&dependency), "{name} must not depend on {dependency}");
            } else if let Some(only) = only {
                assert!(only.contains(&dependency), "{name} is to stay small: {dependency} is not in its list");
            }
        }
        let closure: BTreeSet<&str> = graph.closure(id).into_iter().map(|id| graph.name(id)).collect();
        for banned in *never {
            assert!(!closure.contains(banned), "{name} must not depend on {banned}, not even through others");
        }
    }
}

/// What is built for other systems than Linux (scripts/clients.sh) is a client, and nothing of the service.
#[test]
fn the_client_alone_holds_no_engine_no_store_and_no_server() {
    let listed = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "cloister-cli", "--no-default-features"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).expect("text");
    let names: BTreeSet<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    let ours: Vec<&&str> = names.iter().filter(|name| name.starts_with("cloister-")).collect();
    // Admission decides what `algorithm inspect` says; it holds a parser, and neither compiles nor runs.
    assert_eq!(ours, [&"cloister-admission", &"cloister-cli", &"cloister-model"]);
    assert!(names.contains("reqwest"), "{names:?}");
    for banned in ["axum", "kube", "object_store", "opentelemetry", "rusqlite", "utoipa"].iter().chain(ENGINES) {
        assert!(!names.contains(banned), "the client alone must not depend on {banned}");
    }
}

#[test]
fn the_host_has_one_wasm_engine_and_one_wasm_parser() {
    let graph = Graph::read();
    let sandbox = graph.members.iter().find(|id| graph.name(id) == "cloister-sandbox").expect("the host");
    let closure = graph.closure(sandbox);
    for name in ["wasmtime", "wasmparser", "cap-std"] {
        let generations = closure.iter().filter(|id| graph.name(id) == name).count();
        assert_eq!(generations, 1, "two generations of {name} could disagree about a module or a path");
    }
}

/// Every file that is under version control, below these folders of the repository (all, if none is given).
fn tracked(below: &[&str]) -> Vec<(PathBuf, String)> {
    let listed = Command::new("git").args(["ls-files", "-z"]).args(below).current_dir(root()).output().expect("git");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("names");
    // Files that were just removed are still listed, and pictures are no text.
    let read = |name: &str| Some((PathBuf::from(name), fs::read_to_string(root().join(name)).ok()?));
    let files: Vec<_> = names.split_terminator('\0').filter_map(read).collect();
    assert!(!files.is_empty());
    files
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// A line without its comment and its string literals.
fn code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or_default();
    line.split('"').step_by(2).collect::<Vec<_>>().join(" ")
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|character: char| !character.is_alphanumeric() && character != '_').any(|found| found == word)
}

#[test]
fn unsafe_code_stands_only_where_it_is_listed() {
    let unsafe_word = concat!("un", "safe");
    // Not in `bench`: what it measures the host against is an engine without a host.
    for (path, text) in tracked(&["crates", "tests", "fuzz", "algorithms"]) {
        let allowed = path.starts_with("crates/isolation") || path == Path::new("crates/sandbox/src/artifact.rs");
        if !is_rust(&path) || allowed {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            assert!(!has_word(&code(line), unsafe_word), "{}:{}: {line}", path.display(), number + 1);
        }
    }
}

#[test]
fn every_crate_without_unsafe_forbids_it() {
    let forbidden = concat!("#![forbid(un", "safe_code)]");
    for (path, text) in tracked(&["crates/*/src/lib.rs", "crates/*/src/main.rs"]) {
        if !path.starts_with("crates/isolation") && !path.starts_with("crates/sandbox") {
            assert!(text.contains(forbidden), "{}: lacks {forbidden}", path.display());
        }
    }
}

#[test]
fn files_stay_short() {
    for (path, text) in tracked(&["crates"]) {
        let lines = text.lines().count();
        assert!(!is_rust(&path) || lines <= 600, "{} has {lines} lines; make it a folder", path.display());
    }
}

/// Words and paths that mean nothing to a reader of the repository on another machine or on another day.
#[test]
fn sources_name_no_machine_and_hold_no_unfinished_work_markers() {
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    for (path, text) in tracked(&[]) {
        // Hostile programs ask for the files that attackers ask for.
        let is_hostile = path.starts_with("tests/hostile") || path.starts_with("tests/tests/hostile");
        for (number, line) in text.lines().enumerate() {
            let at = format!("{}:{}: {line}", path.display(), number + 1);
            let absolute = |place: &&str| {
                line.match_indices(*place).any(|(index, _)| {
                    let before = line[..index].chars().next_back();
                    before.is_none_or(|before| {
                        !before.is_alphanumeric() && !matches!(before, '/' | '-' | '_' | '.' | '}' | ')')
                    })
                })
            };
            assert!(is_hostile || !places.iter().any(absolute), "a path of one machine: {at}");
            assert!(!words.iter().any(|word| has_word(line, word)), "do it, or note it elsewhere: {at}");
        }
    }
}
