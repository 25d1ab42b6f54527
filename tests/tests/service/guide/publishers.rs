//! docs/publishers.md.

use super::{did, next, put_key, with_rules};
use crate::scenario::{Scenario, penguins};
use cloister_model::Phase;
use cloister_tests::{
    document::blocks,
    guest,
    service::{ENDLESS, Server, Setup, phase, text},
    shell::Shell,
};
use serde_json::{Value, json};
use std::fs;

#[test]
fn the_publishers_page_works_as_it_is_written() {
    let scenario = Scenario::with(Setup::new().set("sources.allow_networks", "127.0.0.0/8"));
    let Scenario { service, alice, bob, .. } = &scenario;
    let mut shell = Shell::new();
    put_key(&shell, alice);
    let folder = shell.folder().to_owned();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("written");
    fs::create_dir(folder.join("data")).expect("made");
    write("data/penguins.csv", &penguins());

    let mut all = blocks("publishers.md").into_iter();
    let blocks = &mut all;
    let login = next(blocks, "cloister login").replace("https://cloister.example.org", &service.url());
    let _ = shell.run(&login, 0);

    // Publish a dataset.
    let manifest = next(blocks, "apiVersion:");
    write("penguins.yaml", &manifest);
    let _ = shell.run(&next(blocks, "cloister dataset apply"), 0);
    let dataset = did(&scenario, alice, "datasets", "penguins");

    let gone = Server::start(|conversation| conversation.answer("404 Not Found", "", b""));
    let file = "{ type: file, path: data/penguins.csv }";
    assert!(manifest.contains(file), "{manifest}");
    let url = format!("{{ type: url, url: \"{}\" }}", gone.url("/penguins.csv"));
    write("penguins.yaml", &manifest.replace(file, &url));
    let caution = next(blocks, "Caution:");
    let (before, after) = caution.trim_end().split_once("https://data.example.org").expect("an address");
    let said = shell.run("cloister dataset apply -f penguins.yaml", 0);
    assert!(said.contains(before) && said.contains(after), "{said}");
    let check = next(blocks, "cloister dataset check");
    let _ = shell.run(&check, 1);

    let schema = next(blocks, "spec:");
    let manifest = manifest + schema.strip_prefix("spec:\n").expect("the rest");
    write("penguins.yaml", &manifest);
    let said = shell.run("cloister dataset describe data/penguins.csv\ncloister dataset apply -f penguins.yaml", 0);
    assert!(said.contains("flipper_length_mm") && said.contains("Sources: 1 of 1 can be read"), "{said}");
    let _ = shell.run(&check, 0);
    let said = shell.run(&next(blocks, "cloister dataset list --search"), 0);
    assert!(said.contains("penguins") && said.contains("2500 to 6500"), "{said}");
    let rows = fs::read_to_string(folder.join("dummy.csv")).expect("rows");
    assert_eq!((rows.lines().count(), rows.lines().next()), (1001, Some("species,body_mass_g")));

    // What `allow` has given stays, until --prune takes it back.
    let program = service.upload(bob, &fs::read(guest("column-stats.p1.wasm")).expect("a guest"));
    let spec = json!({"files": [{"type": "upload", "sha256": program}], "algorithm": {"inspectors": ["alice"]}});
    let algorithm = service.publish_algorithm(bob, "column-stats", &spec);
    scenario.allow(&dataset, &algorithm);
    let manifest = manifest.replace("title: Palmer penguins", "title: Penguins of Palmer Station");
    write("penguins.yaml", &manifest);
    let _ = shell.run(&next(blocks, "cloister dataset apply -f penguins.yaml --dry-run"), 0);
    let said = shell.run("cloister dataset apply -f penguins.yaml --prune", 0);
    assert!(said.contains("trust in bob/column-stats"), "{said}");
    // This is run at the end.
    let withdraw = next(blocks, "cloister dataset withdraw");

    // Who may run what.
    let checksum = text(&service.get(alice, &format!("/v1/algorithms/{algorithm}")).expect_json(200), "filesChecksum");
    let said = shell.run(&next(blocks, "cloister algorithm show").replace("CHECKSUM", &checksum), 0);
    assert_eq!(said.matches("WASI preview 1 command").count(), 2, "published, and as a file: {said}");
    for part in [checksum.as_str(), "admitted", "bob/column-stats, with exactly these files, may compute on penguins"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let diff = next(blocks, "cloister algorithm diff");
    for line in [diff.clone(), format!("{} --kept review\n", diff.trim_end())] {
        let said = shell.run(&line, 0);
        assert!(said.contains(&format!("the same: {checksum}")), "{said}");
    }
    let submit = |algorithm: &str, parameters: &Value| {
        let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}, "parameters": parameters});
        text(&service.submit(bob, &job), "id")
    };
    let endless = scenario.algorithm("endless", ENDLESS);
    scenario.allow(&dataset, &endless);
    let running = submit(&endless, &json!({}));
    let _ = service.job_in(bob, &running, Phase::Running);
    let _ = shell.run(&next(blocks, "cloister job stop").replace("JOB", &running), 0);
    assert_eq!(phase(&service.ended(bob, &running)), Phase::Stopped);

    // What may leave.
    write("reviewed.yaml", &with_rules(&manifest, &next(blocks, "compute:")));
    let said = shell.run("cloister dataset apply -f reviewed.yaml", 0);
    assert!(said.contains("after review") && said.contains("kept: trust in bob/column-stats"), "{said}");

    let failed = submit(&algorithm, &json!({"groupBy": "nowhere"}));
    assert_eq!(phase(&service.ended(bob, &failed)), Phase::AlgorithmFailed);
    let log = || service.get(bob, &format!("/v1/jobs/{failed}/log")).expect(200).text();
    assert_eq!(log(), "");
    let said = shell.run(&next(blocks, "cloister job logs").replace("JOB", &failed), 0);
    assert!(said.contains("no column 'nowhere'") && said.contains("can read its log"), "{said}");
    assert!(log().contains("no column 'nowhere'"), "{}", log());

    let job = submit(&algorithm, &json!({"groupBy": "species"}));
    let _ = service.job_in(bob, &job, Phase::InReview);
    let said = shell.run(&next(blocks, "cloister job review").replace("JOB", &job), 0);
    assert!(said.contains("groupBy=species") && said.contains("outputs/statistics.csv"), "{said}");
    assert_eq!(phase(&service.ended(bob, &job)), Phase::Finished);
    let reviewed = fs::read(folder.join("outputs/statistics.csv")).expect("an output");
    assert_eq!(service.result(bob, &job, "statistics.csv"), reviewed);

    let dora = service.account("dora", "consumer");
    write("four-eyes.yaml", &with_rules(&manifest, &next(blocks, "compute:")));
    let _ = shell.run("cloister dataset apply -f four-eyes.yaml", 0);
    let second = submit(&algorithm, &json!({}));
    let _ = service.job_in(bob, &second, Phase::InReview);
    let said = shell.run(&format!("cloister job review {second} --approve"), 0);
    assert!(said.contains("is InReview"), "one approval is not enough: {said}");
    let approved = service.post(&dora, &format!("/v1/jobs/{second}/review"), &json!({"verdict": "approve"}));
    assert!((200..300).contains(&approved.status), "{}", approved.shown());
    assert_eq!(phase(&service.ended(bob, &second)), Phase::Finished);

    // What happened.
    let said = shell.run(&next(blocks, "cloister job list").replace("JOB", &job), 0);
    for part in [job.as_str(), "the receipt was not changed", "cloister.dev/report/v1"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let _ = shell.run(&next(blocks, "cloister dataset report"), 0);
    let report = fs::read_to_string(folder.join("report.md")).expect("a report");
    assert!(report.contains("approved by alice") && report.contains("statistics.csv"), "{report}");
    let said = shell.run(&next(blocks, "cloister audit list"), 0);
    assert!(said.contains("job-allowed") && said.contains("log-released"), "{said}");

    let said = shell.run(&withdraw, 0);
    assert!(said.contains("penguins is withdrawn"), "{said}");
    let refused = service.post(bob, "/v1/jobs", &json!({"datasets": [dataset], "algorithm": {"did": algorithm}}));
    assert!(matches!(refused.status, 403 | 404), "{}", refused.shown());
    assert_eq!(blocks.next(), None, "every block of the page is run or named");
}
