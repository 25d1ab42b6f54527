//! Publishing, changing, withdrawing; what others see of an asset.

use crate::scenario::Scenario;
use cloister_model::Phase;
use cloister_tests::service::{NOTHING, manifest, phase, text};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;

#[test]
fn publishing_again_changes_the_asset_and_publishing_the_same_changes_nothing() {
    let scenario = Scenario::new();
    let Scenario { service, alice, .. } = &scenario;
    let publish = |title: &str| {
        let spec = json!({"title": title, "files": [{"type": "inline", "content": "x"}], "compute": {}});
        service.post(alice, "/v1/datasets", &manifest("Dataset", "d", &spec))
    };
    let first = publish("One").expect_json(201);
    assert_eq!((&first["revision"], &first["name"], &first["owner"]), (&json!(1), &json!("d"), &json!("alice")));
    let did = text(&first, "did");
    let second = publish("Two").expect_json(200);
    assert_eq!((text(&second, "did"), &second["revision"], &second["title"]), (did.clone(), &json!(2), &json!("Two")));
    let stored = service.get(alice, &format!("/v1/datasets/{did}")).expect_json(200);
    assert_eq!(
        (&stored["title"], &stored["kind"], &stored["withdrawn"]),
        (&json!("Two"), &json!("dataset"), &Value::Null)
    );
    // The DID follows from owner, kind and name: every client can compute it.
    let digest = Sha256::digest(b"cloister\nalice\ndataset\nd");
    assert_eq!(did, format!("did:op:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
    // A dataset is not an algorithm.
    service.get(alice, &format!("/v1/algorithms/{did}")).problem(404);
    service.post(alice, "/v1/algorithms", &manifest("Dataset", "d", &json!({}))).problem(422);
}

#[test]
fn only_the_owner_sees_sources() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = scenario.penguins();
    let sees_source =
        |who| service.get(who, &format!("/v1/datasets/{dataset}")).expect(200).text().contains("penguins.csv");
    assert!(sees_source(alice));
    assert!(!sees_source(carol) && !service.get(carol, "/v1/datasets").text().contains("penguins.csv"));
}

#[test]
fn credentials_decide_who_sees_and_who_computes() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, mallory } = &scenario;
    let spec = |credentials: Value| json!({"files": [{"type": "inline", "content": "x"}], "compute": {"allowRawAlgorithm": true}, "credentials": credentials});
    let only_carol = spec(json!({"allow": [{"type": "address", "values": ["carol"]}]}));
    let not_bob = spec(json!({"deny": [{"type": "address", "values": ["bob"]}]}));
    let only_carol = service.publish_dataset(alice, "only-carol", &only_carol);
    let not_bob = service.publish_dataset(alice, "not-bob", &not_bob);
    for (who, dataset, sees) in [
        (carol, &only_carol, true),
        (mallory, &only_carol, false),
        (bob, &not_bob, false),
        (mallory, &not_bob, true),
        (alice, &only_carol, true),
        (&service.operator, &only_carol, true),
    ] {
        let answer = service.get(who, &format!("/v1/datasets/{dataset}"));
        assert_eq!(answer.status, if sees { 200 } else { 404 }, "{who:?} {}", answer.shown());
        let listed = service.get(who, "/v1/datasets").expect(200).text().contains(dataset.as_str());
        assert_eq!(listed, sees, "{who:?}");
        if who.account != "operator" {
            let job = json!({"datasets": [dataset], "algorithm": service.raw(who, NOTHING)});
            let answer = service.post(who, "/v1/jobs", &job);
            // What one may not see is not there.
            let expected = if !sees {
                404
            } else if who.account == "alice" {
                answer.status
            } else {
                201
            };
            assert_eq!(answer.status, expected, "{who:?} {}", answer.shown());
        }
    }
}

