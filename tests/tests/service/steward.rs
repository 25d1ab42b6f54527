//! What a publisher of data does from a terminal: publish, change, review, and look at what happened.

use crate::{
    client::{command, prints},
    scenario::{Scenario, penguins},
};
use cloister_model::Phase;
use cloister_tests::{guest, service::Who};
use serde_json::{Value, json};
use std::{fs, process::Output};

fn manifest(title: &str, contract: &str) -> String {
    format!(
        "apiVersion: cloister.dev/v1alpha1
kind: Dataset
metadata: {{ name: penguins }}
spec:
  title: {title}
  schema:
    columns:
      - {{ name: species, type: text, values: [Adelie, Gentoo] }}
      - {{ name: body_mass_g, type: integer, unit: g, minimum: 2500, maximum: 6500 }}
  files: [{{ type: file, path: ./penguins.csv }}]
  compute: {{ outputContract: {contract} }}
"
    )
}

const ALGORITHM: &str = "apiVersion: cloister.dev/v1alpha1
kind: Algorithm
metadata: { name: column-stats }
spec:
  files: [{ type: file, path: ./column-stats.wasm }]
";

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_publisher_sees_what_changes_what_waits_and_what_happened() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, mallory, .. } = &scenario;
    let folder = service.folder().join("work");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("penguins.csv"), penguins()).expect("written");
    fs::write(folder.join("algorithm.yaml"), ALGORITHM).expect("written");
    fs::copy(guest("column-stats.p1.wasm"), folder.join("column-stats.wasm")).expect("copied");
    let run = |who: &Who, arguments: &[&str]| command(&scenario, who, &folder, arguments);
    let write = |text: &str| fs::write(folder.join("d.yaml"), text).expect("written");
    let apply = ["dataset", "apply", "-f", "d.yaml"];

    // A mistake is named as it stands in the file, before anything is sent.
    write(&manifest("Penguins", "{ csv: { minimum: [{ colum: count, least: 10 }] } }"));
    let wrong = run(alice, &apply);
    let _ = prints(&wrong, 2);
    let said = complaint(&wrong);
    assert!(said.contains("`spec.compute.outputContract.csv.minimum[0]` has a field `colum`"), "{said}");
    assert!(said.contains("did you mean `column`?") && !said.contains("services["), "{said}");

    // Nothing happens that was only asked about.
    write(&manifest("Palmer penguins", "{ review: true, maxBytes: 1MB }"));
    let asked = prints(&run(alice, &[&apply[..], &["--dry-run"]].concat()), 0);
    assert!(asked.contains("would be published; nothing was changed"), "{asked}");
    let _ = prints(&run(alice, &["dataset", "show", "penguins"]), 4);
    assert_eq!(service.get(alice, "/v1/uploads").expect_json(200)["items"], serde_json::json!([]));
    let published = run(alice, &apply);
    let _ = prints(&published, 0);
    let said = complaint(&published);
    assert!(said.contains("May leave: at most 1 MB in 20 files, any type, no log, after review."), "{said}");

    let _ = prints(&run(bob, &["apply", "-f", "algorithm.yaml"]), 0);
    let shown = prints(&run(alice, &["algorithm", "show", "bob/column-stats", "-o", "json"]), 0);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let checksum = shown["filesChecksum"].as_str().expect("a checksum");
    let allow = ["dataset", "allow", "penguins", "bob/column-stats", "--checksum", checksum];
    let _ = prints(&run(alice, &allow), 0);

    // What `allow` has given stays when the file is applied again.
    write(&manifest("Penguins", "{ review: true, maxBytes: 2MB }"));
    let change = "~ spec.title: \"Palmer penguins\" -> \"Penguins\"";
    let kept = "kept: trust in bob/column-stats, from `dataset allow`; --prune takes it back";
    for arguments in [[&apply[..], &["--dry-run"]].concat(), apply.to_vec()] {
        let said = prints(&run(alice, &arguments), 0);
        assert!(said.contains(change) && said.contains(kept), "{said}");
        assert!(said.contains("~ spec.compute.outputContract.maxBytes: 1000000 -> 2000000"), "{said}");
    }
    assert!(prints(&run(alice, &["dataset", "permissions", "penguins"]), 0).contains(checksum));

    let submit = ["job", "submit", "-d", "alice/penguins", "-a", "bob/column-stats", "-p", "groupBy=species"];
    let job = prints(&run(carol, &submit), 0).trim().to_owned();
    let _ = service.job_in(carol, &job, Phase::InReview);
    let inbox = prints(&run(alice, &["job", "review"]), 0);
    for part in [job.as_str(), "carol", "bob/column-stats", "alice/penguins", "groupBy=species"] {
        assert!(inbox.contains(part), "{part}: {inbox}");
    }
    let introduced = run(alice, &["job", "review", &job]);
    assert!(complaint(&introduced).contains("parameter groupBy=species"), "{introduced:?}");
    for (who, sees) in [(alice, true), (carol, true), (bob, false)] {
        let shown = run(who, &["job", "show", &job]);
        assert_eq!(String::from_utf8_lossy(&shown.stdout).contains("groupBy=species"), sees, "{shown:?}");
    }
    assert!(prints(&run(alice, &["job", "list"]), 0).contains(&job));
    let explained = prints(&run(carol, &["job", "explain", &job]), 0);
    assert!(explained.contains("waiting for alice to review the outputs, until 2"), "{explained}");
    assert!(!complaint(&introduced).contains("released on"), "nothing was released before: {introduced:?}");
    let _ = prints(&run(alice, &["job", "review", &job, "--approve"]), 0);
    let shown = prints(&run(alice, &["job", "show", &job]), 0);
    assert!(!shown.contains("groupBy"), "parameters are the consumer's alone again: {shown}");
    assert_eq!(prints(&run(alice, &["job", "review"]), 0), "");
    for arguments in [&["job", "review"][..], &["job", "list"], &["audit", "list"]] {
        assert_eq!(prints(&run(mallory, arguments), 0), "", "{arguments:?}");
    }

    // What waits is compared with what was released last, and not with what was refused.
    let _ = service.ended(carol, &job);
    let unchanged = ["the same files as", "statistics.csv: unchanged", "statistics.json: unchanged"];
    let changed = ["compared with", "statistics.csv: ", " -> "];
    for (arguments, parts) in [(&submit[..6], changed), (&submit[..], unchanged)] {
        let next = prints(&run(carol, arguments), 0).trim().to_owned();
        let _ = service.job_in(carol, &next, Phase::InReview);
        let said = complaint(&run(alice, &["job", "review", &next]));
        assert!(said.contains(&format!("those that job {job} of this algorithm released on 2")), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        let _ = prints(&run(alice, &["job", "review", &next, "--refuse", "seen"]), 0);
    }

    let audit = prints(&run(alice, &["audit", "list", "--dataset", "penguins", "--actor", "carol"]), 0);
    assert!(audit.contains("job-allowed") && audit.contains(&job) && !audit.contains("asset-published"), "{audit}");

    let pruned = prints(&run(alice, &[&apply[..], &["--prune"]].concat()), 0);
    assert!(pruned.contains("- spec.compute.publisherTrustedAlgorithms: trust in bob/column-stats"), "{pruned}");
    let _ = prints(&run(carol, &submit), 3);
}

