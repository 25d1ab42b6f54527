//! What waits for whose review, and which jobs are listed to whom.

use crate::{
    logs::PRINTS_AND_FAILS,
    test_service::{TestService, WRITES, guest, program, service},
};
use serde_json::{Value, json};

fn reviewed_rules() -> Value {
    json!({"allowRawAlgorithm": true, "outputContract": {"review": true}})
}

async fn inbox(service: &TestService, who: &str) -> Vec<Value> {
    let answer = service.get(who, "/v1/reviews").await.expect(200).json();
    answer["items"].as_array().expect("a list").clone()
}

/// A job of this account on these datasets, with a program of its own.
async fn job(service: &TestService, who: &'static str, datasets: &[&str]) -> String {
    let sha256 = service.upload(who, guest("column-stats.p1.wasm")).await;
    let request = json!({"datasets": datasets, "algorithm": {"upload": sha256}});
    let job = service.post(who, "/v1/jobs", &request).await.expect(201).json();
    job["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_reviewers_find_the_outputs_that_wait() {
    let service = service().await;
    let dataset = service.dataset("one", reviewed_rules()).await;
    let waiting = job(&service, "bob", &[&dataset]).await;
    service.until(&waiting, "InReview").await;

    let found = inbox(&service, "alice").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["job"]["id"], &found[0]["job"]["owner"]), (&json!(waiting), &json!("bob")));
    assert_eq!(found[0]["waits"]["reviewers"], json!(["alice"]));
    assert!(found[0]["waits"]["until"].as_str().is_some_and(|until| until > "2026"), "{found:?}");
    let outputs = service.get("alice", &format!("/v1/jobs/{waiting}/review")).await.expect(200).json();
    let outputs = outputs["items"].as_array().expect("outputs");
    let bytes: u64 = outputs.iter().map(|file| file["bytes"].as_u64().expect("bytes")).sum();
    assert_eq!((&found[0]["files"], &found[0]["bytes"]), (&json!(outputs.len()), &json!(bytes)));
    for who in ["bob", "carol", "mallory"] {
        assert_eq!(inbox(&service, who).await, Vec::<Value>::new(), "{who}");
    }
    // Operators decide without seeing the outputs.
    let operators = inbox(&service, "olga").await;
    assert_eq!((operators.len(), operators[0].get("files"), operators[0].get("bytes")), (1, None, None));
    // Who has to decide is no secret to those who see the job.
    for who in ["bob", "alice", "olga"] {
        let explained = service.get(who, &format!("/v1/jobs/{waiting}/explain")).await.expect(200).json();
        assert_eq!(explained["review"], found[0]["waits"], "{who}");
    }

    service.post("alice", &format!("/v1/jobs/{waiting}/review"), &json!({"verdict": "approve"})).await.expect(200);
    service.until(&waiting, "Finished").await;
    for who in ["alice", "olga"] {
        assert_eq!(inbox(&service, who).await, Vec::<Value>::new(), "{who}");
    }
    let explained = service.get("bob", &format!("/v1/jobs/{waiting}/explain")).await.expect(200).json();
    assert_eq!(explained.get("review"), None);
}