#[test]
fn a_withdrawn_asset_cannot_be_used_until_it_is_published_again() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = scenario.raw_job(&dataset, NOTHING);
    let done = service.finish(carol, &job);
    let _ = service.delete(alice, &format!("/v1/datasets/{dataset}")).expect(204);
    let refused = service.post(carol, "/v1/jobs", &job);
    assert!(matches!(refused.status, 404 | 403), "{}", refused.shown());
    assert!(!service.get(carol, "/v1/datasets").expect(200).text().contains(&dataset));
    service.get(carol, &format!("/v1/datasets/{dataset}")).problem(404);
    let kept = service.get(alice, &format!("/v1/datasets/{dataset}")).expect_json(200);
    assert!(kept["withdrawn"].is_string(), "{kept:#}");
    // What was done stays.
    assert_eq!(phase(&service.job(carol, &done)), Phase::Finished);
    let spec = json!({"files": [{"type": "inline", "content": "data"}], "compute": {"allowRawAlgorithm": true}});
    let again = service.post(alice, "/v1/datasets", &manifest("Dataset", "d", &spec));
    assert!(again.status == 200 || again.status == 201, "{}", again.shown());
    let _ = service.finish(carol, &job);
}

#[test]
fn an_access_service_serves_its_files_and_a_compute_service_never_does() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let path = service.file("open.txt", "open to all");
    let spec = json!({"services": [
        {"id": "open", "type": "access", "files": [{"type": "local", "path": path}]},
        {"id": "closed", "type": "compute", "files": [{"type": "inline", "content": "closed"}], "compute": {"allowRawAlgorithm": true}},
    ]});
    let dataset = service.publish_dataset(alice, "both", &spec);
    let target = format!("/v1/datasets/{dataset}/files/0");
    let file = service.get(carol, &target).expect(200);
    assert_eq!((file.text().as_str(), file.header("content-type")), ("open to all", Some("application/octet-stream")));
    let part = service.request("GET", &target).by(carol).header("Range", "bytes=-3").send().expect(206);
    assert_eq!(part.text(), "all");
    service.get(carol, &format!("/v1/datasets/{dataset}/files/1")).problem(404);
    let audit = service.get(&service.operator, "/v1/audit?limit=100").expect(200).text();
    assert!(audit.contains("file-downloaded"));
    // A compute-only dataset has nothing to download, whichever account asks.
    let closed = service.open_dataset(alice, "closed");
    service.get(carol, &format!("/v1/datasets/{closed}/files/0")).problem(404);
    // A job takes the service that is for computing, or the one that it names.
    let copy = cloister_tests::service::copying(&format!("inputs/{}/0", crate::scenario::id(&dataset)));
    let job = service.finish(carol, &scenario.raw_job(&dataset, &copy));
    assert_eq!(service.result(carol, &job, "copy"), b"closed");
    let mut job = scenario.raw_job(&closed, &copy);
    job["datasets"] = json!([{"did": dataset, "service": "open"}, closed]);
    let job = service.finish(carol, &job);
    assert_eq!(service.result(carol, &job, "copy"), b"open to all");
}

#[test]
fn a_file_that_changes_between_two_jobs_is_fetched_again() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let path = service.file("changing.txt", "before");
    let spec = json!({"files": [{"type": "local", "path": path}], "compute": {"allowRawAlgorithm": true}});
    let dataset = service.publish_dataset(alice, "changing", &spec);
    let copy = cloister_tests::service::copying(&format!("inputs/{}/0", crate::scenario::id(&dataset)));
    let job = service.finish(carol, &scenario.raw_job(&dataset, &copy));
    assert_eq!(service.result(carol, &job, "copy"), b"before");
    fs::write(&path, "after that").expect("written");
    let job = service.finish(carol, &scenario.raw_job(&dataset, &copy));
    assert_eq!(service.result(carol, &job, "copy"), b"after that");
}

#[test]
fn an_algorithm_of_two_files_is_refused() {
    let scenario = Scenario::new();
    let Scenario { service, bob, .. } = &scenario;
    let program = service.upload(bob, &wat::parse_str(NOTHING).expect("a WAT text"));
    let file = json!({"type": "upload", "sha256": program});
    let two = manifest("Algorithm", "two", &json!({"files": [file, file]}));
    let problem = service.post(bob, "/v1/algorithms", &two).problem(422).to_string();
    assert!(problem.contains("an algorithm has one file"), "{problem}");
}
