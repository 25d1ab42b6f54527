//! An Ocean algorithm for Node.js, unchanged.

use crate::scenario::Scenario;
use cloister_tests::{install_javascript, root, service::cloister};
use serde_json::json;
use std::{
    fs,
    process::{Command, Stdio},
};

#[test]
fn a_script_for_node_runs_where_its_image_is_mapped_to_the_runtime() {
    install_javascript();
    let scenario = Scenario::new();
    let Scenario { service, bob, carol, .. } = &scenario;
    let dataset = scenario.penguins();
    let script = fs::read(root().join("tests/corpus/node_rows.js")).expect("a script");
    let sha256 = service.upload(bob, &script);
    let algorithm = service.publish_algorithm(
        bob,
        "node-rows",
        &json!({"files": [{"type": "upload", "sha256": sha256}], "algorithm": {"language": "Node.js",
            "container": {"image": "node", "tag": "latest", "entrypoint": "node $ALGO"}}}),
    );
    scenario.allow(&dataset, &algorithm);
    let job = service.finish(carol, &json!({"datasets": [dataset], "algorithm": {"did": algorithm}}));
    let rows = String::from_utf8(service.result(carol, &job, "rows.log")).expect("text");
    assert!(rows.ends_with("/0,345\r\n"), "{rows}");
    let receipt = service.get(carol, &format!("/v1/jobs/{job}/receipt")).expect_json(200);
    assert_eq!(receipt["receipt"]["runtime"]["name"], "javascript", "{receipt:#}");

    // The script in the request itself, with arguments.
    let open = service.publish_dataset(
        &scenario.alice,
        "open",
        &json!({"files": [{"type": "inline", "content": "a,b\n1,2\n3,4\n"}], "compute": {"allowRawAlgorithm": true}}),
    );
    let code = "import { writeFileSync } from 'fs';\n\
        writeFileSync('/data/outputs/arguments.json', JSON.stringify(process.argv.slice(2)));\n";
    let job = json!({"datasets": [open], "algorithm": {"rawcode": code,
        "container": {"image": "node", "tag": "20", "entrypoint": "node $ALGO --top '3 4'"}}});
    let job = service.finish(carol, &job);
    assert_eq!(service.result(carol, &job, "arguments.json"), br#"["--top","3 4"]"#);
}

/// One command installs it in the service's own folder, and compiles it.
#[test]
fn the_command_of_the_operator_installs_it() {
    let home = tempfile::tempdir().expect("a folder");
    let runtime = |arguments: &[&str]| {
        let mut command = Command::new(cloister());
        command.arg("--home").arg(home.path()).args(["runtime"]).args(arguments).stdin(Stdio::null());
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    assert!(runtime(&["add", "javascript"]).contains("installed javascript"));
    assert!(runtime(&["add", "javascript"]).contains("already installed"));
    assert!(runtime(&["list"]).contains("QuickJS"));
    runtime(&["remove", "javascript"]);
}
