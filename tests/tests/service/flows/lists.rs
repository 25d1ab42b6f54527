//! Lists, page by page.

use crate::scenario::Scenario;
use cloister_tests::service::{NOTHING, Service, Who, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// All pages of a list, so many at once.
fn pages(service: &Service, who: &Who, target: &str, limit: u64) -> Vec<Value> {
    let joint = if target.contains('?') { '&' } else { '?' };
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(who, &format!("{target}{joint}limit={limit}{cursor}")).expect_json(200);
        let new = page["items"].as_array().expect("items");
        assert!(new.len() as u64 <= limit, "{page:#}");
        items.extend(new.iter().cloned());
        match page["next"].as_str() {
            None => return items,
            Some(next) => cursor = format!("&cursor={next}"),
        }
        assert!(items.len() < 1000, "it goes on for ever");
    }
}

fn ids(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| text(item, field)).collect()
}

#[test]
fn jobs_come_newest_first_page_by_page_and_filtered() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, mallory } = &scenario;
    let (open, algorithm) = (service.open_dataset(alice, "open"), scenario.algorithm("nothing", NOTHING));
    let trusting = service.publish_dataset(
        alice,
        "trusting",
        &json!({"files": [{"type": "inline", "content": "x"}], "compute": {"publisherTrustedAlgorithmPublishers": ["bob"]}}),
    );
    let raw = scenario.raw_job(&open, NOTHING);
    let mut mine: Vec<String> = (0..4).map(|_| service.finish(carol, &raw)).collect();
    mine.push(service.finish(carol, &json!({"datasets": [trusting], "algorithm": {"did": algorithm}})));
    let theirs = service.finish(mallory, &json!({"datasets": [open], "algorithm": service.raw(mallory, NOTHING)}));
    let failed = text(&service.run(carol, &scenario.raw_job(&open, cloister_tests::service::EXITS_WITH_7)), "id");
    mine.push(failed.clone());
    mine.reverse();

    for limit in [1, 2, 3, 100] {
        assert_eq!(ids(&pages(service, carol, "/v1/jobs", limit), "id"), mine, "{limit}");
    }
    assert_eq!(ids(&pages(service, mallory, "/v1/jobs", 100), "id"), std::slice::from_ref(&theirs));
    assert_eq!(pages(service, bob, "/v1/jobs", 100), Vec::<Value>::new());
    let everything = ids(&pages(service, &service.operator, "/v1/jobs", 2), "id");
    assert_eq!(everything.len(), mine.len() + 1);
    assert_eq!(everything.iter().collect::<BTreeSet<_>>().len(), everything.len(), "none twice");
    // A publisher sees what is done with their datasets, and only that.
    assert_eq!(ids(&pages(service, alice, "/v1/jobs", 2), "id"), everything);
    assert_eq!(ids(&pages(service, alice, &format!("/v1/jobs?dataset={trusting}"), 100), "id"), [mine[1].clone()]);
    assert_eq!(pages(service, alice, &format!("/v1/jobs?dataset={open}"), 2).len(), 6);
    assert_eq!(ids(&pages(service, mallory, &format!("/v1/jobs?dataset={open}"), 2), "id"), [theirs]);

    let filtered = |query: &str| ids(&pages(service, carol, &format!("/v1/jobs?{query}"), 2), "id");
    assert_eq!(filtered("state=active"), Vec::<String>::new());
    assert_eq!(filtered("state=ended").len(), 6);
    assert_eq!(filtered("phase=AlgorithmFailed"), [failed]);
    assert_eq!(filtered(&format!("algorithm={algorithm}")), [mine[1].clone()]);
    assert_eq!(filtered(&format!("algorithm={algorithm}&dataset={open}")), Vec::<String>::new());
    for wrong in
        ["state=x", "phase=x", "limit=0", "limit=x", "limit=100000", "cursor=x", "dataset=not a did", "unknown=1"]
    {
        let answer = service.get(carol, &format!("/v1/jobs?{}", wrong.replace(' ', "%20")));
        assert!(matches!(answer.status, 400 | 422), "{wrong}: {}", answer.shown());
    }
}

#[test]
fn assets_and_the_record_come_page_by_page() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, .. } = &scenario;
    let mut all: Vec<String> = (0..5).map(|number| service.open_dataset(alice, &format!("d{number}"))).collect();
    all.push(service.open_dataset(bob, "his"));
    all.sort();
    for limit in [1, 4, 100] {
        let mut found = ids(&pages(service, carol, "/v1/datasets", limit), "did");
        found.sort();
        assert_eq!(found, all, "{limit}");
    }
    assert_eq!(pages(service, carol, "/v1/datasets?owner=bob", 2).len(), 1);
    let named = pages(service, carol, "/v1/datasets?owner=alice&name=d3", 2);
    assert_eq!(ids(&named, "name"), ["d3"]);
    assert_eq!(pages(service, carol, "/v1/algorithms", 2), Vec::<Value>::new());

    // The record: every entry follows from the one before it.
    let record = service.get(&service.operator, "/v1/audit?limit=1000").expect_json(200);
    let entries = record["items"].as_array().expect("records");
    assert!(entries.len() >= 6, "{record:#}");
    let sequence = |entry: &Value| entry["sequence"].as_u64().expect("a number");
    assert_eq!(entries.iter().map(sequence).collect::<Vec<_>>(), (1..=entries.len() as u64).collect::<Vec<_>>());
    assert!(entries.windows(2).all(|pair| pair[1]["previous"] == pair[0]["hash"]), "{record:#}");
    let after = service.get(&service.operator, "/v1/audit?after=3&limit=2").expect_json(200);
    assert_eq!(after["items"].as_array().expect("records").iter().map(sequence).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(service.get(carol, "/v1/audit").status, 403);
    // Publishers have what is about their assets, without the chain.
    let hers = service.get(alice, "/v1/audit?limit=1000").expect_json(200);
    let hers = hers["items"].as_array().expect("records");
    assert!(!hers.is_empty() && hers.len() < entries.len() && hers.iter().all(|record| record.get("hash").is_none()));
}
