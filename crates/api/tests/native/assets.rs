//! Publishing, and who may use what.

use crate::house::house;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn publishing_again_changes_and_sources_stay_hidden() {
    let house = house().await;
    let dataset = house.dataset("penguins", json!({})).await;
    let seen = house.get("bob", &format!("/v1/datasets/{dataset}")).await.expect(200);
    assert!(!seen.text().contains("Kyoto") && seen.header("etag") == "\"1\"");
    assert!(house.get("alice", &format!("/v1/datasets/{dataset}")).await.expect(200).text().contains("Kyoto"));
    assert!(!house.get("olga", &format!("/v1/datasets/{dataset}")).await.expect(200).text().contains("Kyoto"));
    assert!(!house.get("bob", "/v1/datasets").await.expect(200).text().contains("Kyoto"));

    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "penguins"},
        "spec": {"title": "Penguins", "files": [{"type": "inline", "content": "a"}]}
    });
    let changed = house.post("alice", "/v1/datasets", &manifest).await.expect(200).json();
    assert_eq!((changed["revision"].as_u64(), changed["did"].as_str()), (Some(2), Some(dataset.as_str())));
    // What says the same again is no change.
    let again = house.post("alice", "/v1/datasets", &manifest).await.expect(200).json();
    assert_eq!(again["revision"].as_u64(), Some(2));
    // The same name of somebody else is another dataset.
    assert_ne!(house.post("mallory", "/v1/datasets", &manifest).await.expect(201).json()["did"], dataset.as_str());
    // A DDO cannot take somebody else's DID, whether it is one of ours or there already.
    let ddo = |did: &str| {
        json!({"id": did, "metadata": {"type": "dataset", "name": "mine"},
        "services": [{"id": "c", "type": "compute", "files": [{"type": "inline", "content": "x"}]}]})
    };
    house.post("mallory", "/v1/datasets", &ddo(&dataset)).await.expect(422);
    house.post("alice", "/v1/datasets", &ddo("did:op:lake")).await.expect(201);
    house.post("mallory", "/v1/datasets", &ddo("did:op:lake")).await.expect(409);
    // A file of the machine is nobody's unless the operator has given it to somebody.
    let mut local = manifest.clone();
    local["spec"]["files"] = json!([{"type": "local", "path": "/etc/passwd"}]);
    house.post("alice", "/v1/datasets", &local).await.expect(422);
    house.post("alice", "/v1/algorithms", &manifest).await.expect(422);

    house.delete("mallory", &format!("/v1/datasets/{dataset}")).await.expect(404);
    house.delete("alice", &format!("/v1/datasets/{dataset}")).await.expect(204);
    house.get("bob", &format!("/v1/datasets/{dataset}")).await.expect(404);
    assert!(house.get("alice", &format!("/v1/datasets/{dataset}")).await.expect(200).json()["withdrawn"].is_string());
    let request = json!({"datasets": [dataset], "algorithm": {"rawcode": "x"}});
    house.post("alice", "/v1/jobs", &request).await.expect(404);
}

