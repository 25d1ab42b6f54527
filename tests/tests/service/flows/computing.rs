//! From a private dataset to a result that was agreed.

use crate::scenario::{Scenario, id, penguins};
use cloister_model::Phase;
use cloister_tests::service::{CAT, NOTHING, copying, phase, text, writing};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The whole story: published, refused, allowed, run, fetched. And the data do not leave.
#[test]
fn a_job_on_private_data_releases_only_what_was_agreed() {
    let scenario = Scenario::new();
    let Scenario { service, bob, carol, .. } = &scenario;
    let (dataset, algorithm) = (scenario.penguins(), scenario.column_stats());
    let job = json!({
        "datasets": [dataset], "algorithm": {"did": algorithm}, "parameters": {"groupBy": "species"}
    });

    // No algorithm was allowed yet: the refusal names the rule and who can change it.
    let problem = service.post(carol, "/v1/jobs", &job).problem(403);
    assert_eq!(problem["rules"][0]["rule"], "algorithm-not-trusted", "{problem:#}");
    assert_eq!(problem["rules"][0]["subject"], dataset);
    assert!(text(&problem["rules"][0], "advice").contains("publisherTrustedAlgorithms"));
    let explained = service.post(carol, "/v1/explain", &job).expect_json(200);
    assert_eq!(
        (&explained["allowed"], &explained["rules"][0]["rule"]),
        (&json!(false), &json!("algorithm-not-trusted"))
    );
    assert_eq!(service.get(carol, "/v1/jobs").expect_json(200)["items"], json!([]), "a denied job is not stored");

    scenario.allow(&dataset, &algorithm);
    let explained = service.post(carol, "/v1/explain", &job).expect_json(200);
    assert_eq!((&explained["allowed"], &explained["rules"]), (&json!(true), &json!([])), "{explained:#}");
    assert_eq!(explained["terms"]["profile"], "deterministic");

    let submitted = service.submit(carol, &job);
    let job = text(&submitted, "id");
    assert_eq!((&submitted["owner"], &submitted["datasets"]), (&json!("carol"), &json!([dataset])));
    assert_eq!(submitted["algorithm"]["did"], algorithm);
    let ended = service.ended(carol, &job);
    assert_eq!(phase(&ended), Phase::Finished, "{ended:#}");
    assert_eq!((&ended["phase"], &ended["code"]), (&json!("Finished"), &json!(70)));

    let results = service.results(carol, &job);
    let names: Vec<_> = results.iter().map(|result| text(result, "name")).collect();
    assert!(names.contains(&"statistics.json".to_owned()) && names.contains(&"algorithm.log".to_owned()), "{names:?}");
    let statistics = service.result(carol, &job, "statistics.json");
    let listed = results.iter().find(|result| result["name"] == "statistics.json").expect("listed");
    assert_eq!(text(listed, "sha256"), hex(&Sha256::digest(&statistics)));
    assert_eq!(listed["bytes"], statistics.len());
    let tables: Value = serde_json::from_slice(&statistics).expect("JSON");
    let groups = tables[0]["groups"].as_array().expect("groups");
    assert_eq!(groups.iter().map(|group| group["rows"].as_u64()).collect::<Vec<_>>(), [Some(152), Some(68), Some(124)]);
    assert_eq!(groups[0]["columns"]["body_mass_g"]["mean"].as_f64().expect("a mean").round(), 3701.0);

    // A line of the table, anywhere in what others than Alice can read?
    let line = penguins().lines().nth(40).expect("a line").to_owned();
    for who in [carol, bob] {
        for target in [
            format!("/v1/datasets/{dataset}"),
            format!("/v1/jobs/{job}"),
            format!("/v1/jobs/{job}/report"),
            format!("/v1/jobs/{job}/receipt"),
            format!("/v1/jobs/{job}/explain"),
            format!("/v1/datasets/{dataset}/files/0"),
        ] {
            let answer = service.get(who, &target).text();
            assert!(!answer.contains(&line) && !answer.contains("penguins.csv"), "{target}: {answer}");
        }
    }
    assert_eq!(service.get(carol, &format!("/v1/datasets/{dataset}/files/0")).status, 404, "it is for computing only");

    // It is on record, in order: published, denied, allowed, released, read.
    let audit = service.get(&service.operator, "/v1/audit?limit=100").expect_json(200);
    let actions: Vec<_> = audit["items"].as_array().expect("records").iter().map(action).collect();
    for wanted in
        ["asset-published", "job-denied", "permissions-changed", "job-allowed", "released", "result-downloaded"]
    {
        assert!(actions.contains(&wanted.to_owned()), "no {wanted}: {actions:?}");
    }
    // Nothing of the run is left but what is kept.
    assert!(!service.home().join("jobs").join(&job).exists());
}

