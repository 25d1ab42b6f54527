//! A person's word before results leave.

use crate::scenario::{Scenario, reason};
use cloister_model::Phase;
use cloister_tests::service::{phase, text, writing};
use serde_json::{Value, json};

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
