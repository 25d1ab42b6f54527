//! Publishing, and who may use what.

use crate::test_service::{WRITES, guest, program, service};
use cloister_model::AssetKind;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn publishing_again_changes_and_sources_stay_hidden() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({})).await;
    let seen = service.get("bob", &format!("/v1/datasets/{dataset}")).await.expect(200);
    assert!(!seen.text().contains("Kyoto") && seen.header("etag") == "\"1\"");
    assert!(service.get("alice", &format!("/v1/datasets/{dataset}")).await.expect(200).text().contains("Kyoto"));
    assert!(!service.get("olga", &format!("/v1/datasets/{dataset}")).await.expect(200).text().contains("Kyoto"));
    assert!(!service.get("bob", "/v1/datasets").await.expect(200).text().contains("Kyoto"));

    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "penguins"},
        "spec": {"title": "Penguins", "files": [{"type": "inline", "content": "a"}]}
    });
    let changed = service.post("alice", "/v1/datasets", &manifest).await.expect(200).json();
    assert_eq!((changed["revision"].as_u64(), changed["did"].as_str()), (Some(2), Some(dataset.as_str())));
    // Publishing the same again changes nothing.
    let again = service.post("alice", "/v1/datasets", &manifest).await.expect(200).json();
    assert_eq!(again["revision"].as_u64(), Some(2));
    // The same name of another owner is another dataset.
    assert_ne!(service.post("mallory", "/v1/datasets", &manifest).await.expect(201).json()["did"], dataset.as_str());
    // A DDO cannot take the DID of another owner's asset, whether the DID has our form or is in use already.
    let ddo = |did: &str| {
        json!({"id": did, "metadata": {"type": "dataset", "name": "mine"},
        "services": [{"id": "c", "type": "compute", "files": [{"type": "inline", "content": "x"}]}]})
    };
    service.post("mallory", "/v1/datasets", &ddo(&dataset)).await.expect(422);
    service.post("alice", "/v1/datasets", &ddo("did:op:lake")).await.expect(201);
    service.post("mallory", "/v1/datasets", &ddo("did:op:lake")).await.expect(409);
    // A file of the machine can be used only if the operator has given its folder to the account.
    let mut local = manifest.clone();
    local["spec"]["files"] = json!([{"type": "local", "path": "/etc/passwd"}]);
    service.post("alice", "/v1/datasets", &local).await.expect(422);
    service.post("alice", "/v1/algorithms", &manifest).await.expect(422);

    service.delete("mallory", &format!("/v1/datasets/{dataset}")).await.expect(404);
    service.delete("alice", &format!("/v1/datasets/{dataset}")).await.expect(204);
    service.get("bob", &format!("/v1/datasets/{dataset}")).await.expect(404);
    assert!(service.get("alice", &format!("/v1/datasets/{dataset}")).await.expect(200).json()["withdrawn"].is_string());
    let request = json!({"datasets": [dataset], "algorithm": {"rawcode": "x"}});
    service.post("alice", "/v1/jobs", &request).await.expect(404);
}

/// Ocean's `allowNetworkAccess` is taken in a DDO, where it has no effect; nothing that is written for Cloister may promise by it
/// what no algorithm has.
#[tokio::test(flavor = "multi_thread")]
async fn no_rule_promises_algorithms_a_network() {
    let service = service().await;
    let rules = json!({"allowNetworkAccess": true});
    let ddo = json!({"id": "did:op:lake", "metadata": {"type": "dataset", "name": "lake"}, "services": [
        {"id": "c", "type": "compute", "files": [{"type": "inline", "content": "x"}], "compute": rules}]});
    service.post("alice", "/v1/datasets", &ddo).await.expect(201);
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "penguins"},
        "spec": {"files": [{"type": "inline", "content": "a"}], "compute": rules}
    });
    let refused = service.post("alice", "/v1/datasets", &manifest).await.expect(422).json();
    assert_eq!(refused["field"], "spec.compute.allowNetworkAccess", "{refused}");
    let refused = service.put("alice", "/v1/datasets/did:op:lake/permissions", &rules, "").await.expect(422).json();
    assert_eq!(refused["field"], "allowNetworkAccess", "{refused}");
    assert!(refused.to_string().contains("no algorithm has a network"), "{refused}");
}