fn action(record: &Value) -> String {
    let action = record.get("action").unwrap_or(&record["event"]["action"]);
    action.as_str().unwrap_or_else(|| panic!("no action: {record:#}")).to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_guest_sees_its_inputs_its_parameters_and_ddos_without_sources() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let path = service.file("hello.txt", "hello, world\n");
    let files = json!([{"type": "inline", "content": "first"}, {"type": "local", "path": path}]);
    let dataset = service.publish_dataset(
        alice,
        "two-files",
        &json!({"title": "Two files", "files": files, "compute": {"allowRawAlgorithm": true}}),
    );
    let copy_of = |path: &str| {
        let mut job = scenario.raw_job(&dataset, &copying(path));
        job["parameters"] = json!({"bins": 20});
        let job = service.finish(carol, &job);
        String::from_utf8(service.result(carol, &job, "copy")).expect("text")
    };
    assert_eq!(copy_of(&format!("inputs/{}/0", id(&dataset))), "first");
    assert_eq!(copy_of(&format!("inputs/{}/1", id(&dataset))), "hello, world\n");
    let parameters: Value = serde_json::from_str(&copy_of("inputs/algoCustomData.json")).expect("JSON");
    assert_eq!(parameters, json!({"bins": 20}));
    let ddo = copy_of(&format!("ddos/{}", id(&dataset)));
    let read: Value = serde_json::from_str(&ddo).expect("JSON");
    assert_eq!((&read["id"], &read["metadata"]["name"]), (&json!(dataset), &json!("Two files")));
    assert!(!ddo.contains("hello.txt") && !ddo.contains("first"), "{ddo}");
}

#[test]
fn raw_code_needs_an_installed_interpreter() {
    let scenario = Scenario::new();
    let dataset = scenario.service.open_dataset(&scenario.alice, "d");
    let job = json!({"datasets": [dataset], "algorithm": {"rawcode": "print(1)",
        "container": {"image": "julia", "tag": "1", "entrypoint": "julia $ALGO"}}});
    let answer = scenario.service.post(&scenario.carol, "/v1/jobs", &job);
    assert!(matches!(answer.status, 403 | 422), "{}", answer.shown());
}

#[test]
fn the_same_idempotency_key_returns_the_same_job() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, mallory, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = scenario.raw_job(&dataset, NOTHING);
    let ask = |who, body: &Value, key: &str| {
        service.request("POST", "/v1/jobs").by(who).header("Idempotency-Key", key).json(body).send()
    };
    let first = ask(carol, &job, "one").expect(201);
    let id = text(&first.json(), "id");
    assert_eq!(first.header("location"), Some(format!("/v1/jobs/{id}").as_str()));
    let again = ask(carol, &job, "one").expect_json(200);
    assert_eq!(text(&again, "id"), id);
    // However it is spelled.
    let spelled = format!("{{ \"algorithm\": {}, \"datasets\": [{}] }}", job["algorithm"], job["datasets"][0]);
    let request = service.request("POST", "/v1/jobs").by(carol).header("Idempotency-Key", "one");
    assert_eq!(text(&request.bytes("application/json", spelled).send().expect_json(200), "id"), id);
    // Another job of that name is none; another name is another job; and names are each account's own.
    let other = scenario.raw_job(&dataset, &writing(&[("a", "b")]));
    ask(carol, &other, "one").problem(409);
    assert_ne!(text(&ask(carol, &job, "two").expect_json(201), "id"), id);
    let theirs = json!({"datasets": [dataset], "algorithm": service.raw(mallory, NOTHING)});
    assert_ne!(text(&ask(mallory, &theirs, "one").expect_json(201), "id"), id);
    // Also after its end.
    let _ = service.ended(carol, &id);
    assert_eq!(text(&ask(carol, &job, "one").expect_json(200), "id"), id);
    for bad in ["", " ", "a b", &"x".repeat(256)] {
        ask(carol, &job, bad).problem(422);
    }
}

