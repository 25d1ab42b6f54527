//! An Ocean algorithm in Python, unchanged.

use crate::scenario::{Scenario, reason};
use cloister_model::Phase;
use cloister_tests::{
    install_python, install_python_plain, root,
    service::{Setup, phase, text, wait_for},
};
use serde_json::{Value, json};
use std::fs;

/// The processes that hold interpreters in memory for a service.
fn keepers(service: u32) -> Vec<u32> {
    let of_service = |process: &u32| {
        let file = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default();
        let parent = file("stat").rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parent == Some(service) && file("cmdline").contains("runtime\0keep\0python\0")
    };
    let processes =
        fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(of_service).collect()
}

#[test]
fn a_pandas_script_runs_where_its_image_is_mapped_to_the_runtime() {
    install_python();
    let mut scenario = Scenario::new();
    let Scenario { service, bob, carol, .. } = &scenario;
    let environments = service.get(carol, "/v1/environments").expect_json(200);
    let interpreters = environments["items"][0]["interpreters"].as_array().expect("a list");
    assert!(interpreters.contains(&json!("python")), "{environments:#}");
    let dataset = scenario.penguins();
    let script = fs::read(root().join("algorithms/python-summary/algorithm.py")).expect("a sample");
    let sha256 = service.upload(bob, &script);
    let algorithm = service.publish_algorithm(
        bob,
        "python-summary",
        &json!({"files": [{"type": "upload", "sha256": sha256}], "algorithm": {"language": "python",
            "container": {"image": "python", "tag": "3.12", "entrypoint": "python3 $ALGO"}}}),
    );
    scenario.allow(&dataset, &algorithm);
    let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}, "parameters": {"groupBy": "species"}});
    let job = service.finish(carol, &job);
    let summary = String::from_utf8(service.result(carol, &job, "summary.csv")).expect("text");
    assert!(summary.starts_with("group,column,count") && summary.contains("Gentoo"), "{summary}");
    let receipt = service.get(carol, &format!("/v1/jobs/{job}/receipt")).expect_json(200);
    assert_eq!(receipt["receipt"]["runtime"]["name"], "python", "{receipt:#}");

    // The first job started a process that keeps the interpreter in memory; later jobs use it.
    let pid = service.pid();
    let keeper = wait_for("an interpreter in memory", || {
        keepers(pid).into_iter().find(|keeper| {
            let links = fs::read_dir(format!("/proc/{keeper}/fd")).into_iter().flatten().flatten();
            links
                .filter_map(|link| fs::read_link(link.path()).ok())
                .any(|to| to.to_string_lossy().contains("kept interpreter"))
        })
    });

    // The script in the request itself, on a dataset that allows that.
    let open = service.publish_dataset(
        &scenario.alice,
        "open",
        &json!({"files": [{"type": "inline", "content": "a,b\n1,2\n3,4\n"}], "compute": {"allowRawAlgorithm": true}}),
    );
    let code = "import json, os, pathlib\n\
        did = json.loads(os.environ['DIDS'])[0]\n\
        rows = pathlib.Path('/data/inputs', did, '0').read_text().splitlines()\n\
        pathlib.Path('/data/outputs/count.json').write_text(json.dumps({'rows': len(rows) - 1}))\n";
    let job = json!({"datasets": [open], "algorithm": {"rawcode": code,
        "container": {"image": "python", "tag": "3.12", "entrypoint": "python3 $ALGO"}}});
    let job = service.finish(carol, &job);
    let count: Value = serde_json::from_slice(&service.result(carol, &job, "count.json")).expect("JSON");
    assert_eq!(count, json!({"rows": 2}));
    assert_eq!(keepers(pid), [keeper], "one for all jobs");
    // It ends with its service, also if that is killed.
    scenario.service.kill();
    // Empty if it has ended and nobody asked for its status.
    let command = || fs::read(format!("/proc/{keeper}/cmdline")).unwrap_or_default();
    wait_for("the end of the process", || command().is_empty().then_some(()));
}