/// A publisher hears at publication what every consumer's job would end with.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_fetch_could_not_read_is_refused_when_it_is_published() {
    let service = service().await;
    let job = "0123456789abcdef0123456789abcdef";
    for (file, field) in [
        (json!({"type": "url", "url": "not a URL"}), "files[1].url"),
        (json!({"type": "url", "url": "ftp://a.example/x"}), "files[1].url"),
        (json!({"type": "url", "url": "https://a.example/", "headers": {"Host": "b.example"}}), "files[1].headers"),
        (json!({"type": "url", "url": "https://a.example/", "checksum": "x"}), "files[1]"),
        (json!({"type": "s3", "s3Access": {"bucket": "b", "objectKey": "k"}}), "files[1].s3Access.endpoint"),
        (json!({"type": "local", "path": "/srv/../etc/passwd"}), "files[1].path"),
        (json!({"type": "inline", "base64": "!"}), "files[1].base64"),
        (json!({"type": "result", "job": job, "index": 4_294_967_296_u64}), "files[1].index"),
        (json!({"type": "graphql", "query": "{ a }"}), "files[1].type"),
    ] {
        let files = json!([{"type": "inline", "content": "a"}, file]);
        let manifest = json!({
            "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "broken"},
            "spec": {"files": files}
        });
        let ddo = json!({"id": "did:op:broken", "metadata": {"type": "dataset", "name": "broken"},
            "services": [{"id": "c", "type": "compute", "files": files}]});
        for (document, parent) in [(manifest, "spec."), (ddo, "services[0].")] {
            let problem = service.post("alice", "/v1/datasets", &document).await.expect(422).json();
            assert_eq!(problem["field"], format!("{parent}{field}"), "{file}: {problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_check_outputs_are_the_publishers_own() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({})).await;
    let (mine, theirs) = (service.upload("alice", vec![1]).await, service.upload("bob", vec![2]).await);
    let contract = |sha256: &str| json!({"outputContract": {"checks": [{"name": "small groups", "sha256": sha256}]}});
    let path = format!("/v1/datasets/{dataset}/permissions");
    for sha256 in [theirs, "ab".repeat(32)] {
        let refused = service.put("alice", &path, &contract(&sha256), "").await.expect(422).json();
        assert_eq!(refused["field"], "outputContract.checks[0]");
    }
    service.put("alice", &path, &contract(&mine), "").await.expect(200);
    // Operators can change them for their owner.
    service.put("olga", &path, &contract(&mine), "").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_is_in_bytes() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({})).await;
    let algorithm = service.algorithm("stats", guest("column-stats.p1.wasm")).await;
    let request = json!({"datasets": [dataset], "algorithm": {"did": algorithm}});
    let denied = service.post("bob", "/v1/jobs", &request).await.expect(403).json();
    assert_eq!(denied["rules"][0]["rule"], "algorithm-not-trusted");
    assert_eq!(denied["rules"][0]["subject"], dataset.as_str());
    let path = format!("/v1/datasets/{dataset}/allow");
    let shown = service.get("alice", &format!("/v1/algorithms/{algorithm}")).await.expect(200).json();
    let inspected = |named: Value, files: &Value| {
        json!({"algorithm": named, "filesChecksum": files,
            "containerSectionChecksum": shown["containerSectionChecksum"]})
    };
    let files = &shown["filesChecksum"];
    service.post("mallory", &path, &inspected(json!(algorithm), files)).await.expect(404);
    let unknown = service.post("alice", &path, &inspected(json!("did:op:nobody"), files)).await.expect(404).json();
    assert_eq!(unknown["field"], "algorithm");
    service.post("alice", &path, &json!({"algorithm": algorithm})).await.expect(422);
    let named = inspected(json!({"owner": "mallory", "name": "stats"}), files);
    let permissions = service.post("alice", &path, &named).await.expect(200).json();
    assert_eq!(permissions["publisherTrustedAlgorithms"][0]["did"], algorithm.as_str());
    let explained = service.post("bob", "/v1/explain", &request).await.expect(200).json();
    assert_eq!(
        (explained["allowed"].as_bool(), &explained["terms"]["admitted"][0]["by"]),
        (Some(true), &json!("trusted-algorithm"))
    );

    // The same name with other bytes is trusted no more.
    let sha256 = service.upload("mallory", crate::test_service::guest("exfiltrate.p1.wasm")).await;
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Algorithm", "metadata": {"name": "stats"},
        "spec": {"files": [{"type": "upload", "sha256": sha256}]}
    });
    service.post("mallory", "/v1/algorithms", &manifest).await.expect(200);
    let denied = service.post("bob", "/v1/jobs", &request).await.expect(403).json();
    assert_eq!(denied["rules"][0]["rule"], "files-checksum");
    // A publisher who has read the old one does not allow the new one by that.
    let changed = service.post("alice", &path, &named).await.expect(409).json();
    assert_eq!(changed["type"], json!("https://cloister.dev/problems/algorithm-changed"), "{changed}");

    service.delete("alice", &format!("{path}/{algorithm}")).await.expect(204);
    let explained = service.post("bob", "/v1/explain", &request).await.expect(200).json();
    assert_eq!(explained["rules"][0]["rule"], "algorithm-not-trusted");
    let audit = service.get("olga", "/v1/audit?limit=1000").await.expect(200).text();
    assert!(audit.contains("job-denied") && audit.contains("permissions-changed"));
}

