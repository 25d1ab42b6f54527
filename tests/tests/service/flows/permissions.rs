//! Who may run what: allowed, taken back, changed, and checked again at the bytes.

use crate::scenario::{Scenario, reason};
use cloister_model::{Phase, Sha256};
use cloister_tests::service::{NOTHING, Server, Setup, manifest, phase, text, writing};
use serde_json::{Value, json};
use std::fs;

#[test]
fn a_permission_can_be_revoked() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let (dataset, algorithm) = (scenario.penguins(), scenario.algorithm("nothing", NOTHING));
    let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}});
    assert_eq!(service.denied(carol, &job), ["algorithm-not-trusted"]);
    // By the name that its owner gave it, too.
    let by_name = service.inspected(alice, &algorithm, &json!({"owner": "bob", "name": "nothing"}));
    let answer = service.post(alice, &format!("/v1/datasets/{dataset}/allow"), &by_name);
    assert!((200..300).contains(&answer.status), "{}", answer.shown());
    let permissions = service.get(alice, &format!("/v1/datasets/{dataset}/permissions")).expect_json(200);
    let entry = &permissions["publisherTrustedAlgorithms"][0];
    assert_eq!(entry["did"], algorithm, "{permissions:#}");
    for checksum in ["filesChecksum", "containerSectionChecksum"] {
        assert_eq!(text(entry, checksum).len(), 64, "{permissions:#}");
    }
    let _ = service.finish(carol, &job);
    // Twice is once.
    let _ = service.post(alice, &format!("/v1/datasets/{dataset}/allow"), &by_name);
    let permissions = service.get(alice, &format!("/v1/datasets/{dataset}/permissions")).expect_json(200);
    assert_eq!(permissions["publisherTrustedAlgorithms"].as_array().map(Vec::len), Some(1), "{permissions:#}");
    let answer = service.delete(alice, &format!("/v1/datasets/{dataset}/allow/{algorithm}"));
    assert!((200..300).contains(&answer.status), "{}", answer.shown());
    assert_eq!(service.denied(carol, &job), ["algorithm-not-trusted"]);
}

#[test]
fn permissions_are_replaced_as_a_whole_and_only_if_they_did_not_change_meanwhile() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = scenario.penguins();
    let target = format!("/v1/datasets/{dataset}/permissions");
    let job = scenario.raw_job(&dataset, NOTHING);
    assert_eq!(service.denied(carol, &job), ["raw-algorithm"]);
    let before = service.get(alice, &target).expect(200);
    let etag = before.header("etag").expect("an ETag").to_owned();
    let put =
        |etag: &str, body: &Value| service.request("PUT", &target).by(alice).header("If-Match", etag).json(body).send();
    let _ = put(&etag, &json!({"allowRawAlgorithm": true})).expect(200);
    let _ = service.finish(carol, &job);
    // An old view of it changes nothing.
    put(&etag, &json!({})).problem(412);
    let _ = service.finish(carol, &job);
    // Unknown fields of permissions are other programs' in a DDO; a misspelt contract is refused.
    service.put(alice, &target, &json!({"outputContract": {"maxByte": 1}})).problem(422);
    service.put(alice, &target, &json!({"allowRawAlgorithm": "yes"})).problem(422);
    service.put(alice, &target, &json!([])).problem(422);
    let _ = service.finish(carol, &job);
    let _ = service.put(alice, &target, &json!({})).expect(200);
    assert_eq!(service.denied(carol, &job), ["raw-algorithm"]);
}

#[test]
fn the_asset_of_another_account_cannot_be_changed() {
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, mallory } = &scenario;
    let (dataset, algorithm) = (scenario.penguins(), scenario.algorithm("nothing", NOTHING));
    for who in [bob, carol, mallory] {
        for (method, target, body) in [
            ("PUT", format!("/v1/datasets/{dataset}/permissions"), json!({"allowRawAlgorithm": true})),
            ("GET", format!("/v1/datasets/{dataset}/permissions"), Value::Null),
            ("POST", format!("/v1/datasets/{dataset}/allow"), service.inspected(alice, &algorithm, &json!(algorithm))),
            ("DELETE", format!("/v1/datasets/{dataset}/allow/{algorithm}"), Value::Null),
            ("DELETE", format!("/v1/datasets/{dataset}"), Value::Null),
        ] {
            let mut request = service.request(method, &target).by(who);
            if !body.is_null() {
                request = request.json(&body);
            }
            let answer = request.send();
            assert!(matches!(answer.status, 403 | 404), "{who:?} {method} {target}: {}", answer.shown());
        }
    }
    assert_eq!(service.denied(carol, &scenario.raw_job(&dataset, NOTHING)), ["raw-algorithm"]);
    // The same name is another asset where another account publishes it.
    let spec = json!({"files": [{"type": "inline", "content": "mine"}], "compute": {"allowRawAlgorithm": true}});
    let theirs = service.publish_dataset(mallory, "penguins", &spec);
    assert_ne!(theirs, dataset);
    // Publishing a DDO with the DID of another account's asset is refused.
    let mut ddo = service.get(alice, &format!("/v1/datasets/{dataset}")).expect_json(200)["ddo"].clone();
    ddo["metadata"]["name"] = "taken over".into();
    let answer = service.post(mallory, "/v1/datasets", &ddo);
    assert!(answer.status >= 400, "{}", answer.shown());
    assert_eq!(service.get(alice, &format!("/v1/datasets/{dataset}")).expect_json(200)["title"], "Palmer penguins");
}