/// Arguments and standard input of an entrypoint reach a script. What it prints is there at once, and stays when it is stopped.
#[test]
fn a_script_reads_what_its_entrypoint_names_and_is_heard_at_once() {
    install_python();
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.publish_dataset(
        alice,
        "spoken",
        &json!({"files": [{"type": "inline", "content": "a,b\n1,2\n"}],
            "compute": {"allowRawAlgorithm": true, "outputContract": {"maxLogBytes": 10000}}}),
    );
    let job = |code: &str, entrypoint: &str| {
        json!({"datasets": [dataset], "algorithm": {"rawcode": code,
            "container": {"image": "python", "tag": "3.12", "entrypoint": entrypoint}}})
    };
    let log = |job: &str| service.get(carol, &format!("/v1/jobs/{job}/log")).expect(200).text();
    let tells = "import sys\nprint(sys.argv[1:], repr(sys.stdin.read()))\n";
    let file = format!("/data/inputs/{}/0", dataset.trim_start_matches("did:op:"));
    for (entrypoint, expected) in [
        ("python3 $ALGO --mode 'very fast'", "['--mode', 'very fast'] ''\n".to_owned()),
        ("python3 $ALGO $DATASET/0 < $DATASET/0", format!("['{file}'] 'a,b\\n1,2\\n'\n")),
        ("python3 $ALGO < $INPUTS/algoCustomData.json -x", "['-x'] '{}'\n".to_owned()),
        ("python3 $ALGO <<< '-x $DATASET'", "[] '-x $DATASET\\n'\n".to_owned()),
    ] {
        assert_eq!(log(&service.finish(carol, &job(tells, entrypoint))), expected, "{entrypoint}");
    }
    for path in ["$DATASET/1", "$DATASET/../x", "$DATASET/../../../etc/passwd", "$INPUTS", "$OUTPUTS/x"] {
        let ended = service.run(carol, &job(tells, &format!("python3 $ALGO < {path}")));
        assert!(ended["reason"].to_string().contains("standard input"), "{path}: {ended:#}");
        assert_eq!(ended["reason"]["fault"], "algorithm", "{path}: {ended:#}");
    }
    for entrypoint in [
        "python3 $ALGO < /etc/passwd",
        "python3 $ALGO < $file",
        "python3 $ALGO < '$DATASET/0'",
        "python3 $ALGO > x",
        "python3 $ALGO <<< a\0b",
        "python3 $ALGO < /data/inputs/\0",
        "python3 $ALGO <<< a <<< b",
        "python3 $ALGO <",
        "python3 $ALGO <<<",
        "python3 $ALGO << EOF",
        "python3 $ALGO <&0",
        "python3 $ALGO <(id)",
    ] {
        let problem = service.post(carol, "/v1/jobs", &job(tells, entrypoint)).problem(422);
        assert!(problem.to_string().contains("entrypoint"), "{entrypoint}: {problem}");
    }

    let endless = "import sys\nprint('one')\nprint('two', file=sys.stderr)\nwhile True: pass\n";
    let endless = text(&service.submit(carol, &job(endless, "python3 $ALGO")), "id");
    wait_for("both lines", || (log(&endless) == "one\ntwo\n").then_some(()));
    assert_eq!(phase(&service.job(carol, &endless)), Phase::Running);
    let _ = service.post(carol, &format!("/v1/jobs/{endless}/stop"), &Value::Null).expect(202);
    assert_eq!(phase(&service.ended(carol, &endless)), Phase::Stopped);
    assert_eq!(log(&endless), "one\ntwo\n");
}

/// Where an environment gives its jobs little memory, a job chooses, by the name of its image, the interpreter that has nothing imported.
/// One that does not is told what `sandbox run` says of such a run.
#[test]
fn a_job_with_little_memory_runs_in_plain_python() {
    install_python_plain();
    let scenario = Scenario::with(Setup::new().set("engine.job_memory", "64MiB"));
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.publish_dataset(
        alice,
        "open",
        &json!({"files": [{"type": "inline", "content": "a,b\n1,2\n3,4\n"}], "compute": {"allowRawAlgorithm": true}}),
    );
    let code = "import csv, json, os\n\
        did = json.loads(os.environ['DIDS'])[0]\n\
        rows = list(csv.reader(open(f'/data/inputs/{did}/0')))\n\
        json.dump({'rows': len(rows) - 1}, open('/data/outputs/count.json', 'w'))\n";
    let job = |image: &str| {
        json!({"datasets": [dataset], "algorithm": {"rawcode": code,
            "container": {"image": image, "tag": "3.12", "entrypoint": "python3 $ALGO"}}})
    };
    let done = service.finish(carol, &job("python-plain"));
    let count: Value = serde_json::from_slice(&service.result(carol, &done, "count.json")).expect("JSON");
    assert_eq!(count, json!({"rows": 2}));
    let receipt = service.get(carol, &format!("/v1/jobs/{done}/receipt")).expect_json(200);
    assert_eq!(receipt["receipt"]["runtime"]["name"], "python-plain", "{receipt:#}");
    let ended = service.run(carol, &job("python"));
    assert_eq!((phase(&ended), &ended["reason"]["fault"]), (Phase::AlgorithmFailed, &json!("algorithm")), "{ended:#}");
    let told =
        "The limit of this run is 67108864 bytes: ask for more, or choose `python-plain`, which begins with less";
    assert!(reason(&ended).contains("`python` begins with ") && reason(&ended).contains(told), "{ended:#}");
    let explained = service.get(carol, &format!("/v1/jobs/{}/explain", text(&ended, "id"))).expect_json(200);
    assert!(text(&explained, "text").starts_with(reason(&ended)), "{explained:#}");
}