#[test]
fn a_failed_algorithm_is_a_failed_job_and_says_why() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    for (wat, wanted, said) in [
        (cloister_tests::service::EXITS_WITH_7, Phase::AlgorithmFailed, "7"),
        (
            r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#,
            Phase::AlgorithmFailed,
            "unreachable",
        ),
    ] {
        let ended = service.run(carol, &scenario.raw_job(&dataset, wat));
        assert_eq!(phase(&ended), wanted, "{ended:#}");
        assert_eq!(ended["reason"]["fault"], "algorithm");
        assert!(crate::scenario::reason(&ended).contains(said), "{ended:#}");
        assert_eq!(service.results(carol, &text(&ended, "id")), Vec::<Value>::new());
    }
    let mut job = scenario.raw_job(&dataset, cloister_tests::service::ENDLESS);
    job["limits"] = json!({"wallMs": 300});
    let ended = service.run(carol, &job);
    assert_eq!(phase(&ended), Phase::LimitExceeded, "{ended:#}");
    assert!(crate::scenario::reason(&ended).contains("wall"), "{ended:#}");
}

/// Prints its arguments, each with a NUL after it.
const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start")
        (drop (call $sizes (i32.const 0) (i32.const 12)))
        (drop (call $get (i32.const 1024) (i32.const 65536)))
        (i32.store (i32.const 8) (i32.const 65536))
        (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 4)))))"#;

#[test]
fn parameters_fill_the_arguments_of_a_published_algorithm() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let upload = |wat: &str| service.upload(bob, &wat::parse_str(wat).expect("a valid WAT text"));
    let (echo, cat) = (upload(ECHO), upload(CAT));
    let publish = |name: &str, sha256: &str, entrypoint: &str| {
        let parameters = json!([
            {"name": "rate", "type": "number", "required": true},
            {"name": "mode", "type": "select", "options": [{"fast": "Fast"}, {"exact": "Exact"}], "default": "fast"},
            {"name": "note", "type": "text"},
        ]);
        let container = json!({"image": "wasm", "entrypoint": entrypoint});
        let spec = json!({"files": [{"type": "upload", "sha256": sha256}],
            "algorithm": {"container": container, "consumerParameters": parameters}});
        let algorithm = service.publish_algorithm(bob, name, &spec);
        scenario.allow(&dataset, &algorithm);
        algorithm
    };
    let algorithm = publish("echo", &echo, "$ALGO --rate=$rate $mode '$5' \"$note\"");
    let ask = |algorithm: &str, parameters: Value| json!({"datasets": [dataset], "algorithm": {"did": algorithm}, "parameters": parameters});
    let job = service.finish(carol, &ask(&algorithm, json!({"rate": -0.5, "note": "a b; $(id) ${mode}\n*"})));
    let log = String::from_utf8(service.result(carol, &job, "algorithm.log")).expect("text");
    let arguments: Vec<&str> = log.split_terminator('\0').skip(1).collect();
    assert_eq!(arguments, ["--rate=-0.5", "fast", "$5", "a b; $(id) ${mode}\n*"]);

    for (parameters, said) in [
        (json!({"rate": 1, "note": "--delete"}), "`-`"),
        (json!({"rate": 1}), "give it a value"),
        (json!({"rate": "1; id", "note": ""}), "number"),
        (json!({"rate": 1, "mode": "slow", "note": ""}), "options"),
        (json!({"rate": 1, "note": ["a"]}), "text"),
    ] {
        let problem = service.post(carol, "/v1/jobs", &ask(&algorithm, parameters)).problem(422);
        assert!(problem.to_string().contains(said), "{problem:#}");
    }
    // What is not declared is a variable of a shell, which nothing is put in the place of.
    let shell = publish("shell", &echo, "$ALGO $HOME");
    let problem = service.post(carol, "/v1/jobs", &ask(&shell, json!({"rate": 1}))).problem(422);
    assert!(problem.to_string().contains("needs a shell"), "{problem:#}");

    // Standard input is a parameter, too: a text, which may begin with `-`, or the file that it names.
    for (name, entrypoint, parameters, expected) in [
        ("text", "$ALGO <<< \"$note\"", json!({"rate": 1, "note": "-x $(id)\n<"}), "-x $(id)\n<\n"),
        ("file", "$ALGO < $DATASET/$rate", json!({"rate": 0}), "data"),
        ("all", "$ALGO < $INPUTS/algoCustomData.json", json!({"rate": 2}), r#"{"mode":"fast","rate":2}"#),
    ] {
        let algorithm = publish(name, &cat, entrypoint);
        let job = service.finish(carol, &ask(&algorithm, parameters));
        let log = String::from_utf8(service.result(carol, &job, "algorithm.log")).expect("text");
        assert_eq!(log, expected, "{entrypoint}");
        let problem = service.post(carol, "/v1/jobs", &ask(&algorithm, json!({"rate": 1, "note": ["a"]}))).problem(422);
        assert!(problem.to_string().contains("text"), "{problem:#}");
    }
}