/// The permissions say its DID with a checksum; what the file has become since is not run, wherever that is noticed.
#[test]
fn an_algorithm_whose_bytes_changed_is_refused_when_it_would_run() {
    let scenario = Scenario::new();
    let Scenario { service, carol, bob, .. } = &scenario;
    let dataset = scenario.penguins();
    let good = wat::parse_str(writing(&[("a.txt", "good")])).expect("a WAT text");
    let evil = wat::parse_str(writing(&[("a.txt", "evil")])).expect("a WAT text");
    let path = service.file("algorithm.wasm", &good);
    let spec = json!({"files": [{"type": "local", "path": path}]});
    let algorithm = service.publish_algorithm(bob, "changing", &spec);
    scenario.allow(&dataset, &algorithm);
    let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}});
    let done = service.finish(carol, &job);
    assert_eq!(service.result(carol, &done, "a.txt"), b"good");
    // The same length, the same time stamp: only the bytes tell.
    let stamp = fs::metadata(&path).expect("a file").modified().expect("a time");
    fs::write(&path, &evil).expect("written");
    fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(stamp)).expect("a time");
    let ended = service.run(carol, &job);
    assert_eq!(phase(&ended), Phase::AlgorithmProvisioningFailed, "{ended:#}");
    assert!(reason(&ended).contains("other files"), "{ended:#}");
    // Published again, it is another version: it is not trusted until a publisher trusts it.
    let _ = service.post(bob, "/v1/algorithms", &manifest("Algorithm", "changing", &spec)).expect_json(200);
    assert_eq!(service.denied(carol, &job), ["files-checksum"]);
    scenario.allow(&dataset, &algorithm);
    let done = service.finish(carol, &job);
    assert_eq!(service.result(carol, &done, "a.txt"), b"evil");
}

/// The cache is the service's own. Who can write to it all the same (a broken disk, another program of the same user) gets no
/// other program to run as the trusted one, and nothing out.
#[test]
fn a_program_that_was_swapped_in_the_cache_releases_nothing() {
    let scenario = Scenario::with(Setup::new().set("sources.allow_networks", "127.0.0.0/8"));
    let Scenario { service, bob, carol, .. } = &scenario;
    let dataset = scenario.penguins();
    let good = wat::parse_str(writing(&[("a.txt", "good")])).expect("a WAT text");
    let evil = wat::parse_str(writing(&[("a.txt", "evil")])).expect("a WAT text");
    assert_eq!(good.len(), evil.len());
    let sha256 = Sha256::of(&good).to_string();
    let served = good.clone();
    let server = Server::start(move |conversation| conversation.answer("200 OK", "", &served));
    // A source that says its digest is not asked again.
    let file = json!({"type": "url", "url": server.url("/a.wasm"), "sha256": sha256});
    let algorithm = service.publish_algorithm(bob, "cached", &json!({"files": [file]}));
    scenario.allow(&dataset, &algorithm);
    let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}});
    let done = service.finish(carol, &job);
    assert_eq!(service.result(carol, &done, "a.txt"), b"good");
    let cached = service.home().join("cache/files").join(&sha256);
    fs::remove_file(&cached).and_then(|()| fs::write(&cached, &evil)).expect("swapped");
    let ended = service.run(carol, &job);
    let phase = phase(&ended);
    assert!(matches!(phase, Phase::AlgorithmFailed | Phase::AlgorithmProvisioningFailed), "{ended:#}");
    assert_eq!(ended["reason"]["fault"], "system", "{ended:#}");
    assert!(reason(&ended).contains("not one that the datasets allow"), "{ended:#}");
    let id = text(&ended, "id");
    assert_eq!(service.results(carol, &id), Vec::<Value>::new());
    assert_eq!(service.get(carol, &format!("/v1/jobs/{id}/log")).expect(200).text(), "");
}