/// The owner of a dataset is told that there is no trust to take back. That says nothing about the algorithm, and others learn nothing
/// about the dataset.
#[tokio::test(flavor = "multi_thread")]
async fn trust_that_is_not_there_is_not_taken_back() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({})).await;
    let shown = service.algorithm("shown", program(WRITES)).await;
    let sha256 = service.upload("mallory", program(WRITES)).await;
    let only_mallory = json!({"allow": [{"type": "address", "values": ["mallory"]}]});
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Algorithm", "metadata": {"name": "hidden"},
        "spec": {"files": [{"type": "upload", "sha256": sha256}], "credentials": only_mallory}
    });
    let hidden = service.post("mallory", "/v1/algorithms", &manifest).await.expect(201).json();
    let hidden = hidden["did"].as_str().expect("a DID").to_owned();
    service.get("alice", &format!("/v1/algorithms/{hidden}")).await.expect(404);

    let path = |dataset: &str, algorithm: &str| format!("/v1/datasets/{dataset}/allow/{algorithm}");
    let refused = service.delete("alice", &path(&dataset, &shown)).await.expect(404).json();
    assert_eq!(
        (&refused["type"], &refused["field"]),
        (&json!("https://cloister.dev/problems/not-trusted"), &json!("algorithm")),
        "{refused}"
    );
    for algorithm in [hidden.as_str(), "did:op:nobody"] {
        assert_eq!(service.delete("alice", &path(&dataset, algorithm)).await.expect(404).json(), refused);
    }
    let nothing = service.delete("mallory", &path("did:op:nothing", &shown)).await.expect(404).json();
    assert_eq!(nothing["type"], "https://cloister.dev/problems/not-found", "{nothing}");
    assert_eq!(service.delete("mallory", &path(&dataset, &shown)).await.expect(404).json(), nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_changed_by_one_at_a_time() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({})).await;
    let path = format!("/v1/datasets/{dataset}/permissions");
    let tag = service.get("alice", &path).await.expect(200).header("etag").to_owned();
    let open = json!({"allowRawAlgorithm": true});
    let changed = service.put("alice", &path, &open, &tag).await.expect(200);
    assert_eq!(changed.json()["allowRawAlgorithm"], true);
    service.put("alice", &path, &open, &tag).await.expect(412);
    service.put("olga", &path, &open, changed.header("etag")).await.expect(200);
    for (wrong, field) in [
        (json!({"allowRawAlgorithms": true}), "document"),
        (json!({"allowRawAlgorithm": "yes"}), "allowRawAlgorithm"),
        (json!({"runtimes": ["x"]}), "runtimes[0]"),
        (
            json!({"outputContract": {"csv": {"minimum": [{"colum": "n", "least": 1}]}}}),
            "outputContract.csv.minimum[0]",
        ),
    ] {
        assert_eq!(service.put("alice", &path, &wrong, "").await.expect(422).json()["field"], field);
    }
    let sized = json!({"outputContract": {"maxBytes": "10MB"}});
    let sized = service.put("alice", &path, &sized, "").await.expect(200).json();
    assert_eq!(sized["outputContract"]["maxBytes"], 10_000_000);
    service.put("alice", &path, &json!([]), "").await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_be_downloaded_is() {
    let service = service().await;
    let dataset = service.dataset("computed", json!({"allowRawAlgorithm": true})).await;
    for who in ["bob", "alice", "olga"] {
        service.get(who, &format!("/v1/datasets/{dataset}/files/0")).await.expect(404);
    }
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "sample"},
        "spec": {"services": [{"type": "access", "files": [{"type": "inline", "content": "0123456789"}]}]}
    });
    let sample = service.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let path = format!("/v1/datasets/{}/files/0", sample["did"].as_str().expect("a DID"));
    let whole = service.get("bob", &path).await.expect(200);
    assert_eq!((whole.text().as_str(), whole.header("content-type")), ("0123456789", "application/octet-stream"));
    assert!(whole.header("content-disposition").starts_with("attachment"));
    let part = [("range", "bytes=3-5")];
    let part = service.with("bob", "GET", &path, &part, axum::body::Body::empty()).await.expect(206);
    assert_eq!((part.text().as_str(), part.header("content-range")), ("345", "bytes 3-5/10"));
    service.get("bob", &path.replace("/0", "/1")).await.expect(404);
    let head = service.with("bob", "HEAD", &path, &[], axum::body::Body::empty()).await.expect(200);
    assert_eq!((head.header("etag"), head.header("content-length")), (whole.header("etag"), "10"));
    assert!(service.get("olga", "/v1/audit?limit=1000").await.expect(200).text().contains("file-downloaded"));
}