/// What a consumer gives an algorithm is shown to those who decide about what came of it, while they do.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_shown_to_their_owner_and_while_outputs_wait_to_those_who_decide() {
    let service = service().await;
    let dataset = service.dataset("one", reviewed_rules()).await;
    // It takes any parameters.
    let sha256 = service.upload("bob", program(WRITES)).await;
    let parameters = |values: &Value| json!({"values": values, "arguments": [], "stdin": null});
    let (short, long) = (json!({"groupBy": "town"}), json!({"groupBy": "town", "x": "x".repeat(5000)}));
    let mut jobs = Vec::new();
    for values in [&short, &long] {
        let request = json!({"datasets": [dataset], "algorithm": {"upload": sha256}, "parameters": values});
        let job = service.post("bob", "/v1/jobs", &request).await.expect(201).json();
        jobs.push(job["id"].as_str().expect("an id").to_owned());
    }
    let seen = |who: &'static str, job: &str| {
        let (service, path) = (&service, format!("/v1/jobs/{job}/parameters"));
        async move {
            let answer = service.get(who, &path).await;
            (answer.status == 200).then(|| answer.json()).ok_or(answer.status.as_u16())
        }
    };
    let [job, long_one] = [&jobs[0], &jobs[1]];
    for job in &jobs {
        service.until(job, "InReview").await;
    }
    for (who, expected) in [
        ("bob", Ok(parameters(&short))),
        ("alice", Ok(parameters(&short))),
        ("olga", Ok(parameters(&short))),
        ("mallory", Err(404)),
        ("carol", Err(404)),
    ] {
        assert_eq!(seen(who, job).await, expected, "{who}");
    }
    let waiting = inbox(&service, "alice").await;
    let of = |job: &String| waiting.iter().find(|one| one["job"]["id"] == json!(job)).expect("it waits");
    assert_eq!((of(job).get("parameters"), of(long_one).get("parameters")), (Some(&parameters(&short)), None));
    assert_eq!(seen("alice", long_one).await, Ok(parameters(&long)));

    for job in &jobs {
        service.post("alice", &format!("/v1/jobs/{job}/review"), &json!({"verdict": "approve"})).await.expect(200);
    }
    for (who, expected) in [("bob", Ok(parameters(&short))), ("alice", Err(404)), ("olga", Err(404))] {
        assert_eq!(seen(who, job).await, expected, "{who}, when all is decided");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_several_publishers_ask_for_a_review_an_operator_decides() {
    let service = service().await;
    let hers = service.dataset("hers", reviewed_rules()).await;
    let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "theirs"},
        "spec": {"files": [{"type": "inline", "content": "a,b\n1,2\n"}], "compute": reviewed_rules()}});
    let theirs = service.post("mallory", "/v1/datasets", &manifest).await.expect(201).json();
    let theirs = theirs["did"].as_str().expect("a DID").to_owned();
    let waiting = job(&service, "bob", &[&hers, &theirs]).await;
    service.until(&waiting, "InReview").await;
    for who in ["alice", "mallory"] {
        assert_eq!(inbox(&service, who).await, Vec::<Value>::new(), "{who}");
        service.get(who, &format!("/v1/jobs/{waiting}/parameters")).await.expect(404);
    }
    let found = inbox(&service, "olga").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["waits"]["reviewers"], json!(["alice", "mallory"]));
    assert_eq!(found[0]["parameters"], json!({"values": {}, "arguments": [], "stdin": null}));
}

/// A result is a file of a dataset of its owner's, once it is released. About every other job, a publisher is told what it is told about
/// one that does not exist: also about another account's that has finished, on the publisher's own dataset.
#[tokio::test(flavor = "multi_thread")]
async fn only_released_results_of_ones_own_jobs_are_sources() {
    let service = service().await;
    let open = service.dataset("open", json!({"allowRawAlgorithm": true})).await;
    let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "reviewed"},
        "spec": {"files": [{"type": "inline", "content": "town,age\nKyoto,3\n"}], "compute": reviewed_rules()}});
    let reviewed = service.post("mallory", "/v1/datasets", &manifest).await.expect(201).json();
    let reviewed = reviewed["did"].as_str().expect("a DID").to_owned();
    let publish = async |name: &str, job: &str| {
        let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": name},
            "spec": {"files": [{"type": "result", "job": job, "index": 0}]}});
        service.post("alice", "/v1/datasets", &manifest).await
    };

    let held = job(&service, "alice", &[&reviewed]).await;
    assert_eq!(service.until_seen("alice", &held, "InReview").await["phase"], "InReview");
    let sha256 = service.upload("alice", program(PRINTS_AND_FAILS)).await;
    let request = json!({"datasets": [open], "algorithm": {"upload": sha256}});
    let failed = service.post("alice", "/v1/jobs", &request).await.expect(201).json();
    let failed = failed["id"].as_str().expect("an id").to_owned();
    assert_eq!(service.until_seen("alice", &failed, "AlgorithmFailed").await["phase"], "AlgorithmFailed");
    let others = job(&service, "mallory", &[&open]).await;
    assert_eq!(service.until_seen("mallory", &others, "Finished").await["phase"], "Finished");

    let missing = publish("made", &"0".repeat(32)).await.expect(422).json();
    assert_eq!(missing["field"], "spec.files[0]", "{missing}");
    for refused in [&held, &failed, &others] {
        assert_eq!(publish("made", refused).await.expect(422).json(), missing, "{refused}");
    }
    let review = format!("/v1/jobs/{held}/review");
    service.post("mallory", &review, &json!({"verdict": "approve"})).await.expect(200);
    assert_eq!(service.until_seen("alice", &held, "Finished").await["phase"], "Finished");
    publish("made", &held).await.expect(201);

    // What is published stays, and can be published again, when the job has gone. Nothing new is made of it.
    service.delete("alice", &format!("/v1/jobs/{held}")).await.expect(204);
    publish("made", &held).await.expect(200);
    assert_eq!(publish("another", &held).await.expect(422).json(), missing);
}