#[test]
fn what_data_look_like_is_described_found_and_made_up() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let folder = service.folder().join("work");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("penguins.csv"), penguins()).expect("written");
    fs::write(folder.join("d.yaml"), manifest("Penguins", "{}")).expect("written");
    let run = |who: &Who, arguments: &[&str]| command(&scenario, who, &folder, arguments);
    let drafted = prints(&run(alice, &["dataset", "describe", "penguins.csv"]), 0);
    assert!(drafted.contains("species") && !drafted.contains("Adelie"), "{drafted}");

    let _ = prints(&run(alice, &["dataset", "apply", "-f", "d.yaml"]), 0);
    let shown = prints(&run(carol, &["dataset", "show", "alice/penguins"]), 0);
    assert!(shown.contains("body_mass_g") && shown.contains("2500 to 6500"), "{shown}");
    assert!(prints(&run(carol, &["dataset", "list", "--search", "MASS"]), 0).contains("penguins"));
    assert_eq!(prints(&run(carol, &["dataset", "list", "--search", "beaks"]), 0), "");
    let dummy = ["dataset", "dummy", "alice/penguins", "--rows", "5"];
    let rows = prints(&run(carol, &dummy), 0);
    assert_eq!((rows.lines().count(), rows.lines().next()), (6, Some("species,body_mass_g")));
    assert_eq!(rows, prints(&run(carol, &dummy), 0));
    assert_ne!(rows, prints(&run(carol, &[&dummy[..], &["--seed", "2"]].concat()), 0));
}

/// With the client alone: what an algorithm is and asks for, before it is trusted.
#[test]
fn a_publisher_inspects_what_is_published_without_a_sandbox() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, mallory, .. } = &scenario;
    let folder = service.folder().join("work");
    fs::create_dir(&folder).expect("made");
    let run = |who: &Who, arguments: &[&str]| command(&scenario, who, &folder, arguments);
    let publish = |name: &str, bytes: &[u8], container: &Value| {
        let files = json!([{"type": "upload", "sha256": service.upload(bob, bytes)}]);
        let algorithm = json!({"inspectors": ["alice"], "container": container});
        let _ = service.publish_algorithm(bob, name, &json!({"files": files, "algorithm": algorithm}));
    };
    let program = fs::read(guest("column-stats.p1.wasm")).expect("a guest");
    publish("program", &program, &json!({"image": "wasm", "entrypoint": "$ALGO"}));
    let python = json!({"image": "python", "tag": "3.12", "entrypoint": "python3 $ALGO"});
    publish("script", b"import pandas\nprint(1)\n", &python);

    let inspect = ["algorithm", "inspect", "bob/program"];
    let output = run(alice, &inspect);
    let said = prints(&output, 0);
    for part in ["WASI preview 1 command", "asks for", "verdict      admitted"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(complaint(&output).contains("cloister dataset allow DATASET bob/program --checksum "), "{output:?}");
    let document = prints(&run(alice, &[&inspect[..], &["-o", "json"]].concat()), 0);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(document["files"][0]["sha256"], document["filesChecksum"]);
    assert_eq!(document["files"][0]["admission"]["kind"], "preview1-command");
    assert_eq!(fs::read_dir(&folder).expect("listed").count(), 0, "no file is written");

    let said = prints(&run(alice, &["algorithm", "inspect", "bob/script"]), 0);
    for part in ["text, perhaps source code, 2 lines", "image        python", "verdict      not checked"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // An account that the author has not named as an inspector.
    let _ = prints(&run(mallory, &inspect), 4);
}