/// Each description may have a megabyte. Many of them are in no list and in no job.
#[tokio::test(flavor = "multi_thread")]
async fn large_descriptions_are_in_no_list_and_bounded_in_a_job() {
    let service = service().await;
    let mut datasets = Vec::new();
    for number in 0..9 {
        let ddo = json!({
            "id": format!("did:op:large-{number}"), "version": "4.1.0",
            "metadata": {"type": "dataset", "name": "large", "description": "x".repeat(1_000_000)},
            "services": [{
                "id": "compute", "type": "compute", "files": [{"type": "inline", "content": "a"}],
                "compute": {"allowRawAlgorithm": true}
            }]
        });
        let published = service.post("alice", "/v1/datasets", &ddo).await.expect(201).json();
        datasets.push(published["did"].as_str().expect("a DID").to_owned());
    }
    let list = service.get("bob", "/v1/datasets?limit=100").await.expect(200);
    assert_eq!(list.json()["items"].as_array().map(Vec::len), Some(9));
    assert!(list.body.len() < 20_000, "{} bytes", list.body.len());
    assert_eq!(list.json()["items"][0]["services"][0]["type"], "compute");
    let sha256 = service.upload("bob", super::test_service::guest("column-stats.p1.wasm")).await;
    let job = json!({"datasets": datasets, "algorithm": {"upload": sha256}});
    let refused = service.post("bob", "/v1/jobs", &job).await.expect(422).json();
    assert_eq!(refused["field"], "datasets[8]", "{refused}");
    let fewer = json!({"datasets": datasets[..8], "algorithm": {"upload": sha256}});
    let taken = service.post("bob", "/v1/jobs", &fewer).await.expect(201).json();
    service.until(taken["id"].as_str().expect("an id"), "Finished").await;
}