/// Two of those whom the publisher has named approve: they see what waits, and nobody else does.
#[tokio::test(flavor = "multi_thread")]
async fn two_different_accounts_approve_where_a_dataset_asks_for_it() {
    let service = service().await;
    let rules = |reviewers: Value| json!({"allowRawAlgorithm": true, "outputContract": {"review": true, "reviewers": reviewers}});
    let dataset = service.dataset("one", rules(json!(["carol", "bob"]))).await;
    let waiting = job(&service, "bob", &[&dataset]).await;
    service.until(&waiting, "InReview").await;
    let path = format!("/v1/jobs/{waiting}/review");
    let approve = json!({"verdict": "approve"});
    // Whose results they are is no reviewer of them, and others were not named.
    for who in ["bob", "mallory"] {
        assert_eq!(inbox(&service, who).await, Vec::<Value>::new(), "{who}");
        service.get(who, &path).await.expect(404);
        service.post(who, &path, &approve).await.expect(404);
    }
    for who in ["alice", "carol"] {
        let found = inbox(&service, who).await;
        assert_eq!(found.len(), 1, "{who}: {found:?}");
        assert_eq!(
            (&found[0]["waits"]["named"], found[0]["files"].is_u64()),
            (&json!(["bob", "carol"]), true),
            "{who}"
        );
        service.get(who, &format!("{path}/0")).await.expect(200);
    }
    let noted = service.post("carol", &path, &approve).await.expect(200).json();
    assert_eq!(noted["phase"], "InReview");
    let again = service.post("carol", &path, &approve).await.expect(409).json();
    assert!(again["type"].as_str().is_some_and(|kind| kind.ends_with("already-approved")), "{again}");
    assert_eq!(inbox(&service, "alice").await[0]["waits"]["approvedBy"], "carol");
    assert!(service.get("bob", &format!("/v1/jobs/{waiting}/results")).await.expect(200).json()["items"] == json!([]));
    service.post("alice", &path, &approve).await.expect(200);
    service.until(&waiting, "Finished").await;
    let receipt = service.get("bob", &format!("/v1/jobs/{waiting}/receipt")).await.expect(200).json();
    let review = &receipt["receipt"]["review"];
    assert_eq!((&review["by"], &review["first"]["by"]), (&json!("alice"), &json!("carol")), "{receipt}");
    // A reviewer sees jobs while they wait, and not before or afterwards.
    service.get("carol", &format!("/v1/jobs/{waiting}")).await.expect(404);
    assert_eq!(listed(&service, "carol", "").await, Vec::<String>::new());

    // Who was taken off the list decides nothing any more.
    let waiting = job(&service, "bob", &[&dataset]).await;
    service.until(&waiting, "InReview").await;
    let permissions = format!("/v1/datasets/{dataset}/permissions");
    service.put("alice", &permissions, &rules(json!(["mallory"])), "").await.expect(200);
    service.post("carol", &format!("/v1/jobs/{waiting}/review"), &approve).await.expect(404);
}

