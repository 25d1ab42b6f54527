//! Clients that others generate from the description of the API do the whole way, from a table and a program to a receipt.

use crate::scenario::Scenario;
use cloister_model::Sha256;
use cloister_tests::{
    guest, root,
    service::{text, tool},
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Runs a command to its good end, and gives what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    // `JAVA_OPTS` of the developer has nothing to do with it.
    let output = command.env_remove("JAVA_OPTS").stdin(Stdio::null()).output().expect("the command starts");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}\n{complained}");
    said.into_owned()
}

/// A client is made by the first command, and the program of `tests/conformance` uses it.
fn the_whole_way(program: &str, generate: impl FnOnce(&str, &Path) -> Command) {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, .. } = &scenario;
    let client = service.folder().join("client");
    fs::create_dir(&client).expect("made");
    let _ = run(&mut generate(&format!("{}/openapi.json", service.url()), &client));
    let printed = run(Command::new(tool("python"))
        .arg(root().join("tests/conformance").join(program))
        .arg(&client)
        .args([&service.url(), &alice.key, &bob.key, &carol.key])
        .args([root().join("data/penguins.csv"), guest("column-stats.p1.wasm")]));
    let seen: Value = serde_json::from_str(printed.trim()).expect("JSON");
    // The bytes that the client got are those that an HTTP client without any description gets.
    let statistics = service.result(carol, &text(&seen, "job"), "statistics.json");
    assert_eq!(text(&seen, "sha256"), Sha256::of(&statistics).to_string());
    let audit = service.get(&service.operator, "/v1/audit?limit=1000").expect(200).text();
    assert!(audit.contains("result-downloaded") && audit.contains(&text(&seen, "dataset")), "{audit}");
}

#[test]
fn a_client_of_openapi_generator_does_the_whole_way() {
    the_whole_way("openapi_generator.py", |description, client| {
        let mut command = Command::new(tool("openapi-generator-cli"));
        command.args(["generate", "--generator-name", "python", "--package-name", "cloister_client"]);
        command.args(["--input-spec", description, "--output"]).arg(client);
        command
    });
}

#[test]
fn a_client_of_openapi_python_client_does_the_whole_way() {
    the_whole_way("openapi_python_client.py", |description, client| {
        let configuration = client.with_file_name("configuration.yml");
        // Its hooks only format.
        fs::write(&configuration, "post_hooks: []\n").expect("written");
        let mut command = Command::new(tool("openapi-python-client"));
        command.args(["generate", "--meta", "none", "--overwrite", "--url", description, "--config"]);
        command.arg(configuration).arg("--output-path").arg(client.join("cloister_typed"));
        command
    });
}