#[test]
fn a_different_container_section_is_a_different_algorithm() {
    let scenario = Scenario::new();
    let Scenario { service, carol, bob, .. } = &scenario;
    let (dataset, sha256) = (scenario.penguins(), service.upload(bob, &wat::parse_str(NOTHING).expect("a WAT text")));
    let spec = |entrypoint: &str| json!({"files": [{"type": "upload", "sha256": sha256}], "algorithm": {"container": {"entrypoint": entrypoint}}});
    let algorithm = service.publish_algorithm(bob, "a", &spec("$ALGO"));
    scenario.allow(&dataset, &algorithm);
    let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}});
    let _ = service.finish(carol, &job);
    let _ = service.post(bob, "/v1/algorithms", &manifest("Algorithm", "a", &spec("$ALGO --other"))).expect_json(200);
    assert_eq!(service.denied(carol, &job), ["container-section-checksum"]);
}

#[test]
fn trusted_publishers_and_the_wildcard_must_be_explicit() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let (dataset, algorithm) = (scenario.penguins(), scenario.algorithm("nothing", NOTHING));
    let job = json!({"datasets": [dataset], "algorithm": {"did": algorithm}});
    for (permissions, allowed) in [
        (json!({"publisherTrustedAlgorithmPublishers": []}), false),
        (json!({"publisherTrustedAlgorithmPublishers": ["mallory"]}), false),
        (json!({"publisherTrustedAlgorithmPublishers": ["bob"]}), true),
        (json!({"publisherTrustedAlgorithms": []}), false),
        (
            json!({"publisherTrustedAlgorithms": [{"did": "*", "filesChecksum": "*", "containerSectionChecksum": "*"}]}),
            true,
        ),
        (
            json!({"publisherTrustedAlgorithms": [{"did": algorithm, "filesChecksum": "", "containerSectionChecksum": ""}]}),
            false,
        ),
        (json!({"allowAlgorithmsPublishedHere": true}), true),
        (json!({"allowRawAlgorithm": true}), false),
        (json!({"publisherTrustedAlgorithmPublishers": ["*"], "runtimes": ["container"]}), false),
    ] {
        let _ = service.put(alice, &format!("/v1/datasets/{dataset}/permissions"), &permissions).expect(200);
        let explained = service.post(carol, "/v1/explain", &job).expect_json(200);
        assert_eq!(explained["allowed"], allowed, "{permissions}: {explained:#}");
    }
    let _ = service
        .put(alice, &format!("/v1/datasets/{dataset}/permissions"), &json!({"allowRawAlgorithm": true}))
        .expect(200);
    let mut job = scenario.raw_job(&dataset, NOTHING);
    job["profile"] = json!("standard");
    assert_eq!(service.denied(carol, &job), ["profile"]);
}

#[test]
fn only_declared_parameters_are_accepted() {
    let scenario = Scenario::new();
    let Scenario { service, bob, carol, .. } = &scenario;
    let sha256 = service.upload(bob, &wat::parse_str(NOTHING).expect("a WAT text"));
    let algorithm = service.publish_algorithm(
        bob,
        "declared",
        &json!({"files": [{"type": "upload", "sha256": sha256}], "algorithm": {"consumerParameters": [
            {"name": "bins", "type": "number", "label": "Bins", "description": "How many", "required": true},
            {"name": "kind", "type": "select", "label": "Kind", "description": "Which", "required": false, "default": "a",
             "options": [{"a": "A"}, {"b": "B"}]},
        ]}}),
    );
    let dataset = scenario.penguins();
    scenario.allow(&dataset, &algorithm);
    let job =
        |parameters: &Value| json!({"datasets": [dataset], "algorithm": {"did": algorithm}, "parameters": parameters});
    for (parameters, said) in [
        (json!({}), "bins"),
        (json!({"bins": "20"}), "bins"),
        (json!({"bins": 20, "kind": "c"}), "kind"),
        (json!({"bins": 20, "other": 1}), "other"),
    ] {
        let problem = service.post(carol, "/v1/jobs", &job(&parameters)).problem(422);
        assert!(text(&problem, "detail").contains(said), "{parameters}: {problem:#}");
    }
    let _ = service.finish(carol, &job(&json!({"bins": 20})));
}