/// A publisher hears at publication what every consumer's job would end with.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_fetch_could_not_read_is_refused_when_it_is_published() {
    let house = house().await;
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
            let problem = house.post("alice", "/v1/datasets", &document).await.expect(422).json();
            assert_eq!(problem["field"], format!("{parent}{field}"), "{file}: {problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_check_outputs_are_the_publishers_own() {
    let house = house().await;
    let dataset = house.dataset("penguins", json!({})).await;
    let (mine, theirs) = (house.upload("alice", vec![1]).await, house.upload("bob", vec![2]).await);
    let contract = |sha256: &str| json!({"outputContract": {"checks": [{"name": "small groups", "sha256": sha256}]}});
    let path = format!("/v1/datasets/{dataset}/permissions");
    for sha256 in [theirs, "ab".repeat(32)] {
        let refused = house.put("alice", &path, &contract(&sha256), "").await.expect(422).json();
        assert_eq!(refused["field"], "services[0].compute.outputContract.checks[0]");
    }
    house.put("alice", &path, &contract(&mine), "").await.expect(200);
    // Whoever administers changes them in their owner's name.
    house.put("olga", &path, &contract(&mine), "").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_is_in_bytes() {
    let house = house().await;
    let dataset = house.dataset("penguins", json!({})).await;
    let algorithm = house.algorithm("stats", "column-stats.p1.wasm").await;
    let request = json!({"datasets": [dataset], "algorithm": {"did": algorithm}});
    let denied = house.post("bob", "/v1/jobs", &request).await.expect(403).json();
    assert_eq!(denied["rules"][0]["rule"], "algorithm-not-trusted");
    assert_eq!(denied["rules"][0]["subject"], dataset.as_str());
    let path = format!("/v1/datasets/{dataset}/allow");
    house.post("mallory", &path, &json!({"algorithm": algorithm})).await.expect(404);
    let unknown = house.post("alice", &path, &json!({"algorithm": "did:op:nobody"})).await.expect(404).json();
    assert_eq!(unknown["field"], "algorithm");
    let named = json!({"algorithm": {"owner": "mallory", "name": "stats"}});
    let permissions = house.post("alice", &path, &named).await.expect(200).json();
    assert_eq!(permissions["publisherTrustedAlgorithms"][0]["did"], algorithm.as_str());
    let explained = house.post("bob", "/v1/explain", &request).await.expect(200).json();
    assert_eq!(
        (explained["allowed"].as_bool(), &explained["terms"]["admitted"][0]["by"]),
        (Some(true), &json!("trusted-algorithm"))
    );

    // The same name with other bytes is trusted no more.
    let sha256 = house.upload("mallory", crate::house::guest("exfiltrate.p1.wasm")).await;
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Algorithm", "metadata": {"name": "stats"},
        "spec": {"files": [{"type": "upload", "sha256": sha256}]}
    });
    house.post("mallory", "/v1/algorithms", &manifest).await.expect(200);
    let denied = house.post("bob", "/v1/jobs", &request).await.expect(403).json();
    assert_eq!(denied["rules"][0]["rule"], "files-checksum");

    house.delete("alice", &format!("{path}/{algorithm}")).await.expect(204);
    house.delete("alice", &format!("{path}/{algorithm}")).await.expect(404);
    let explained = house.post("bob", "/v1/explain", &request).await.expect(200).json();
    assert_eq!(explained["rules"][0]["rule"], "algorithm-not-trusted");
    let audit = house.get("olga", "/v1/audit?limit=1000").await.expect(200).text();
    assert!(audit.contains("job-denied") && audit.contains("permissions-changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_changed_by_one_at_a_time() {
    let house = house().await;
    let dataset = house.dataset("penguins", json!({})).await;
    let path = format!("/v1/datasets/{dataset}/permissions");
    let tag = house.get("alice", &path).await.expect(200).header("etag").to_owned();
    let open = json!({"allowRawAlgorithm": true});
    let changed = house.put("alice", &path, &open, &tag).await.expect(200);
    assert_eq!(changed.json()["allowRawAlgorithm"], true);
    house.put("alice", &path, &open, &tag).await.expect(412);
    house.put("olga", &path, &open, changed.header("etag")).await.expect(200);
    for (wrong, field) in [
        (json!({"allowRawAlgorithms": true}), "allowRawAlgorithms"),
        (json!({"allowRawAlgorithm": "yes"}), "services[0].compute.allowRawAlgorithm"),
        (json!({"runtimes": ["x"]}), "services[0].compute.runtimes[0]"),
    ] {
        assert_eq!(house.put("alice", &path, &wrong, "").await.expect(422).json()["field"], field);
    }
    house.put("alice", &path, &json!([]), "").await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_be_downloaded_is() {
    let house = house().await;
    let dataset = house.dataset("computed", json!({"allowRawAlgorithm": true})).await;
    for who in ["bob", "alice", "olga"] {
        house.get(who, &format!("/v1/datasets/{dataset}/files/0")).await.expect(404);
    }
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "sample"},
        "spec": {"services": [{"type": "access", "files": [{"type": "inline", "content": "0123456789"}]}]}
    });
    let sample = house.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let path = format!("/v1/datasets/{}/files/0", sample["did"].as_str().expect("a DID"));
    let whole = house.get("bob", &path).await.expect(200);
    assert_eq!((whole.text().as_str(), whole.header("content-type")), ("0123456789", "application/octet-stream"));
    assert!(whole.header("content-disposition").starts_with("attachment"));
    let part = [("range", "bytes=3-5")];
    let part = house.with("bob", "GET", &path, &part, axum::body::Body::empty()).await.expect(206);
    assert_eq!((part.text().as_str(), part.header("content-range")), ("345", "bytes 3-5/10"));
    house.get("bob", &path.replace("/0", "/1")).await.expect(404);
    assert!(house.get("olga", "/v1/audit?limit=1000").await.expect(200).text().contains("file-downloaded"));
}

/// Larger than what is read at once: every border between two reads, and parts across it.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_comes_whole_and_in_parts() {
    let house = house().await;
    let content: Vec<u8> = (0..1_700_000_u32).flat_map(|n| n.to_le_bytes().into_iter().take(1)).collect();
    let sha256 = house.upload("alice", content.clone()).await;
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "large"},
        "spec": {"services": [{"type": "access", "files": [{"type": "upload", "sha256": sha256}]}]}
    });
    let large = house.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let path = format!("/v1/datasets/{}/files/0", large["did"].as_str().expect("a DID"));
    let whole = house.get("bob", &path).await.expect(200);
    assert!(whole.body == content && whole.header("etag") == format!("\"{sha256}\""));
    let chunk = 512 * 1024;
    for (first, last) in
        [(0, chunk - 1), (chunk - 1, chunk), (1, 2 * chunk), (chunk, content.len() - 1), (5, content.len() - 2)]
    {
        let range = format!("bytes={first}-{last}");
        let part = house.with("bob", "GET", &path, &[("range", &range)], axum::body::Body::empty()).await.expect(206);
        assert!(part.body == content[first..=last], "{range}: {} bytes", part.body.len());
        assert_eq!(part.header("content-length"), (last - first + 1).to_string());
    }
}
