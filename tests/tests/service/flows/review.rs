//! A person's word before results leave.

use crate::scenario::{Scenario, reason};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_model::Phase;
use cloister_tests::service::{Setup, phase, text, wait_for, writing};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::Duration,
};

#[test]
fn a_publisher_reviews_held_outputs_and_releases_them() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, mallory } = &scenario;
    let dataset = scenario.dataset_with_contract("reviewed", &json!({"review": true}));
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, &writing(&[("a.csv", "n\n12\n")]))), "id");
    let held = service.job_in(carol, &job, Phase::InReview);
    assert_eq!(held["code"], 55);
    // The consumer sees nothing of it yet, and has no say.
    assert_eq!(service.results(carol, &job), Vec::<Value>::new());
    assert_eq!(service.get(carol, &format!("/v1/jobs/{job}/log")).expect(200).text(), "");
    // An operator may decide without seeing what was computed.
    for who in [carol, bob, mallory, &service.operator] {
        for part in ["review", "review/0"] {
            service.get(who, &format!("/v1/jobs/{job}/{part}")).problem(404);
        }
    }
    for who in [carol, bob, mallory] {
        let verdict = service.post(who, &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"}));
        verdict.problem(404);
    }
    assert_eq!(phase(&service.job(carol, &job)), Phase::InReview);

    let list = service.get(alice, &format!("/v1/jobs/{job}/review")).expect_json(200);
    let output =
        list["items"].as_array().expect("items").iter().find(|item| item["name"] == "a.csv").expect("it").clone();
    let bytes = service.get(alice, &format!("/v1/jobs/{job}/review/{}", output["index"])).expect(200);
    assert_eq!(bytes.text(), "n\n12\n");
    // What is a publisher's to review is not theirs to take as a result.
    service.get(alice, &format!("/v1/jobs/{job}/results/0")).problem(404);
    let approved = service.post(alice, &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"}));
    assert!((200..300).contains(&approved.status), "{}", approved.shown());
    assert_eq!(phase(&service.ended(carol, &job)), Phase::Finished);
    assert_eq!(service.result(carol, &job, "a.csv"), b"n\n12\n");
    service
        .post(alice, &format!("/v1/jobs/{job}/review"), &json!({"verdict": "refuse", "reason": "late"}))
        .problem(409);
    let gone = service.get(alice, &format!("/v1/jobs/{job}/review/{}", output["index"]));
    assert!(matches!(gone.status, 404 | 409), "{}", gone.shown());
}

#[test]
fn a_reviewer_refuses_and_says_why() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = scenario.dataset_with_contract("reviewed", &json!({"review": true}));
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, &writing(&[("a.csv", "n\n1\n")]))), "id");
    let _ = service.job_in(carol, &job, Phase::InReview);
    service.post(alice, &format!("/v1/jobs/{job}/review"), &json!({"verdict": "maybe"})).problem(422);
    let word = json!({"verdict": "refuse", "reason": "group of one \u{1b}[31m"});
    let _ = service.post(alice, &format!("/v1/jobs/{job}/review"), &word);
    let ended = service.ended(carol, &job);
    assert_eq!(phase(&ended), Phase::OutputRefused);
    assert!(reason(&ended).contains("group of one") && !reason(&ended).contains('\u{1b}'), "{ended:#}");
    assert_eq!(service.results(carol, &job), Vec::<Value>::new());
    assert_eq!(service.get(carol, &format!("/v1/jobs/{job}/log")).expect(200).text(), "");
}

