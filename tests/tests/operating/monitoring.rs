//! `deploy/monitoring`: every metric that the alerts and the dashboard name is exported by a service that has worked, and every
//! metric that it exports is used or known.

use cloister_tests::{
    root,
    service::{EXITS_WITH_7, NOTHING, Service, wait_for},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The metrics that a text of Prometheus' query language names: words that begin with `cloister_`.
fn named(expression: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = expression.split(|character: char| !is_part(character));
    words.filter(|word| word.starts_with("cloister_")).map(str::to_owned).collect()
}

/// Every text below a field of this name.
fn texts(value: &Value, field: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == field => found.push(text.clone()),
                    other => texts(other, field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, field, found)),
        _ => {}
    }
}

fn monitoring(name: &str) -> PathBuf {
    root().join("deploy/monitoring").join(name)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The expressions of the alerts and the dashboard.
fn expressions() -> Vec<String> {
    let mut found = Vec::new();
    let alerts: Value = serde_saphyr::from_str(&read(&monitoring("alerts.yaml"))).expect("YAML");
    texts(&alerts, "expr", &mut found);
    let alerts = found.len();
    let dashboard: Value = serde_json::from_str(&read(&monitoring("dashboard.json"))).expect("JSON");
    texts(&dashboard, "expr", &mut found);
    assert!(alerts >= 8 && found.len() > alerts + 12, "{alerts} {}", found.len());
    found
}

/// The samples of a service, by the names of their metrics, with their labels.
fn samples(service: &Service) -> Vec<(String, String)> {
    let text = service.get(&service.operator, "/metrics").expect(200).text();
    assert_eq!(text.matches("# EOF").count(), 1, "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| (line.split(['{', ' ']).next().unwrap_or_default().to_owned(), line.to_owned())).collect()
}

/// A service that has done something of everything.
fn worked() -> Service {
    let service = Service::start();
    let (alice, carol) = (service.account("alice", "publisher"), service.account("carol", "consumer"));
    let dataset = service.open_dataset(&alice, "d");
    let job = |wat: &str| json!({"datasets": [dataset], "algorithm": service.raw(&carol, wat)});
    let finished = service.finish(&carol, &job(NOTHING));
    let _ = service.run(&carol, &job(EXITS_WITH_7));
    for item in service.results(&carol, &finished) {
        let _ = service.get(&carol, &format!("/v1/jobs/{finished}/results/{}", item["index"])).expect(200);
    }
    service.request("GET", "/v1/jobs").send().problem(401);
    service
}

#[test]
fn alerts_and_dashboard_name_what_is_exported() {
    let service = worked();
    let exported: BTreeSet<String> = samples(&service).into_iter().map(|(name, _)| name).collect();
    let used: BTreeSet<String> = expressions().iter().flat_map(|expression| named(expression)).collect();
    let missing: Vec<_> = used.difference(&exported).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}\n{exported:?}");
    // An operator who opens the dashboard sees everything.
    let base = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    let used: BTreeSet<String> = used.iter().map(|name| base(name)).collect();
    let unused: Vec<_> = exported.iter().filter(|name| !used.contains(&base(name))).collect();
    assert!(unused.is_empty(), "in no panel and no alert: {unused:?}");
}

#[test]
fn jobs_are_counted_by_how_they_ended_and_stay_counted() {
    let service = worked();
    let value = |name: &str, label: &str| -> f64 {
        let lines = samples(&service);
        let line = lines.iter().find(|(known, line)| known == name && line.contains(label));
        let (_, line) = line.unwrap_or_else(|| panic!("no {name} {label}: {lines:#?}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    };
    assert_eq!(value("cloister_jobs_ended_total", r#"fault="algorithm""#), 1.0);
    assert_eq!(value("cloister_jobs_ended_total", r#"phase="Finished""#), 1.0);
    assert_eq!(value("cloister_job_total_seconds_count", ""), 2.0);
    assert_eq!(value("cloister_job_queue_wait_seconds_count", ""), 2.0);
    assert!(value("cloister_disk_free_bytes", "") > 0.0);
    assert!(value("cloister_uploads_total", "") >= 2.0);
    assert!(value("cloister_unauthenticated_requests_total", "") >= 1.0);
    assert_eq!(value("cloister_build_info", "version="), 1.0);
    // What is removed is not kept any more, and has ended nevertheless.
    let jobs = service.get(&service.operator, "/v1/jobs").expect_json(200);
    for job in jobs["items"].as_array().expect("jobs") {
        let id = job["id"].as_str().expect("an id");
        let answer = service.delete(&service.operator, &format!("/v1/jobs/{id}"));
        assert!((200..300).contains(&answer.status) || answer.status == 403, "{}", answer.shown());
    }
    assert_eq!(value("cloister_jobs_ended_total", r#"phase="Finished""#), 1.0);
}

#[test]
fn each_step_of_a_job_is_a_line_without_any_text_of_the_guest() {
    let service = Service::start();
    let (alice, carol) = (service.account("alice", "publisher"), service.account("carol", "consumer"));
    let dataset = service.open_dataset(&alice, "d");
    let printing = cloister_tests::service::printing("SECRET-OF-THE-GUEST");
    let job = service.finish(&carol, &json!({"datasets": [dataset], "algorithm": service.raw(&carol, &printing)}));
    let lines = wait_for("the last step", || {
        let logs = service.logs();
        let lines: Vec<Value> = logs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let lines: Vec<Value> = lines.into_iter().filter(|line: &Value| line["job"] == json!(job)).collect();
        lines.iter().any(|line| line["phase"] == "Finished").then_some(lines)
    });
    for phase in ["Queued", "Configuring", "Running", "Filtering", "Publishing", "Finished"] {
        let line = lines.iter().find(|line| line["phase"] == phase).unwrap_or_else(|| panic!("no {phase}: {lines:#?}"));
        assert!(line["ms"].is_u64() && line["before"].is_string(), "{line}");
    }
    let last = lines.iter().find(|line| line["phase"] == "Finished").expect("the end");
    assert!(last["fault"] == "nobody" && last["total_ms"].is_u64(), "{last}");
    assert!(!service.logs().contains("SECRET-OF-THE-GUEST"));
}

/// Prometheus itself reads the rules.
#[test]
fn prometheus_accepts_the_rules() {
    let own = root().join("target/tools/promtool");
    let promtool = if own.exists() { own } else { PathBuf::from("promtool") };
    let mut command = Command::new(promtool);
    let output = command.args(["check", "rules"]).arg(monitoring("alerts.yaml")).output();
    let output = output.expect("promtool is not installed: run scripts/test-tools.sh");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let rules = fs::read_to_string(monitoring("alerts.yaml")).expect("rules").matches("- alert:").count();
    assert!(said.contains(&format!("{rules} rules found")), "{said}");
}
