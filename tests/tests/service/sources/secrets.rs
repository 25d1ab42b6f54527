//! A publisher's secrets do not come out: not in an answer to another account, not in a log, not in a file of a job.

use super::near;
use crate::scenario::Scenario;
use cloister_tests::service::{NOTHING, S3, Server, Stream, copying, phase, text};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// In every secret, and in nothing else.
const MARK: &str = "hush0f7c";

#[test]
fn secrets_of_sources_appear_in_no_answer_and_no_log() {
    let s3 = S3::start();
    s3.put("data.csv", b"a\n1\n");
    let scenario = Scenario::with(near().set("sources.attempts", "2").set("log.level", "trace"));
    let Scenario { service, alice, carol, bob, mallory } = &scenario;
    let good = Server::of(b"a\n1\n");
    let failing = Server::start(|conversation| {
        // It says back what it was told.
        let head = conversation.head.clone();
        conversation.answer("403 Forbidden", &format!("X-Echo: {MARK}-echo\r\n"), head.as_bytes())
    });
    let away = Server::start(move |conversation| {
        conversation.answer("302 Found", &format!("Location: http://10.0.0.1/?token={MARK}-redirect\r\n"), b"")
    });
    let cut = Server::start(|conversation| {
        conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 99\r\nX: {MARK}-cut\r\n\r\n"))
    });
    let signed = |server: &Server| {
        let url = server.url(&format!("/{MARK}-path?X-Amz-Signature={MARK}-query"));
        let with_user = url.replace("http://", &format!("http://user:{MARK}-password@"));
        json!({"type": "url", "url": with_user, "headers": {"X-Token": format!("{MARK}-header")}})
    };
    let mut wrong_key = s3.source(&format!("{MARK}-object-key"));
    wrong_key["s3Access"]["secretAccessKey"] = format!("{MARK}-secret").into();
    let mut right_key = s3.source("data.csv");
    right_key["s3Access"]["region"] = "us-east-1".into();
    let post = json!({"type": "url", "url": good.url("/"), "method": "post", "body": format!("{MARK}-body"),
        "headers": {"Authorization": format!("Bearer {MARK}-bearer")}});

    let mut jobs = Vec::new();
    let mut datasets = Vec::new();
    for (number, file) in
        [signed(&good), post, signed(&failing), signed(&away), signed(&cut), wrong_key, right_key].iter().enumerate()
    {
        let spec = json!({"files": [file], "compute": {"allowRawAlgorithm": true}});
        let dataset = service.publish_dataset(alice, &format!("d{number}"), &spec);
        // A program that shows all that it can see.
        for wat in [NOTHING.to_owned(), copying(&format!("ddos/{}", crate::scenario::id(&dataset)))] {
            let ended = service.run(carol, &scenario.raw_job(&dataset, &wat));
            assert!(phase(&ended).has_ended());
            jobs.push(text(&ended, "id"));
        }
        datasets.push(dataset);
    }
    let secret_key = s3.secret_access_key.clone();
    let found = |text: &str| text.contains(MARK) || text.contains(&secret_key);

    // Answers, to everybody but the owner.
    let mut targets: Vec<String> =
        ["/v1/datasets?limit=100", "/v1/jobs?limit=100", "/v1/environments", "/metrics", "/openapi.json", "/readyz"]
            .map(str::to_owned)
            .into();
    for job in &jobs {
        let parts = ["", "/explain", "/report", "/receipt", "/results", "/results/0", "/results/1", "/log"];
        targets.extend(parts.iter().map(|part| format!("/v1/jobs/{job}{part}")));
    }
    for dataset in &datasets {
        targets.extend(["", "/permissions", "/files/0"].iter().map(|part| format!("/v1/datasets/{dataset}{part}")));
    }
    for who in [carol, bob, mallory] {
        for target in &targets {
            let answer = service.get(who, target).shown();
            assert!(!found(&answer), "{target} for {}: {answer}", who.account);
        }
    }
    for job in &jobs {
        let mut events: Stream = service.events(carol, job);
        while let Ok(Some(fields)) = events.event() {
            assert!(!found(&format!("{fields:?}")), "{fields:?}");
        }
    }
    for target in ["/v1/audit?limit=1000", "/v1/jobs?limit=100", "/metrics"] {
        assert!(!found(&service.get(&service.operator, target).text()), "{target}");
    }
    // The log, at its most talkative.
    let logs = service.logs();
    assert!(logs.len() > 1000, "it does log");
    for line in logs.lines() {
        assert!(!found(line), "{line}");
    }
    // Files, but for the database, which holds the descriptions.
    let database = service.home().join("cloister.db");
    let mut seen = 0;
    each_file(&service.home(), &mut |path, content| {
        seen += 1;
        let is_database = path.to_string_lossy().starts_with(&*database.to_string_lossy());
        assert!(is_database || !found(&String::from_utf8_lossy(content)), "{}", path.display());
    });
    assert!(seen > 5, "{seen}");
    // The owner still sees what was published.
    assert!(found(&service.get(alice, &format!("/v1/datasets/{}", datasets[0])).text()));
}

fn each_file(folder: &Path, act: &mut dyn FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            each_file(&path, act);
        } else {
            act(&path, &fs::read(&path).unwrap_or_default());
        }
    }
}

/// While a job runs, too: its folder holds what the program sees, and not where it came from.
#[test]
fn a_running_jobs_folder_holds_no_secret() {
    let good = Server::of(b"data");
    let scenario = Scenario::with(near());
    let Scenario { service, alice, carol, .. } = &scenario;
    let url = good.url(&format!("/?token={MARK}-query"));
    let spec = json!({"files": [{"type": "url", "url": url}], "compute": {"allowRawAlgorithm": true}});
    let dataset = service.publish_dataset(alice, "d", &spec);
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, cloister_tests::service::ENDLESS)), "id");
    let _ = service.job_in(carol, &job, cloister_model::Phase::Running);
    let mut files = Vec::new();
    each_file(&service.home().join("jobs").join(&job), &mut |path, content| {
        assert!(!String::from_utf8_lossy(content).contains(MARK), "{}", path.display());
        files.push(path.to_owned());
    });
    assert!(files.len() >= 2, "{files:?}");
    let arguments =
        fs::read_dir("/proc").expect("proc").flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    for line in arguments {
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(!(line.contains(MARK) && line.contains(&job)), "{line}");
    }
    let _ = service.post(carol, &format!("/v1/jobs/{job}/stop"), &Value::Null).expect(202);
    let _ = service.ended(carol, &job);
}
