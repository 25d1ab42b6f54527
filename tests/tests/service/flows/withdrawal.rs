//! What a publisher takes back reaches jobs that were allowed before.

use crate::scenario::{Scenario, reason};
use cloister_model::Phase;
use cloister_tests::service::{ENDLESS, Setup, manifest, phase, text, writing};
use serde_json::{Value, json};

/// The records of the audit log about one thing.
fn records(scenario: &Scenario, subject: &str) -> Vec<Value> {
    let log = scenario.service.get(&scenario.service.operator, "/v1/audit?limit=1000").expect_json(200);
    let items = log["items"].as_array().expect("items").iter();
    items.filter(|record| record["subject"] == subject).cloned().collect()
}

#[test]
fn a_publisher_withdraws_and_stops_what_was_allowed_before() {
    let scenario = Scenario::with(Setup::new().set("engine.max_jobs", "1"));
    let Scenario { service, alice, bob, carol, mallory } = &scenario;
    let dataset = |name: &str| {
        let spec = json!({"files": [{"type": "inline", "content": "x"}], "compute": {}});
        service.publish_dataset(alice, name, &spec)
    };
    let (kept, disallowed, withdrawn) = (dataset("kept"), dataset("disallowed"), dataset("withdrawn"));
    let endless = scenario.algorithm("endless", ENDLESS);
    let writes = scenario.algorithm("writes", &writing(&[("a.csv", "n\n12\n")]));
    scenario.allow(&kept, &endless);
    for dataset in [&kept, &disallowed, &withdrawn] {
        scenario.allow(dataset, &writes);
    }
    let submit = |dataset: &str, algorithm: &str| {
        let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}});
        text(&service.submit(carol, &job), "id")
    };
    let running = submit(&kept, &endless);
    let _ = service.job_in(carol, &running, Phase::Running);
    let waiting: Vec<String> =
        [&disallowed, &withdrawn, &kept, &disallowed].iter().map(|dataset| submit(dataset, &writes)).collect();

    let id = writes.trim_start_matches("did:op:");
    let _ = service.delete(alice, &format!("/v1/datasets/{disallowed}/allow/{id}")).expect(204);
    let _ = service.delete(alice, &format!("/v1/datasets/{withdrawn}")).expect(204);
    // Only publishers of its data stop a job, beside its owner: not the author of the algorithm, and not just anybody.
    for who in [bob, mallory] {
        service.post(who, &format!("/v1/jobs/{running}/stop"), &Value::Null).problem(404);
    }
    let _ = service.post(alice, &format!("/v1/jobs/{running}/stop"), &Value::Null).expect(202);
    assert_eq!(phase(&service.ended(carol, &running)), Phase::Stopped);
    let stopped = records(&scenario, &running);
    assert!(stopped.iter().any(|record| record["action"] == "job-stopped" && record["actor"] == "alice"));
    // To stop it is all that she may: it stays its owner's.
    service.delete(alice, &format!("/v1/jobs/{running}")).problem(404);

    for (job, expected) in [
        (&waiting[0], Some("trusts neither this algorithm nor its publisher")),
        (&waiting[1], Some("was withdrawn")),
        (&waiting[2], None),
        (&waiting[3], Some("trusts neither this algorithm nor its publisher")),
    ] {
        let ended = service.ended(carol, job);
        let Some(expected) = expected else {
            assert_eq!(phase(&ended), Phase::Finished, "{ended:#}");
            continue;
        };
        assert_eq!(phase(&ended), Phase::DataProvisioningFailed, "{ended:#}");
        assert_eq!(ended["reason"]["fault"], "publisher", "{ended:#}");
        assert!(reason(&ended).contains(expected), "{ended:#}");
        assert_eq!(service.results(carol, job), Vec::<Value>::new());
        let denied = records(&scenario, job);
        assert!(
            denied.iter().any(|record| record["action"] == "job-denied" && record["actor"] == "engine"),
            "{denied:?}"
        );
    }
}

#[test]
fn an_algorithm_that_was_published_anew_does_not_run_for_jobs_that_wait() {
    let scenario = Scenario::with(Setup::new().set("engine.max_jobs", "1"));
    let Scenario { service, alice, bob, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "open");
    let running = text(&service.submit(carol, &scenario.raw_job(&dataset, ENDLESS)), "id");
    let _ = service.job_in(carol, &running, Phase::Running);
    let spec = json!({"files": [{"type": "inline", "content": "x"}],
        "compute": {"publisherTrustedAlgorithmPublishers": ["bob"]}});
    let dataset = service.publish_dataset(alice, "d", &spec);
    let algorithm = scenario.algorithm("writes", &writing(&[("a", "old")]));
    let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}});
    let job = text(&service.submit(carol, &job), "id");
    let sha256 = service.upload(bob, &wat::parse_str(writing(&[("a", "new")])).expect("a WAT text"));
    let anew = manifest("Algorithm", "writes", &json!({"files": [{"type": "upload", "sha256": sha256}]}));
    let _ = service.post(bob, "/v1/algorithms", &anew).expect_json(200);
    let _ = service.post(carol, &format!("/v1/jobs/{running}/stop"), &Value::Null).expect(202);
    let ended = service.ended(carol, &job);
    assert_eq!(phase(&ended), Phase::AlgorithmProvisioningFailed, "{ended:#}");
    assert!(reason(&ended).contains("submit the job again"), "{ended:#}");
}

#[test]
fn results_stay_if_the_permission_is_taken_back_before_their_release() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = scenario.dataset_with_contract("reviewed", &json!({"review": true}));
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, &writing(&[("a.csv", "n\n12\n")]))), "id");
    let _ = service.job_in(carol, &job, Phase::InReview);
    let _ = service.delete(alice, &format!("/v1/datasets/{dataset}")).expect(204);
    let _ = service.post(alice, &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"}));
    let ended = service.ended(carol, &job);
    assert_eq!((phase(&ended), &ended["reason"]["fault"]), (Phase::OutputRefused, &json!("publisher")), "{ended:#}");
    assert_eq!(service.results(carol, &job), Vec::<Value>::new());
    let told = records(&scenario, &job);
    assert!(told.iter().any(|record| record["action"] == "release-refused"), "{told:?}");
    assert!(!told.iter().any(|record| record["action"] == "released"), "{told:?}");
    // The receipt names the rule, too: it holds no text of the guest.
    let receipt = service.get(carol, &format!("/v1/jobs/{job}/receipt")).expect(200).text();
    assert!(receipt.contains("was withdrawn"), "{receipt}");
}
