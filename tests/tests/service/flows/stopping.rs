//! Stopping a job wherever it is, and removing it.

use crate::scenario::Scenario;
use cloister_model::Phase;
use cloister_tests::service::{ENDLESS, NOTHING, Server, Service, Setup, Who, phase, text, wait_for, writing};
use serde_json::{Value, json};
use std::{fs, time::Duration};

fn stop(service: &Service, who: &Who, job: &str) {
    let _ = service.post(who, &format!("/v1/jobs/{job}/stop"), &Value::Null).expect(202);
}

#[track_caller]
fn assert_stopped(service: &Service, who: &Who, job: &str) {
    let ended = service.ended(who, job);
    assert_eq!(phase(&ended), Phase::Stopped, "{ended:#}");
    assert_eq!(ended["reason"]["fault"], "nobody", "{ended:#}");
    assert!(ended["stopRequested"].is_string() && ended["ended"].is_string(), "{ended:#}");
    let folder = service.home().join("jobs").join(job);
    wait_for("its folder to go", || (!folder.exists()).then_some(()));
    assert_eq!(service.results(who, job), Vec::<Value>::new());
}

#[test]
fn a_queued_job_and_a_running_job_can_be_stopped() {
    let scenario = Scenario::with(Setup::new().set("engine.max_jobs", "1"));
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let running = text(&service.submit(carol, &scenario.raw_job(&dataset, ENDLESS)), "id");
    let _ = service.job_in(carol, &running, Phase::Running);
    let waiting = text(&service.submit(carol, &scenario.raw_job(&dataset, NOTHING)), "id");
    let explained = service.get(carol, &format!("/v1/jobs/{waiting}/explain")).expect_json(200);
    assert_eq!(explained["phase"], "Queued", "{explained:#}");
    stop(service, carol, &waiting);
    assert_stopped(service, carol, &waiting);
    stop(service, carol, &running);
    stop(service, carol, &running);
    assert_stopped(service, carol, &running);
    // Its sandbox is gone, too: the next one has its place.
    let _ = service.finish(carol, &scenario.raw_job(&dataset, NOTHING));
}

#[test]
fn a_job_can_be_stopped_while_its_inputs_are_fetched() {
    let slow = Server::start(|conversation| {
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
        while !conversation.is_over() {
            conversation.send([b'x'; 100])?;
            conversation.pause(Duration::from_millis(100));
        }
        Ok(())
    });
    let scenario = Scenario::with(Setup::new().set("sources.allow_networks", "127.0.0.0/8"));
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.publish_dataset(
        alice,
        "slow",
        &json!({"files": [{"type": "url", "url": slow.url("/slow.csv")}], "compute": {"allowRawAlgorithm": true}}),
    );
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, NOTHING)), "id");
    let _ = service.job_in(carol, &job, Phase::Configuring);
    // How far it is, and of how much: the file, and the few bytes of the algorithm.
    wait_for("progress", || {
        let progress = service.job(carol, &job)["progress"].clone();
        let is_there = |name: &str, least: u64| progress[name].as_u64().is_some_and(|bytes| bytes >= least);
        (is_there("doneBytes", 100) && is_there("totalBytes", 1_000_000)).then_some(())
    });
    stop(service, carol, &job);
    assert_stopped(service, carol, &job);
}

#[test]
fn a_job_can_be_stopped_while_its_outputs_are_checked() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let sha256 = service.upload(alice, &wat::parse_str(ENDLESS).expect("a WAT text"));
    let contract = json!({"checks": [{"name": "never ends", "sha256": sha256}]});
    let dataset = scenario.dataset_with_contract("checked", &contract);
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, &writing(&[("a", "b")]))), "id");
    let _ = service.job_in(carol, &job, Phase::Filtering);
    stop(service, carol, &job);
    assert_stopped(service, carol, &job);
}

#[test]
fn a_job_can_be_stopped_while_its_results_are_stored() {
    // A store that takes everything in, and never says that it has it.
    let silent = Server::start(|conversation| {
        conversation.pause(Duration::from_secs(600));
        Ok(())
    });
    let options = json!({
        "endpoint": silent.url(""), "region": "us-east-1", "allow_http": "true",
        "access_key_id": "a", "secret_access_key": "b"
    });
    let setup = Setup::new().set("results.url", "s3://silent/results").set("results.options", &options.to_string());
    let scenario = Scenario::with(setup);
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, &writing(&[("a", "b")]))), "id");
    let _ = service.job_in(carol, &job, Phase::Publishing);
    stop(service, carol, &job);
    let ended = service.ended(carol, &job);
    assert_eq!(phase(&ended), Phase::Stopped, "{ended:#}");
}

#[test]
fn a_job_can_be_stopped_during_its_review() {
    let scenario = Scenario::new();
    let Scenario { service, carol, .. } = &scenario;
    let dataset = scenario.dataset_with_contract("reviewed", &json!({"review": true}));
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, &writing(&[("a", "b")]))), "id");
    let _ = service.job_in(carol, &job, Phase::InReview);
    stop(service, carol, &job);
    assert_stopped(service, carol, &job);
    service.post(&scenario.alice, &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"})).problem(409);
}

#[test]
fn an_ended_job_does_not_change_and_can_be_removed() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = service.finish(carol, &scenario.raw_job(&dataset, &writing(&[("a", "b")])));
    let before = service.job(carol, &job);
    stop(service, carol, &job);
    let after = service.job(carol, &job);
    assert_eq!((&before["code"], &before["history"]), (&after["code"], &after["history"]));
    let results = service.home().join("results").join(&job);
    assert!(fs::read_dir(&results).is_ok(), "{}", results.display());
    let receipt = service.get(carol, &format!("/v1/jobs/{job}/receipt")).expect_json(200);
    let _ = service.delete(carol, &format!("/v1/jobs/{job}")).expect(204);
    // The receipt stays, for the same readers.
    assert_eq!(service.get(carol, &format!("/v1/jobs/{job}/receipt")).expect_json(200), receipt);
    service.get(&scenario.mallory, &format!("/v1/jobs/{job}/receipt")).problem(404);
    for part in ["", "/results", "/results/0", "/log", "/report", "/explain", "/events"] {
        service.get(carol, &format!("/v1/jobs/{job}{part}")).problem(404);
    }
    service.delete(carol, &format!("/v1/jobs/{job}")).problem(404);
    wait_for("its results to go", || (!results.exists()).then_some(()));
}

#[test]
fn an_active_job_cannot_be_removed() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, ENDLESS)), "id");
    let _ = service.job_in(carol, &job, Phase::Running);
    service.delete(carol, &format!("/v1/jobs/{job}")).problem(409);
    stop(service, carol, &job);
    assert_stopped(service, carol, &job);
    let _ = service.delete(carol, &format!("/v1/jobs/{job}")).expect(204);
}