/// Whatever reads a description or stores one anew counts in the share of its account: it waits for what the account has under way, and for
/// no other account.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_reads_or_stores_a_description_waits_for_the_share_of_its_account() {
    use std::time::Duration;
    let service = service().await;
    let hers = format!("/v1/datasets/{}", service.dataset("hers", json!({"allowRawAlgorithm": true})).await);
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "theirs"},
        "spec": {"files": [{"type": "inline", "content": "a"}], "compute": {"allowRawAlgorithm": true}}
    });
    let theirs = service.post("mallory", "/v1/datasets", &manifest).await.expect(201).json();
    let theirs = format!("/v1/datasets/{}", theirs["did"].as_str().expect("a DID"));

    let mut whole_share = service.with_the_whole_share("alice").await;
    let (rules, nothing) = (json!({"allowRawAlgorithm": false}), json!({}));
    let [permissions, check] = ["permissions", "check"].map(|rest| format!("{hers}/{rest}"));
    let answered = async {
        tokio::select! {
            answer = &mut whole_share => ("the submission", answer),
            answer = service.get("alice", &hers) => ("a description", answer),
            answer = service.get("alice", &permissions) => ("rules", answer),
            answer = service.put("alice", &permissions, &rules, "") => ("a change of rules", answer),
            answer = service.post("alice", &check, &nothing) => ("a look at sources", answer),
            answer = service.delete("alice", &hers) => ("a withdrawal", answer),
        }
    };
    let first = tokio::time::timeout(Duration::from_secs(2), answered).await;
    assert!(first.is_err(), "it did not wait: {first:?}");
    service.get("mallory", &theirs).await.expect(200);
    service.put("mallory", &format!("{theirs}/permissions"), &rules, "").await.expect(200);
    // Nothing of alice's was changed by what was given up.
    service.get("mallory", &hers).await.expect(200);
}

/// The source of this file cannot be reached, so an answer other than 502 was given without fetching the file.
#[tokio::test(flavor = "multi_thread")]
async fn headers_and_conditions_need_no_fetch() {
    use axum::body::Body;
    let service = service().await;
    let sha256 = "ab".repeat(32);
    let url = "http://192.0.2.1/data.csv";
    let files = json!([{"type": "url", "url": url}, {"type": "url", "url": url, "bytes": 10, "sha256": sha256}]);
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "far"},
        "spec": {"services": [{"type": "access", "files": files}]}
    });
    let dataset = service.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let path = format!("/v1/datasets/{}/files", dataset["did"].as_str().expect("a DID"));
    let (unknown, declared) = (format!("{path}/0"), format!("{path}/1"));
    service.get("bob", &unknown).await.expect(502);
    let head = service.with("bob", "HEAD", &unknown, &[], Body::empty()).await.expect(200);
    assert_eq!((head.header("etag"), head.header("content-length")), ("", ""), "what is not known is not said");
    let head = service.with("bob", "HEAD", &declared, &[], Body::empty()).await.expect(200);
    assert_eq!((head.header("etag"), head.header("content-length")), (format!("\"{sha256}\"").as_str(), "10"));
    let beyond = service.with("bob", "GET", &declared, &[("range", "bytes=10-")], Body::empty()).await.expect(416);
    assert_eq!(beyond.header("content-range"), "bytes */10");
    let tag = format!("\"{sha256}\"");
    service.with("bob", "GET", &declared, &[("if-none-match", &tag)], Body::empty()).await.expect(304);
    service.with("bob", "GET", &declared, &[("range", "bytes=0-1")], Body::empty()).await.expect(502);
}

