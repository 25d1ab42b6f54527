//! The Python client of `clients/python`: built into a wheel, installed in an empty environment, and used the whole way.

use crate::scenario::{Scenario, penguins};
use cloister_model::Sha256;
use cloister_tests::{
    guest, root,
    service::{ENDLESS, EXITS_WITH_7, cloister, text, tool},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Runs a command to its good end, and gives what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the command starts");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}\n{complained}");
    said.into_owned()
}

fn sources() -> PathBuf {
    root().join("clients/python")
}

/// Python with the client's wheel and nothing else.
fn installed(folder: &Path) -> PathBuf {
    // A copy, so that nothing is written into the checkout.
    let copy = folder.join("sources");
    run(Command::new("cp").arg("-R").arg(sources()).arg(&copy));
    let pip = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-m", "pip", "--disable-pip-version-check", "--quiet"]).env_clear().env("HOME", folder);
        command
    };
    let wheels = folder.join("wheels");
    run(pip(&tool("python"))
        .args(["wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir"])
        .args([&wheels, &copy]));
    let wheels: Vec<_> =
        fs::read_dir(&wheels).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    let [wheel] = &wheels[..] else { panic!("not one wheel: {wheels:?}") };
    let environment = folder.join("environment");
    run(Command::new(tool("python")).args(["-m", "venv"]).arg(&environment));
    let python = environment.join("bin/python");
    run(pip(&python).args(["install", "--no-index"]).arg(wheel));
    python
}

/// Python in a folder of its own, with no variable but `HOME`.
fn python(python: &Path, home: &Path) -> Command {
    let mut command = Command::new(python);
    command.current_dir(home).env_clear().env("HOME", home).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[test]
fn types_are_those_of_the_description() {
    run(Command::new(tool("python")).arg(sources().join("generate.py")).arg("--check"));
}

#[test]
fn the_wheel_does_the_whole_way() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let _ = (scenario.penguins(), scenario.column_stats());
    let files = json!([{"type": "inline", "content": penguins()}]);
    let open = json!({"title": "Open", "files": files, "compute": {"allowRawAlgorithm": true}});
    let _ = service.publish_dataset(alice, "open", &open);

    let folder = tempfile::tempdir().expect("a folder");
    let interpreter = installed(folder.path());
    let home = folder.path().join("home");
    fs::create_dir_all(home.join("app/lib")).expect("made");
    fs::write(home.join("app/main.py"), "import lib\n").expect("written");
    fs::write(home.join("app/lib/__init__.py"), "").expect("written");
    fs::copy(guest("column-stats.p1.wasm"), home.join("stats.wasm")).expect("copied");
    for (name, wat) in [("fails.wasm", EXITS_WITH_7), ("endless.wasm", ENDLESS)] {
        fs::write(home.join(name), wat::parse_str(wat).expect("a valid WAT text")).expect("written");
    }
    // The file that the command line writes is the one that the client reads.
    let mut login = Command::new(cloister());
    login.args(["login", "--url", &service.url(), "--key", "-"]).env_clear().env("HOME", &home).stdin(Stdio::piped());
    let mut login = login.spawn().expect("the program starts");
    login.stdin.take().expect("standard input").write_all(carol.key.as_bytes()).expect("written");
    assert!(login.wait().expect("ended").success());

    let nowhere = "http://127.0.0.1:1";
    let whole_way = |command: &mut Command| -> Value {
        let program = root().join("tests/conformance/python_client.py");
        let printed = run(command.arg(program).args([&service.url(), nowhere]));
        serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON")
    };
    let seen = whole_way(python(&interpreter, &home).args(["-W", "error"]));
    assert_eq!(seen["rows"], Value::Null, "nothing else is installed: {seen}");
    // The bytes that it got are those that an HTTP client without any description gets.
    let statistics = service.result(carol, &text(&seen, "job"), "statistics.json");
    assert_eq!(text(&seen, "sha256"), Sha256::of(&statistics).to_string());
    run(python(&interpreter, &home)
        .args(["-W", "error", "-m", "unittest", "discover", "--start-directory"])
        .arg(sources().join("tests")));

    // What a publisher reads of the own sources: they were not checked, and a job got them.
    let program = "import cloister_client, json; print(json.dumps(cloister_client.connect().sources('open')))";
    let publisher = [("CLOISTER_URL", service.url()), ("CLOISTER_KEY", alice.key.clone())];
    let seen = run(python(&interpreter, &home).envs(publisher).args(["-W", "error", "-c", program]));
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    assert!(seen["check"].is_null() && seen["job"]["id"].is_string() && seen["job"]["problem"].is_null(), "{seen}");

    // With pandas, which the tools of the tests bring, results are tables.
    fs::remove_dir_all(home.join("results")).expect("removed");
    let packages =
        run(Command::new(tool("python")).args(["-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]));
    let seen = whole_way(python(&interpreter, &home).env("PYTHONPATH", packages.trim()));
    let table = service.result(carol, &text(&seen, "job"), "statistics.csv");
    let rows = String::from_utf8(table).expect("text").lines().count() - 1;
    assert_eq!(seen["rows"], json!(rows));
}
