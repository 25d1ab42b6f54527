//! What a data scientist types first: `cloister login`, `cloister run`, labels.

use crate::scenario::Scenario;
use cloister_tests::service::{ENDLESS, EXITS_WITH_7, Who, cloister, phase, printing, text, tool, writing};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

/// A command in a folder of its own, which is the user's home, too.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cloister());
    command.args(arguments).current_dir(folder).env_clear().env("HOME", folder).stdin(Stdio::null());
    command
}

/// The same, with an account's key in the environment.
fn command_of(scenario: &Scenario, who: &Who, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command(folder, arguments);
    command.env("CLOISTER_URL", scenario.service.url()).env("CLOISTER_KEY", &who.key);
    command
}

/// What a command printed that has to end with this code: standard output and standard error.
#[track_caller]
fn ends(command: &mut Command, code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let (said, complained) = (text(stdout), text(stderr));
    assert_eq!(status.code(), Some(code), "{command:?}\n{said}\n{complained}");
    (said, complained)
}

/// A program of a WAT text in a file.
fn program(folder: &Path, name: &str, wat: &str) {
    fs::write(folder.join(name), wat::parse_str(wat).expect("a valid WAT text")).expect("written");
}

fn jobs(scenario: &Scenario) -> Vec<Value> {
    let jobs = scenario.service.get(&scenario.carol, "/v1/jobs").expect_json(200);
    jobs["items"].as_array().expect("a list").clone()
}

#[test]
fn one_command_submits_follows_and_fetches() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, .. } = &scenario;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let open = service.open_dataset(alice, "open");
    program(folder, "hello.wasm", &writing(&[("a.txt", "hello"), ("b.txt", "more")]));
    program(folder, "fails.wasm", EXITS_WITH_7);
    let run = |arguments: &[&str]| command_of(&scenario, carol, folder, &[&["run"], arguments].concat());

    let (said, notes) = ends(&mut run(&["hello.wasm", "-d", "alice/open", "-p", "n=1", "--dir", "results"]), 0);
    assert_eq!(said, "results/a.txt\nresults/b.txt\nresults/algorithm.log\n");
    assert_eq!(fs::read_to_string(folder.join("results/a.txt")).expect("a result"), "hello");
    // Plain lines where there is no terminal.
    assert!(notes.contains("\n-- Finished\n") && !notes.contains(['\u{1b}', '\r']), "{notes}");
    assert_eq!(jobs(&scenario).len(), 1);

    // Results of two jobs are not mixed: refused before anything is submitted.
    let (_, why) = ends(&mut run(&["hello.wasm", "-d", "alice/open", "--dir", "results"]), 2);
    assert!(why.contains("not empty") && jobs(&scenario).len() == 1, "{why}");
    fs::write(folder.join("results/a.txt"), "old").expect("written");
    let _ = ends(&mut run(&["hello.wasm", "-d", "alice/open", "--dir", "results", "--force"]), 0);
    assert_eq!(fs::read_to_string(folder.join("results/a.txt")).expect("a result"), "hello");

    // A published algorithm, and a document for programs. The folder is called after the job.
    let bytes = fs::read(folder.join("hello.wasm")).expect("read");
    let files = json!({"files": [{"type": "upload", "sha256": service.upload(bob, &bytes)}]});
    let algorithm = service.publish_algorithm(bob, "hello", &files);
    let permissions = json!({"allowRawAlgorithm": true, "publisherTrustedAlgorithmPublishers": ["bob"]});
    let _ = service.put(alice, &format!("/v1/datasets/{open}/permissions"), &permissions).expect(200);
    let (said, _) = ends(&mut run(&["bob/hello", "-d", "alice/open", "-o", "json"]), 0);
    let document: Value = serde_json::from_str(&said).expect("one JSON document");
    assert_eq!(
        (&document["job"]["phase"], &document["job"]["algorithm"]["did"]),
        (&json!("Finished"), &json!(algorithm))
    );
    assert_eq!(document["files"], json!(["a.txt", "b.txt", "algorithm.log"]));
    assert_eq!(document["results"][0]["name"], "a.txt");
    assert!(folder.join(text(&document, "dir")).join("b.txt").exists(), "{document}");

    // A success without outputs says so.
    program(folder, "prints.wasm", &printing("done\n"));
    let (said, notes) = ends(&mut run(&["prints.wasm", "-d", "alice/open", "--dir", "printed"]), 0);
    assert_eq!(said, "printed/algorithm.log\n");
    assert!(notes.contains("its algorithm wrote no file to /data/outputs"), "{notes}");

    // The codes are those of `job submit --follow`, and a job that failed leaves no folder.
    let (_, why) = ends(&mut run(&["fails.wasm", "-d", "alice/open", "--dir", "none"]), 1);
    assert!(why.contains("AlgorithmFailed") && !folder.join("none").exists(), "{why}");
    let _ = ends(&mut run(&["missing.wasm", "-d", "alice/open"]), 2);
    let _ = ends(&mut run(&["hello.wasm"]), 2);
    let _ = ends(&mut run(&["bob/none", "-d", "alice/open"]), 4);
    let permissions = json!({});
    let _ = service.put(alice, &format!("/v1/datasets/{open}/permissions"), &permissions).expect(200);
    let _ = ends(&mut run(&["hello.wasm", "-d", "alice/open"]), 3);
}