/// Larger than what is read at once: every border between two reads, and parts across it.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_comes_whole_and_in_parts() {
    let service = service().await;
    let content: Vec<u8> = (0..1_700_000_u32).flat_map(|n| n.to_le_bytes().into_iter().take(1)).collect();
    let sha256 = service.upload("alice", content.clone()).await;
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "large"},
        "spec": {"services": [{"type": "access", "files": [{"type": "upload", "sha256": sha256}]}]}
    });
    let large = service.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let path = format!("/v1/datasets/{}/files/0", large["did"].as_str().expect("a DID"));
    let whole = service.get("bob", &path).await.expect(200);
    assert!(whole.body == content && whole.header("etag") == format!("\"{sha256}\""));
    let chunk = 512 * 1024;
    for (first, last) in
        [(0, chunk - 1), (chunk - 1, chunk), (1, 2 * chunk), (chunk, content.len() - 1), (5, content.len() - 2)]
    {
        let range = format!("bytes={first}-{last}");
        let part = service.with("bob", "GET", &path, &[("range", &range)], axum::body::Body::empty()).await.expect(206);
        assert!(part.body == content[first..=last], "{range}: {} bytes", part.body.len());
        assert_eq!(part.header("content-length"), (last - first + 1).to_string());
    }
}

/// The files of an algorithm that only computes are its author's secret, unless the author asks someone to inspect them.
#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_who_is_asked_to_trust_an_algorithm_can_read_it() {
    let service = service().await;
    let program = program(WRITES);
    let sha256 = service.upload("mallory", program.clone()).await;
    let publish = async |spec: Value, status: u16| {
        let manifest = json!({
            "apiVersion": "cloister.dev/v1alpha1", "kind": "Algorithm", "metadata": {"name": "secret"}, "spec": spec
        });
        service.post("mallory", "/v1/algorithms", &manifest).await.expect(status).json()
    };
    let files = json!([{"type": "upload", "sha256": sha256}]);
    let only_mallory = json!({"allow": [{"type": "address", "values": ["mallory"]}]});
    let did = publish(json!({"files": files, "credentials": only_mallory}), 201).await["did"].clone();
    let (path, file) = (format!("/v1/algorithms/{}", did.as_str().expect("a DID")), "files/0");
    for who in ["alice", "bob"] {
        service.get(who, &path).await.expect(404);
        service.get(who, &format!("{path}/{file}")).await.expect(404);
    }
    let asked = json!({"inspectors": ["alice"]});
    publish(json!({"files": files, "credentials": only_mallory, "algorithm": asked}), 200).await;
    let shown = service.get("alice", &path).await.expect(200).json();
    assert_eq!(shown["filesChecksum"], sha256.as_str());
    assert_eq!(service.get("alice", &format!("{path}/{file}")).await.expect(200).body, program);
    service.get("bob", &path).await.expect(404);
    service.get("bob", &format!("{path}/{file}")).await.expect(404);
    // Operators see that it is there, and need not read it.
    service.get("olga", &format!("{path}/{file}")).await.expect(404);
    assert!(service.get("olga", "/v1/audit?limit=1000").await.expect(200).text().contains("file-downloaded"));
    // She can trust what she has read, and her consumers still need the author's permission to use it.
    let dataset = service.dataset("d", json!({})).await;
    let allow = json!({"algorithm": did, "filesChecksum": shown["filesChecksum"],
        "containerSectionChecksum": shown["containerSectionChecksum"]});
    service.post("alice", &format!("/v1/datasets/{dataset}/allow"), &allow).await.expect(200);
    let job = json!({"datasets": [dataset], "algorithm": {"did": did}});
    service.post("alice", "/v1/jobs", &job).await.expect(404);
    service.post("bob", "/v1/jobs", &job).await.expect(404);
}

/// An owner who publishes through a cluster takes an asset back there, and nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_manifest_has_published_is_withdrawn_for_its_owner_alone() {
    let service = service().await;
    let dataset = service.dataset("penguins", json!({})).await;
    let path = format!("/v1/datasets/{dataset}");
    let name = "penguins".parse().expect("a name");
    let withdraw = async |owner: &str, kind: AssetKind| {
        let owner = owner.parse().expect("an account");
        service.api.withdraw_manifest(&owner, kind, &name).await.expect("an answer");
    };
    withdraw("mallory", AssetKind::Dataset).await;
    withdraw("alice", AssetKind::Algorithm).await;
    service.get("bob", &path).await.expect(200);
    for _ in 0..2 {
        withdraw("alice", AssetKind::Dataset).await;
        service.get("bob", &path).await.expect(404);
    }
    assert_eq!(service.get("alice", &path).await.expect(200).json()["revision"], 2);
    assert!(service.get("olga", "/v1/audit?limit=1000").await.expect(200).text().contains("asset-withdrawn"));
}

