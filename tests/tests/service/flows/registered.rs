//! Results that become a dataset.

use crate::scenario::{Scenario, id};
use cloister_tests::service::{Setup, copying, phase, text, wait_for, writing};
use serde_json::json;

#[test]
fn results_are_registered_and_computed_on() {
    // Long enough for a busy machine to read results in.
    let scenario = Scenario::with(Setup::new().set("times.keep", "20s"));
    let Scenario { service, alice, carol, mallory, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let mut job = scenario.raw_job(&dataset, &writing(&[("a.csv", "x\n1\n"), ("b.csv", "y\n2\n")]));
    job["register"] = json!({"name": "first-step", "title": "First step"});
    let job = service.finish(carol, &job);
    let mine = service.get(carol, "/v1/datasets?owner=carol&name=first-step").expect_json(200);
    let registered = text(&mine["items"][0], "did");
    assert_eq!((&mine["items"][0]["title"], &mine["items"][0]["owner"]), (&json!("First step"), &json!("carol")));
    // It is hers: no other account computes on it, or sees where it lies.
    let raw = service.raw(mallory, &writing(&[]));
    let answer = service.post(mallory, "/v1/jobs", &json!({"datasets": [registered], "algorithm": raw}));
    let problem = answer.problem(404);
    assert_eq!(problem["type"], "https://cloister.dev/problems/no-such-asset");
    assert_eq!(problem["field"], "datasets[0]");

    // She allows herself what she likes, and takes the second step.
    let permissions = format!("/v1/datasets/{registered}/permissions");
    let _ = service.put(carol, &permissions, &json!({"allowRawAlgorithm": true})).expect(200);
    let second =
        service.finish(carol, &scenario.raw_job(&registered, &copying(&format!("inputs/{}/1", id(&registered)))));
    assert_eq!(service.result(carol, &second, "copy"), b"y\n2\n");

    // Results in a dataset are kept for as long as it is; others went when their time was over.
    let target = format!("/v1/jobs/{second}");
    wait_for("the second job to go", || (service.get(carol, &target).status == 404).then_some(()));
    assert!(phase(&service.job(carol, &job)).is_success());
    let _ = service.finish(carol, &scenario.raw_job(&registered, &copying(&format!("inputs/{}/0", id(&registered)))));

    // The name is taken now.
    let mut again = scenario.raw_job(&dataset, &writing(&[("a", "")]));
    again["register"] = json!({"name": "first-step"});
    let answer = service.post(carol, "/v1/jobs", &again);
    assert_eq!(answer.problem(422)["field"], "register.name");
}