#[test]
fn ctrl_c_leaves_the_job_and_says_how_to_stop_it() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let folder = tempfile::tempdir().expect("a folder");
    let _ = service.open_dataset(alice, "open");
    program(folder.path(), "endless.wasm", ENDLESS);
    let mut child = command_of(&scenario, carol, folder.path(), &["run", "endless.wasm", "-d", "alice/open"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut notes = BufReader::new(child.stderr.take().expect("standard error"));
    let mut said = String::new();
    // Once it says a phase, it waits for Ctrl-C, too.
    while !said.contains("\n-- ") {
        assert_ne!(notes.read_line(&mut said).expect("text"), 0, "{said}");
    }
    kill_process(Pid::from_child(&child), Signal::INT).expect("sent");
    notes.read_to_string(&mut said).expect("text");
    assert_eq!(child.wait().expect("ended").code(), Some(130), "{said}");
    let jobs = jobs(&scenario);
    let id = text(&jobs[0], "id");
    for command in [format!("cloister job follow {id}"), format!("cloister job stop {id}")] {
        assert!(said.contains(&command), "{said}");
    }
    assert!(!phase(&service.job(carol, &id)).has_ended(), "the job goes on");
    let _ = ends(&mut command_of(&scenario, carol, folder.path(), &["job", "stop", &id]), 0);
    let _ = service.ended(carol, &id);
}

#[test]
fn on_a_terminal_a_line_moves_below_the_log() {
    const TERMINAL: &str = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let folder = tempfile::tempdir().expect("a folder");
    let _ = service.open_dataset(alice, "open");
    program(folder.path(), "prints.wasm", &printing("one\ntwo \u{1b}[2J\n"));
    let mut command = Command::new(tool("python"));
    command.args(["-c", TERMINAL]).arg(cloister()).args(["run", "prints.wasm", "-d", "alice/open"]);
    command.current_dir(folder.path()).env_clear().env("HOME", folder.path()).stdin(Stdio::null());
    command.env("CLOISTER_URL", service.url()).env("CLOISTER_KEY", &carol.key);
    let (shown, _) = ends(&mut command, 0);
    // Each line of the log stands alone: the moving line was taken away before it, and a guest moves no cursor.
    let lines: Vec<_> =
        shown.split("\r\n").map(|line| line.rsplit("\u{1b}[K").next().expect("at least one part")).collect();
    assert!(lines.contains(&"one") && lines.contains(&"two \\u{1b}[2J"), "{shown:?}");
    // Written over itself: a phase, and for how long.
    let moving: Vec<_> = shown.split("\r\u{1b}[K").filter(|part| part.ends_with(" s")).collect();
    assert!(!moving.is_empty() && moving.iter().all(|line| line.starts_with(['-', '\\', '|', '/'])), "{shown:?}");
    assert!(!shown.contains("-- Finished"), "phases are in the moving line: {shown:?}");
}

#[test]
fn after_a_login_no_variables_are_needed() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let config = folder.join(".config/cloister/config.yaml");
    let url = service.url();
    let mut seen = String::new();
    let mut ends = |arguments: &[&str], code: i32| {
        let (said, notes) = ends(&mut command(folder, arguments), code);
        seen += &said;
        seen += &notes;
        (said, notes)
    };
    let key_file = |name: &str, who: &Who, mode: u32| {
        fs::write(folder.join(name), format!("{}\n", who.key)).expect("written");
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    key_file("carol.key", carol, 0o600);
    key_file("alice.key", alice, 0o644);

    let (_, why) = ends(&["--url", &url, "whoami"], 3);
    assert!(why.contains("cloister login"), "{why}");
    // Nothing is stored that the service refuses, and nothing without a key or an address.
    fs::write(folder.join("wrong.key"), "clk_0000000000000000_wrong").expect("written");
    let _ = ends(&["login", "--url", &url, "--key", "wrong.key"], 3);
    let _ = ends(&["login", "--url", &url], 2);
    let _ = ends(&["login", "--key", "carol.key"], 2);
    let _ = ends(&["login", "--url", "http://127.0.0.1:1", "--key", "carol.key"], 5);
    assert!(!config.exists());

    let (_, notes) = ends(&["login", "--url", &url, "--key", "carol.key"], 0);
    assert!(notes.contains("carol (consumer)") && !notes.contains("warning"), "{notes}");
    assert_eq!(fs::metadata(&config).expect("stored").permissions().mode() & 0o777, 0o600);
    assert!(ends(&["whoami"], 0).0.contains("carol"));
    // A second one, at the same address, by a key that others can read.
    let (_, notes) = ends(&["login", "--url", &url, "--key", "alice.key", "--context", "alice", "--link"], 0);
    assert!(notes.contains("other users") && notes.contains("chmod 600"), "{notes}");
    assert!(ends(&["whoami"], 0).0.contains("alice"));
    let (listed, _) = ends(&["context", "list", "-o", "json"], 0);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let [first, second] = &listed["items"].as_array().expect("a list")[..] else { panic!("{listed}") };
    let (by_host, other) = if first["name"] == "alice" { (second, first) } else { (first, second) };
    assert_eq!((&by_host["key"], &by_host["current"]), (&json!("stored"), &json!(false)));
    assert_eq!(other["current"], true);
    let by_host = text(by_host, "name");
    assert!(ends(&["--context", &by_host, "whoami"], 0).0.contains("carol"));
    let _ = ends(&["context", "use", &by_host], 0);
    assert!(ends(&["whoami"], 0).0.contains("carol"));
    assert!(ends(&["context", "show"], 0).0.contains(&url));
    // A linked key is read each time.
    key_file("alice.key", carol, 0o600);
    assert!(ends(&["--context", "alice", "whoami"], 0).0.contains("carol"));
    let _ = ends(&["--context", "none", "whoami"], 2);
    let _ = ends(&["context", "use", "none"], 4);
    // The key of a context is not sent to another address: without one, no request is made.
    let (_, why) = ends(&["--url", "http://127.0.0.1:1", "whoami"], 3);
    assert!(why.contains("not signed in"), "{why}");
    let _ = ends(&["context", "delete", &by_host], 0);
    assert!(!fs::read_to_string(&config).expect("read").contains("clk_"), "its key is deleted with it");
    // From a pipe, as password managers give it.
    let mut child = command(folder, &["login", "--url", &url, "--key", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("standard input").write_all(alice.key.as_bytes()).expect("written");
    assert!(child.wait().expect("ended").success());
    assert!(ends(&["whoami"], 0).0.contains("alice"));
    for who in [alice, carol] {
        assert!(!seen.contains(&who.key), "a key was printed");
    }
}

#[test]
fn a_job_is_recognised_by_its_label() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, mallory, .. } = &scenario;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let open = service.open_dataset(alice, "open");
    program(folder, "hello.wasm", &writing(&[("a.txt", "hello")]));
    let by = |who: &Who, arguments: &[&str]| command_of(&scenario, who, folder, arguments);
    let label = "größer, 3rd try";
    let job = ["job", "submit", "-d", "alice/open", "--file", "hello.wasm", "--label", label, "--wait"];
    let (said, _) = ends(&mut by(carol, &job), 0);
    let id = said.trim();
    for who in [carol, alice] {
        let path = format!("/v1/jobs/{id}");
        assert_eq!(service.get(who, &path).expect_json(200)["label"], label);
        let list = service.get(who, &format!("/v1/jobs?dataset={open}")).expect_json(200);
        assert_eq!(list["items"][0]["label"], label);
    }
    service.get(mallory, &format!("/v1/jobs/{id}")).problem(404);
    assert!(ends(&mut by(carol, &["job", "list"]), 0).0.contains(label));
    for who in [carol, alice] {
        assert!(ends(&mut by(who, &["job", "show", id]), 0).0.contains(label));
    }
    // No label acts on the terminals of those who see it.
    for wrong in ["", " ", "a\u{1b}[2J", "a\nb", "\u{202e}x", &"x".repeat(101)] {
        let job = json!({"datasets": [open], "algorithm": service.raw(carol, EXITS_WITH_7), "label": wrong});
        assert_eq!(service.post(carol, "/v1/jobs", &job).problem(422)["field"], "label", "{wrong:?}");
    }
}
