//! The audit log as publishers see it.

use crate::test_service::{TestService, guest, service};
use serde_json::{Value, json};

async fn records(service: &TestService, who: &str, query: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = service.get(who, &format!("/v1/audit?limit=3&after={after}{query}")).await.expect(200).json();
        all.extend(page["items"].as_array().expect("records").iter().cloned());
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return all,
        }
    }
}

fn actions(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["action"].as_str().expect("an action")).collect()
}

async fn finished(service: &TestService, datasets: &[&str]) -> String {
    let sha256 = service.upload("bob", guest("column-stats.p1.wasm")).await;
    let request = json!({"datasets": datasets, "algorithm": {"upload": sha256}});
    let job = service.post("bob", "/v1/jobs", &request).await.expect(201).json();
    let job = job["id"].as_str().expect("an id").to_owned();
    assert_eq!(service.until(&job, "Finished").await["phase"], "Finished");
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_sees_what_is_about_the_own_assets_and_nothing_else() {
    let service = service().await;
    let hers = service.dataset("hers", json!({"allowRawAlgorithm": true})).await;
    let closed = service.dataset("closed", json!({})).await;
    let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "theirs"},
        "spec": {"files": [{"type": "inline", "content": "a,b\n1,2\n"}], "compute": {"allowRawAlgorithm": true}}});
    let theirs = service.post("mallory", "/v1/datasets", &manifest).await.expect(201).json();
    let theirs = theirs["did"].as_str().expect("a DID").to_owned();

    let on_hers = finished(&service, &[&hers]).await;
    let on_theirs = finished(&service, &[&theirs]).await;
    let on_both = finished(&service, &[&theirs, &hers]).await;
    let sha256 = service.upload("carol", guest("column-stats.p1.wasm")).await;
    let denied = json!({"datasets": [closed], "algorithm": {"upload": sha256}});
    service.post("carol", "/v1/jobs", &denied).await.expect(403);
    // What is removed stays on record, for her, too.
    service.delete("bob", &format!("/v1/jobs/{on_hers}")).await.expect(204);

    let alices = records(&service, "alice", "").await;
    let expected = [
        "asset-published",
        "asset-published",
        "job-allowed",
        "released",
        "job-allowed",
        "released",
        "job-denied",
        "job-removed",
    ];
    assert_eq!(actions(&alices), expected, "{alices:#?}");
    let told = json!(alices).to_string();
    assert!(told.contains(&on_hers) && told.contains(&on_both) && !told.contains(&on_theirs), "{told}");
    assert!(alices.iter().all(|record| record.get("hash").is_none() && record.get("previous").is_none()));
    // Not which terms the other publisher has.
    let both = alices.iter().find(|record| record["subject"] == on_both.as_str()).expect("a record");
    let detail: Value = serde_json::from_str(both["detail"].as_str().expect("a text")).expect("JSON");
    let admitted = detail["admitted"].as_array().expect("a list");
    assert_eq!((admitted.len(), &admitted[0]["did"]), (1, &json!(hers)), "{detail}");

    let mallorys = json!(records(&service, "mallory", "").await).to_string();
    assert!(mallorys.contains(&on_theirs) && mallorys.contains(&on_both), "{mallorys}");
    for hidden in [&on_hers, &closed] {
        assert!(!mallorys.contains(hidden), "{mallorys}");
    }
    // Not by asking for it, either.
    assert_eq!(records(&service, "mallory", &format!("&asset={hers}")).await, Vec::<Value>::new());
    for who in ["bob", "carol"] {
        service.get(who, "/v1/audit").await.expect(403);
    }
    // Operators have the whole chain, and can select, too.
    let whole = service.get("olga", "/v1/audit?limit=1000").await.expect(200).json();
    assert!(whole["items"][0]["hash"].is_string());
    let selected = records(&service, "olga", &format!("&asset={theirs}")).await;
    assert_eq!(actions(&selected), ["asset-published", "job-allowed", "released", "job-allowed", "released"]);
}

/// Who published one of the datasets of a job reads that its outputs were looked at, and not what they are: another one reviews them.
#[tokio::test(flavor = "multi_thread")]
async fn outputs_under_review_stay_unknown_to_a_publisher_who_does_not_review_them() {
    let service = service().await;
    let rules = json!({"allowRawAlgorithm": true, "outputContract": {"review": true}});
    let hers = service.dataset("hers", rules).await;
    let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "theirs"},
        "spec": {"files": [{"type": "inline", "content": "a,b\n1,2\n"}], "compute": {"allowRawAlgorithm": true}}});
    let theirs = service.post("mallory", "/v1/datasets", &manifest).await.expect(201).json();
    let theirs = theirs["did"].as_str().expect("a DID").to_owned();
    let program = service.upload("bob", guest("column-stats.p1.wasm")).await;
    let request = json!({"datasets": [hers, theirs], "algorithm": {"upload": program}});
    let job = service.post("bob", "/v1/jobs", &request).await.expect(201).json();
    let job = job["id"].as_str().expect("an id").to_owned();
    assert_eq!(service.until(&job, "InReview").await["phase"], "InReview");
    let waits = service.get("alice", &format!("/v1/jobs/{job}/review")).await.expect(200).json();
    let digest = waits["items"][0]["sha256"].as_str().expect("a digest").to_owned();
    service.get("alice", &format!("/v1/jobs/{job}/review/0")).await.expect(200);

    let mallorys = records(&service, "mallory", "").await;
    assert!(actions(&mallorys).contains(&"result-downloaded"), "{mallorys:#?}");
    assert!(!json!(mallorys).to_string().contains(&digest), "{mallorys:#?}");
    assert!(service.get("olga", "/v1/audit?limit=1000").await.expect(200).text().contains(&digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_selected_by_asset_actor_and_time() {
    let service = service().await;
    let hers = service.dataset("hers", json!({"allowRawAlgorithm": true})).await;
    let other = service.dataset("other", json!({})).await;
    finished(&service, &[&hers]).await;
    let all = records(&service, "alice", "").await;
    assert_eq!(actions(&all), ["asset-published", "asset-published", "job-allowed", "released"]);
    assert_eq!(actions(&records(&service, "alice", &format!("&asset={other}")).await), ["asset-published"]);
    assert_eq!(actions(&records(&service, "alice", "&actor=bob").await), ["job-allowed"]);
    assert_eq!(actions(&records(&service, "alice", "&actor=engine").await), ["released"]);
    for record in &all {
        let since = record["at"].as_str().expect("a moment");
        let found = records(&service, "alice", &format!("&since={since}")).await;
        let expected: Vec<&Value> =
            all.iter().filter(|other| other["atMs"].as_u64() >= record["atMs"].as_u64()).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{since}");
    }
    assert_eq!(records(&service, "alice", "&since=2099-01-01T00:00:00Z").await, Vec::<Value>::new());
    for wrong in ["since=yesterday", "since=2026-01-01", "asset=x%20y", "actor=%00"] {
        assert!(service.get("alice", &format!("/v1/audit?{wrong}")).await.status.is_client_error(), "{wrong}");
    }
}
