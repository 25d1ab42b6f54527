//! What the commands of `cloister` look like on a terminal of 80 columns, with and without colours; and the help of `sandbox`.

use crate::scenario::{Scenario, penguins};
use cloister_model::Phase;
use cloister_tests::{
    sandbox,
    service::{Who, cloister, writing},
};
use serde_json::json;
use std::{
    fs,
    process::{Command, Output, Stdio},
};

const COLUMNS: usize = 80;

/// A name as long as people make them. Account names, too.
const LONG: &str = "patients-of-the-university-hospital-2019-to-2025-pseudonymised";

/// Lines that are too wide. One word alone is whole: a digest, an address or a path that is broken cannot be copied.
fn too_wide(screen: &str) -> Vec<&str> {
    screen.lines().filter(|line| line.chars().count() > COLUMNS && line.trim().contains(' ')).collect()
}

/// Without what colours a terminal.
fn plain(screen: &str) -> String {
    let mut parts = screen.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

/// The screen of a command: what it prints, and what it says beside.
fn screen(command: &mut Command) -> String {
    let Output { stdout, stderr, .. } = command.stdin(Stdio::null()).output().expect("the program starts");
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!said.trim().is_empty(), "{command:?} shows nothing");
    said
}

#[test]
fn nothing_is_wider_than_80_columns_and_colours_change_no_text() {
    let scenario = Scenario::new();
    let Scenario { service, alice, .. } = &scenario;
    let folder = service.folder().join("work");
    fs::create_dir(&folder).expect("made");
    let consumer = service.account("a-consumer-with-a-long-name@university.example", "consumer");
    let sha256 = service.upload(alice, penguins().as_bytes());
    let column = |name: &str| {
        json!({"name": name, "type": "text", "description": "As measured in the field by the people of the station,",
            "values": ["Adelie", "Chinstrap", "Gentoo", "another one that nobody has seen before"]})
    };
    let spec = |title: &str| {
        json!({
            "title": title, "description": "A sentence that goes on for quite a while, as sentences about data do. ".repeat(4),
            "tags": ["birds", "antarctica"], "files": [{"type": "upload", "sha256": sha256}],
            "schema": {"columns": [column("species"), column("a_column_with_a_name_that_is_rather_long")]},
            "compute": {"allowRawAlgorithm": true, "outputContract": {"review": true, "maxLogBytes": 0}}
        })
    };
    let dataset = service.publish_dataset(alice, LONG, &spec("Patients of the university hospital, pseudonymised"));
    let closed = service.publish_dataset(
        alice,
        "closed",
        &json!({"files": [{"type": "inline", "content": "x"}], "compute": {}}),
    );
    let _ = scenario.column_stats();
    let program =
        writing(&[("a-file-of-results-with-a-long-name-as-programs-make-them-up-from-parameters.json", "{}")]);
    let parameters =
        json!({"groupBy": "a_column_with_a_name_that_is_rather_long", "years": [2019, 2020, 2021, 2022, 2023, 2024]});
    let job = |label: &str| json!({"datasets": [dataset], "algorithm": service.raw(&consumer, &program), "parameters": parameters, "label": label});
    let waiting = service.submit(&consumer, &job("the third attempt, now with all years"))["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let _ = service.job_in(&consumer, &waiting, Phase::InReview);
    let refused = service.submit(&consumer, &job("another one"))["id"].as_str().expect("an id").to_owned();
    let _ = service.job_in(&consumer, &refused, Phase::InReview);
    let verdict = json!({"verdict": "refuse", "reason": "the table shows groups of fewer than ten people, which the agreement excludes"});
    let answer = service.post(alice, &format!("/v1/jobs/{refused}/review"), &verdict);
    assert!(answer.status < 300, "{}", answer.shown());
    let _ = service.ended(&consumer, &refused);

    let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": LONG}, "spec": spec("Another title")});
    fs::write(folder.join("d.yaml"), manifest.to_string()).expect("written");
    let wrong = manifest.to_string().replace("maxLogBytes", "maxLogByte");
    fs::write(folder.join("wrong.yaml"), wrong).expect("written");
    fs::write(folder.join("program.wasm"), wat::parse_str(&program).expect("a program")).expect("written");

    let both: [(&Who, &[&[&str]]); 2] = [
        (
            alice,
            &[
                &["dataset", "list"],
                &["dataset", "show", LONG],
                &["dataset", "permissions", LONG],
                &["dataset", "check", LONG],
                &["dataset", "apply", "-f", "d.yaml", "--dry-run"],
                &["dataset", "apply", "-f", "wrong.yaml"],
                &["algorithm", "list"],
                &["algorithm", "show", "bob/column-stats"],
                &["algorithm", "inspect", "bob/column-stats"],
                &["algorithm", "inspect", "--file", "program.wasm"],
                &["algorithm", "inspect", "--file", "d.yaml"],
                &["algorithm", "inspect", "--help"],
                &["job", "list"],
                &["job", "show", &waiting],
                &["job", "explain", &waiting],
                &["job", "review"],
                &["job", "review", &waiting],
                &["audit", "list"],
                &["key", "list"],
                &["upload", "list"],
                &["environment", "list"],
                &["whoami"],
            ],
        ),
        (
            &consumer,
            &[
                &["--help"],
                &["-h"],
                &["job", "submit", "--help"],
                &["run", "--help"],
                &["dataset", "list"],
                &["dataset", "show", &format!("alice/{LONG}")],
                &["job", "list"],
                &["job", "show", &refused],
                &["job", "explain", &refused],
                &["job", "follow", &refused],
                &["job", "results", &refused],
                &["job", "logs", &refused],
                &["job", "submit", "-d", &closed, "--file", "program.wasm"],
                &["job", "submit", "-d", &closed, "--file", "program.wasm", "--dry-run"],
                &["job", "submit", "-d", &format!("alice/{LONG}-and-more"), "-a", "bob/column-stats"],
                &["job", "submit", "--dataset-that-is-none", "x"],
                &["run", "program-that-does-not-exist.wasm", "-d", LONG],
                &["key", "list"],
                &["audit", "verify"],
                &["--url", "http://127.0.0.1:1", "whoami"],
                &["--context", "none", "whoami"],
            ],
        ),
    ];
    let mut coloured = 0;
    for (who, commands) in both {
        for arguments in commands {
            let mut command = Command::new(cloister());
            command.args(*arguments).current_dir(&folder).env_clear().env("COLUMNS", COLUMNS.to_string());
            command.env("HOME", &folder).env("CLOISTER_URL", service.url()).env("CLOISTER_KEY", &who.key);
            let without = screen(command.env("NO_COLOR", "1"));
            assert!(!without.contains('\u{1b}'), "{arguments:?}: {without:?}");
            let wide = too_wide(&without);
            assert!(wide.is_empty(), "{arguments:?}:\n{}\n\nthe whole screen:\n{without}", wide.join("\n"));
            let with = screen(command.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1"));
            coloured += usize::from(with.contains('\u{1b}'));
            // Ages and ids of requests go on meanwhile.
            let shape = |screen: &str| screen.lines().count();
            assert_eq!(shape(&plain(&with)), shape(&without), "{arguments:?}:\n{with}\n{without}");
            assert!(too_wide(&plain(&with)).is_empty(), "{arguments:?}: {with}");
        }
    }
    assert!(coloured > 5, "errors and help have colours: {coloured}");
}

#[test]
fn no_help_of_the_sandbox_is_wider_than_80_columns() {
    for arguments in [
        &[][..],
        &["run"],
        &["inspect"],
        &["compile"],
        &["probe"],
        &["completions"],
        &["runtime"],
        &["runtime", "add"],
        &["runtime", "list"],
        &["runtime", "keep"],
        &["runtime", "bundle"],
        &["runtime", "remove"],
    ] {
        for help in ["--help", "-h"] {
            let mut command = Command::new(sandbox());
            command.args(arguments).arg(help).env_clear().env("COLUMNS", COLUMNS.to_string()).env("NO_COLOR", "1");
            let shown = screen(&mut command);
            assert!(shown.contains("Usage: sandbox"), "{arguments:?}: {shown}");
            let wide = too_wide(&shown);
            assert!(wide.is_empty(), "{arguments:?} {help}:\n{}\n\nthe whole screen:\n{shown}", wide.join("\n"));
        }
    }
}