#[test]
fn a_reviewer_must_own_every_dataset_that_asks_for_review() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, .. } = &scenario;
    let reviewed = json!({"allowRawAlgorithm": true, "outputContract": {"review": true}});
    let spec = json!({"files": [{"type": "inline", "content": "x"}], "compute": reviewed});
    let datasets = [service.publish_dataset(alice, "hers", &spec), service.publish_dataset(bob, "his", &spec)];
    let job = json!({"datasets": datasets, "algorithm": service.raw(carol, &writing(&[("a", "b")]))});
    let job = text(&service.submit(carol, &job), "id");
    let _ = service.job_in(carol, &job, Phase::InReview);
    for who in [alice, bob] {
        service.post(who, &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"})).problem(404);
    }
    let approved = service.post(&service.operator, &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"}));
    assert!((200..300).contains(&approved.status), "{}", approved.shown());
    assert_eq!(phase(&service.ended(carol, &job)), Phase::Finished);
}

#[test]
fn a_review_survives_a_restart_and_expires() {
    let mut scenario = Scenario::new();
    let dataset = scenario.dataset_with_contract("reviewed", &json!({"review": true}));
    let job =
        text(&scenario.service.submit(&scenario.carol, &scenario.raw_job(&dataset, &writing(&[("a", "b")]))), "id");
    let _ = scenario.service.job_in(&scenario.carol, &job, Phase::InReview);
    assert!(scenario.service.stop().success());
    scenario.service.restart();
    assert_eq!(phase(&scenario.service.job(&scenario.carol, &job)), Phase::InReview);
    let _ = scenario.service.post(&scenario.alice, &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"}));
    assert_eq!(phase(&scenario.service.ended(&scenario.carol, &job)), Phase::Finished);

    let setup = scenario.service.setup().clone().set("times.review", "1s");
    let scenario = Scenario::with(setup);
    let dataset = scenario.dataset_with_contract("reviewed", &json!({"review": true}));
    let ended = scenario.service.run(&scenario.carol, &scenario.raw_job(&dataset, &writing(&[("a", "b")])));
    assert_eq!(phase(&ended), Phase::Expired, "{ended:#}");
    assert_eq!(scenario.service.results(&scenario.carol, &text(&ended, "id")), Vec::<Value>::new());
}

/// HMAC-SHA256 by its definition: what is signed is not checked with what has signed it.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64, "longer keys are hashed first");
    let pad = |with: u8| (0..64).map(|place| key.get(place).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36)[..], text].concat());
    Sha256::digest([&pad(0x5c)[..], &inner[..]].concat()).to_vec()
}

/// One request of a web hook: its head and its body.
fn hooked(listener: &TcpListener) -> (String, String) {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a line") > 0, "{head}");
    }
    let length = header(&head, "content-length").parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").expect("written");
    (head, String::from_utf8(body).expect("text"))
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then(|| value.trim()));
    found.unwrap_or_else(|| panic!("no {name}: {head}"))
}

#[test]
fn reviewers_get_one_message_that_outputs_wait() {
    const SECRET: &str = "a secret of the operator";
    let folder = tempfile::tempdir().expect("a folder");
    let (program, told) = (folder.path().join("tell"), folder.path().join("told"));
    let draft = folder.path().join("draft");
    fs::write(&draft, format!("#!/bin/sh\nbody=$(cat)\necho \"$body\" >>'{}'\n", told.display())).expect("written");
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o700)).expect("a mode");
    // By another process: a program that this one has written may be open in a child of another test, and is not executed then.
    assert!(Command::new("cp").args([&draft, &program]).status().expect("cp").success());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hook = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let setup = Setup::new()
        .set("sources.allow_networks", "127.0.0.0/8")
        .set("notify.webhook", &hook)
        .set("notify.webhook_secret", SECRET)
        .set("notify.command", program.to_str().expect("a path"));
    let mut scenario = Scenario::with(setup);
    let dataset = scenario.dataset_with_contract("reviewed", &json!({"review": true}));
    let mut jobs = Vec::new();
    for round in 0..2 {
        let mut request = scenario.raw_job(&dataset, &writing(&[("a.csv", "n\n12\n")]));
        request["label"] = json!("LABEL-OF-THE-CONSUMER");
        let Scenario { service, carol, .. } = &mut scenario;
        let job = text(&service.submit(carol, &request), "id");
        let _ = service.job_in(carol, &job, Phase::InReview);
        jobs.push(job);
        let (head, body) = hooked(&listener);
        let signed = format!("{}.{}.{body}", header(&head, "webhook-id"), header(&head, "webhook-timestamp"));
        let signature = BASE64_STANDARD.encode(hmac_sha256(SECRET.as_bytes(), signed.as_bytes()));
        assert_eq!(header(&head, "webhook-signature"), format!("v1,{signature}"));
        let message: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((&message["job"], &message["publishers"]), (&json!(jobs[round]), &json!(["alice"])), "{message}");
        assert!(!body.contains("LABEL") && !body.contains("a.csv"), "{body}");
        let lines = || fs::read_to_string(&told).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
        wait_for("the program", || (lines().len() == round + 1).then_some(()));
        assert_eq!(lines()[round], body);
        // What was told of stays so when the service is killed.
        service.kill();
        service.restart();
    }
    let lines = fs::read_to_string(&told).expect("a file");
    let told: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["job"].clone()).collect();
    assert_eq!(json!(told), json!(jobs));
}