/// Ocean's identifiers are digests. Two spellings of one must not be two assets of two accounts.
#[tokio::test(flavor = "multi_thread")]
async fn a_did_in_other_letters_is_the_same_asset() {
    let service = service().await;
    // printf 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed8996 | sha256sum
    let id = "1e668768111c2204e99f176a14a31ff1d1fb432765519483826bb24c1f52b94f";
    let ddo = |id: &str| {
        json!({"id": format!("did:op:{id}"), "chainId": 8996, "nftAddress": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "metadata": {"type": "dataset", "name": "d"},
            "services": [{"id": "c", "type": "compute", "files": [{"type": "inline", "content": "a"}]}]})
    };
    service.post("alice", "/v1/datasets", &ddo(id)).await.expect(201);
    for spelling in [id.to_owned(), id.to_uppercase(), id.replace('f', "F")] {
        let taken = service.post("mallory", "/v1/datasets", &ddo(&spelling)).await.expect(409).json();
        assert_eq!(taken["type"], "https://cloister.dev/problems/did-taken", "{taken}");
        let found = service.get("bob", &format!("/v1/datasets/did:op:{spelling}")).await.expect(200).json();
        assert_eq!((&found["owner"], &found["did"]), (&json!("alice"), &json!(format!("did:op:{id}"))));
    }
    // Its owner changes it under any of them.
    service.post("alice", "/v1/datasets", &ddo(&id.to_uppercase())).await.expect(200);
}

/// A reader who sees the first of two rules must not be wrong about the one that counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_stands_twice_is_refused() {
    let service = service().await;
    let dataset = service.dataset("d", json!({})).await;
    let json_type = [("content-type", "application/json")];
    let rules = r#"{"allowRawAlgorithm": false, "outputContract": {"maxBytes": 1, "maxBytes": 1000000}}"#;
    let path = format!("/v1/datasets/{dataset}/permissions");
    let refused = service.with("alice", "PUT", &path, &json_type, rules.into()).await.expect(422).json();
    assert_eq!(refused["field"], "outputContract", "{refused}");
    let manifest = r#"{"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "twice"}, "spec": {
        "files": [{"type": "inline", "content": "a"}],
        "compute": {"allowRawAlgorithm": false, "allowRawAlgorithm": true}}}"#;
    let refused = service.with("alice", "POST", "/v1/datasets", &json_type, manifest.into()).await.expect(422).json();
    assert_eq!(refused["field"], "spec.compute", "{refused}");
    let job =
        format!(r#"{{"datasets": ["{dataset}"], "algorithm": {{"did": "a"}}, "parameters": {{"a": 1, "a": 2}}}}"#);
    let refused = service.with("bob", "POST", "/v1/jobs", &json_type, job.into()).await.expect(422).json();
    assert_eq!(refused["field"], "parameters", "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_is_published_anew_only_as_it_was_read() {
    let service = service().await;
    let manifest = |title: &str| {
        json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "penguins"},
            "spec": {"title": title, "files": [{"type": "inline", "content": "a"}]}})
    };
    let put = |title: &'static str, tag: &'static str| {
        let service = &service;
        async move {
            let headers = [("if-match", tag), ("content-type", "application/json")];
            let body = axum::body::Body::from(manifest(title).to_string());
            service.with("alice", "POST", "/v1/datasets", &headers, body).await
        }
    };
    put("one", "\"1\"").await.expect(412);
    let first = service.post("alice", "/v1/datasets", &manifest("one")).await.expect(201);
    assert_eq!(first.header("etag"), "\"1\"");
    put("two", "\"1\"").await.expect(200);
    put("three", "\"1\"").await.expect(412);
    let did = first.json()["did"].as_str().expect("a DID").to_owned();
    let now = service.get("alice", &format!("/v1/datasets/{did}")).await.expect(200).json();
    assert_eq!((&now["title"], &now["revision"]), (&json!("two"), &json!(2)));
}