/// An account that was taken off the list sees nothing of what still waits, and its approval is none of the two.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_taken_off_the_list_sees_nothing_and_its_approval_does_not_count() {
    let service = service().await;
    let rules = |reviewers: Value| json!({"allowRawAlgorithm": true, "outputContract": {"review": true, "reviewers": reviewers}});
    let dataset = service.dataset("one", rules(json!(["carol", "mallory"]))).await;
    let waiting = job(&service, "bob", &[&dataset]).await;
    service.until(&waiting, "InReview").await;
    let path = format!("/v1/jobs/{waiting}/review");
    let approve = json!({"verdict": "approve"});
    service.get("carol", &format!("{path}/0")).await.expect(200);
    let noted = service.post("carol", &path, &approve).await.expect(200).json();
    assert_eq!(noted["phase"], "InReview");

    let permissions = format!("/v1/datasets/{dataset}/permissions");
    service.put("alice", &permissions, &rules(json!(["mallory"])), "").await.expect(200);
    assert_eq!(inbox(&service, "carol").await, Vec::<Value>::new());
    for rest in ["/review", "/review/0", "/parameters", "/report", "/explain", "", "/events"] {
        service.get("carol", &format!("/v1/jobs/{waiting}{rest}")).await.expect(404);
    }
    for who in ["mallory", "alice"] {
        service.get(who, &format!("{path}/0")).await.expect(200);
    }
    for who in ["mallory", "alice", "olga"] {
        let refused = service.post(who, &path, &approve).await.expect(409).json();
        assert!(refused["type"].as_str().is_some_and(|kind| kind.ends_with("approver-gone")), "{who}: {refused}");
    }
    assert_eq!(service.get("bob", &format!("/v1/jobs/{waiting}")).await.expect(200).json()["phase"], "InReview");

    service.put("alice", &permissions, &rules(json!(["carol", "mallory"])), "").await.expect(200);
    service.get("carol", &format!("{path}/0")).await.expect(200);
    service.post("mallory", &path, &approve).await.expect(200);
    assert_eq!(service.until(&waiting, "Finished").await["phase"], "Finished");
}

/// The ids of the jobs that are listed to an account, page by page.
async fn listed(service: &TestService, who: &str, query: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = String::new();
    loop {
        let page = service.get(who, &format!("/v1/jobs?limit=1{query}{next}")).await.expect(200).json();
        for job in page["items"].as_array().expect("jobs") {
            ids.push(job["id"].as_str().expect("an id").to_owned());
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return ids,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_on_a_publishers_datasets_are_listed_with_the_publishers_own() {
    let service = service().await;
    let hers = service.dataset("hers", json!({"allowRawAlgorithm": true})).await;
    let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "theirs"},
        "spec": {"files": [{"type": "inline", "content": "a,b\n1,2\n"}], "compute": {"allowRawAlgorithm": true}}});
    let theirs = service.post("mallory", "/v1/datasets", &manifest).await.expect(201).json();
    let theirs = theirs["did"].as_str().expect("a DID").to_owned();
    let on_hers = job(&service, "bob", &[&hers]).await;
    let own_on_hers = job(&service, "alice", &[&hers]).await;
    let own_on_theirs = job(&service, "alice", &[&theirs]).await;
    let on_both = job(&service, "bob", &[&theirs, &hers]).await;
    let not_hers = job(&service, "bob", &[&theirs]).await;

    let [mut alices, mut mallorys] = [listed(&service, "alice", "").await, listed(&service, "mallory", "").await];
    let mut expected = vec![on_hers.clone(), own_on_hers.clone(), own_on_theirs.clone(), on_both.clone()];
    alices.sort();
    expected.sort();
    assert_eq!(alices, expected, "each once");
    let mut expected = vec![own_on_theirs.clone(), on_both.clone(), not_hers.clone()];
    mallorys.sort();
    expected.sort();
    assert_eq!(mallorys, expected);
    assert_eq!(listed(&service, "carol", "").await, Vec::<String>::new());
    let mut own = listed(&service, "alice", "&owner=alice").await;
    let mut expected = vec![own_on_hers, own_on_theirs];
    own.sort();
    expected.sort();
    assert_eq!(own, expected, "with an owner, her own alone");
    service.get("alice", "/v1/jobs?owner=bob").await.expect(403);
    assert_eq!(listed(&service, "bob", "").await.len(), 3);
}
