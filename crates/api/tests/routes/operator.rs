//! Ocean's operator API.

use crate::{
    ocean::{OTHER, OWNER, Ocean},
    test_service::{Answer, WRITES, key_made, now, program, with_key},
    wallet::{Wallet, nonce},
};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use cloister_api::{OperatorSettings, ServeOptions, new_key, serve};
use cloister_model::{Keyring as _, Role, Sha256};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_provider_sends_starts_a_job() {
    let ocean = Ocean::new().await;
    let answer = ocean.post(&ocean.start_of(&ocean.algorithm, 1, "0x2874")).await.expect(200);
    let body = answer.json();
    let [job] = body.as_array().expect("a list").as_slice() else { panic!("one job") };
    assert_eq!((&job["agreementId"], &job["owner"]), (&json!("0x2874"), &json!(OWNER)));
    assert_eq!((&job["status"], &job["statusText"], &job["results"]), (&json!(1), &json!("Warming up"), &json!("")));
    assert_eq!((&job["algoDID"], &job["inputDID"]), (&json!(ocean.algorithm), &json!([ocean.second, ocean.dataset])));
    assert_eq!((job["dateCreated"].as_str().map(str::len), &job["dateFinished"]), (Some(14), &Value::Null));
    assert!(!answer.headers.contains_key("x-cloister-unverified"));
    let job = job["jobId"].as_str().expect("a job").to_owned();
    ocean.service.until_seen("olga", &job, "Finished").await;
    let receipt = ocean.service.get("olga", &format!("/v1/jobs/{job}/receipt")).await.expect(200).json();
    let openings = receipt["openings"].as_array().expect("openings");
    let parameters = openings.iter().find(|opening| opening["pointer"] == "/parameters").expect("an opening");
    let digest = Sha256::of(json!({"bins": 20}).to_string().as_bytes());
    assert_eq!(parameters["value"], json!({"sha256": digest}), "{parameters}");
    // The request may name any container; the published one counts.
    assert_eq!(receipt["receipt"]["container"]["image"], "wasm");
    let audit = ocean.service.get("olga", "/v1/audit?limit=1000").await.expect(200).json();
    let records = audit["items"].as_array().expect("records");
    let allowed = records.iter().find(|record| record["action"] == "job-allowed").expect("a record");
    assert_eq!((&allowed["actor"], &allowed["subject"]), (&json!(OWNER.to_lowercase()), &json!(job)));
    let detail: Value = serde_json::from_str(allowed["detail"].as_str().expect("a text")).expect("json");
    assert_eq!((&detail["provider"], &detail["verified"]), (&json!(Wallet::new(1).address()), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_seen_stopped_and_deleted_by_its_provider() {
    let ocean = Ocean::new().await;
    let job = ocean.running("0x2874").await;
    let named = [("owner", OWNER), ("jobId", job.as_str())];
    let status = ocean.query(Method::GET, "compute", 1, &named).await;
    assert_eq!((status.status, status.json()[0]["jobId"].clone()), (StatusCode::OK, json!(job)));
    let stopped = ocean.query(Method::PUT, "compute", 1, &named).await.json();
    assert_eq!(stopped[0]["stopreq"], 1);
    ocean.service.until_seen("olga", &job, "Stopped").await;
    let ended = ocean.query(Method::GET, "compute", 1, &named).await.json();
    assert_eq!((&ended[0]["status"], &ended[0]["statusText"]), (&json!(7), &json!("Job stopped")));
    let deleted = ocean.query(Method::DELETE, "compute", 1, &named).await;
    assert_eq!((deleted.status, deleted.json()), (StatusCode::OK, json!([])));
    assert_eq!(ocean.query(Method::GET, "compute", 1, &named).await.json(), json!([]));
    assert_eq!(ocean.service.actions().await, ["job-allowed", "job-stopped", "job-removed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_job_is_stopped_before_it_is_deleted() {
    let ocean = Ocean::new().await;
    let job = ocean.running("0x2874").await;
    let named = [("owner", OWNER), ("jobId", job.as_str())];
    let still = ocean.query(Method::DELETE, "compute", 1, &named).await.json();
    assert_eq!(still[0]["stopreq"], 1);
    ocean.service.until_seen("olga", &job, "Stopped").await;
    assert_eq!(ocean.query(Method::DELETE, "compute", 1, &named).await.json(), json!([]));
    assert_eq!(ocean.jobs().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_not_finished() {
    let ocean = Ocean::new().await;
    let job = ocean.started(&ocean.start_of(&ocean.failing, 1, "0x2874")).await;
    ocean.service.until_seen("olga", &job, "AlgorithmFailed").await;
    let body = ocean.query(Method::GET, "compute", 1, &[("owner", OWNER)]).await.json();
    assert_eq!(body[0]["status"], 41, "{body}");
    assert!(body[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{body}");
    assert!(body[0]["dateFinished"].is_string());
}

/// A listed Provider can name any Ethereum account as the owner. It still computes only on datasets that are meant for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_computes_only_on_datasets_that_are_meant_for_it() {
    let ocean = Ocean::new().await;
    let anyone = || {
        json!({"allowRawAlgorithm": true, "publisherTrustedAlgorithmPublishers": ["*"],
        "outputContract": {"maxLogBytes": 1000}})
    };
    let (own, other) = (Wallet::new(1).address(), Wallet::new(2).address());
    let meant = ocean.service.dataset_for("meant", anyone(), &[&own]).await;
    let (unlisted, others) = (
        ocean.service.dataset("unlisted", anyone()).await,
        ocean.service.dataset_for("others", anyone(), &[&other]).await,
    );
    let start = |dataset: &str, agreement: &str| {
        let mut body = ocean.start_of(&ocean.algorithm, 1, agreement);
        body["workflow"]["stages"][0]["input"] =
            json!([{"index": 0, "id": dataset, "remote": {"txId": "0x7a12", "serviceId": "compute"}}]);
        body
    };
    ocean.post(&start(&meant, "0x1")).await.expect(200);
    let missing = ocean.post(&start(&format!("did:op:{}", "0".repeat(64)), "0x2")).await;
    for hidden in [&unlisted, &others] {
        let answer = ocean.post(&start(hidden, "0x2")).await;
        assert_eq!((answer.status, &answer.body), (missing.status, &missing.body), "hidden is missing");
        assert!(answer.status.is_client_error(), "{}", answer.text());
    }
    // Nor on what an account registers of its own results: to name the account is not to be it.
    let wallet = Wallet::new(7);
    let key = new_key(wallet.address().parse().expect("an account"), Role::Consumer, String::new(), None, now());
    let key = key.expect("a key");
    ocean.service.engine.put_key(key.stored, key_made()).await.expect("stored");
    let sha256 = ocean.service.upload_with(key.token.expose(), program(WRITES)).await;
    let job = json!({"datasets": [unlisted], "algorithm": {"upload": sha256}, "register": {"name": "mine"}});
    let job = ocean.service.send(with_key(key.token.expose(), "POST", "/v1/jobs", &job)).await.expect(201).json();
    ocean.service.until_seen("olga", job["id"].as_str().expect("an id"), "Finished").await;
    let list = format!("/v1/datasets?owner={}&name=mine", wallet.address());
    let found = ocean.service.get("olga", &list).await.expect(200).json();
    let registered = found["items"][0]["did"].as_str().expect("a dataset").to_owned();
    let nonce: u64 = nonce().parse().expect("a number");
    let mut body = start(&registered, "0x3");
    (body["owner"], body["nonce"]) = (json!(wallet.address()), json!(nonce));
    body["providerSignature"] = json!(Wallet::new(1).sign_hashed(&format!("{}{nonce}", wallet.address())));
    let answer = ocean.post(&body).await;
    assert_eq!((answer.status, &answer.body), (missing.status, &missing.body), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_allowed_providers_signature_nothing_is_done_or_disclosed() {
    let ocean = Ocean::new().await;
    let job = ocean.finished("0x2874").await;
    let body = |change: &dyn Fn(&mut Value)| {
        let mut body = ocean.start(1, "0x2874");
        change(&mut body);
        body
    };
    let unlisted = ocean.start(2, "0x2874");
    for (name, body) in [
        ("another signer", unlisted),
        ("another owner", body(&|body| body["owner"] = json!(OTHER))),
        ("letter case", body(&|body| body["owner"] = json!(OWNER.to_lowercase()))),
        ("another nonce", body(&|body| body["nonce"] = json!(nonce()))),
        ("no nonce in the text", body(&|body| body["providerSignature"] = json!(Wallet::new(1).sign_hashed(OWNER)))),
    ] {
        let answer = ocean.post(&body).await;
        assert_eq!(answer.status, 401, "{name}");
        assert!(answer.error().starts_with("Invalid signature"), "{name}: not that the agreement is in use");
    }
    for (method, path) in
        [(Method::GET, "compute"), (Method::PUT, "compute"), (Method::DELETE, "compute"), (Method::GET, "getResult")]
    {
        let known = ocean.query(method.clone(), path, 2, &[("owner", OWNER), ("jobId", &job), ("index", "0")]).await;
        let unknown =
            ocean.query(method.clone(), path, 2, &[("owner", OTHER), ("jobId", &"0".repeat(32)), ("index", "0")]).await;
        assert_eq!(
            (known.status, unknown.status),
            (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED),
            "{method} {path}"
        );
        assert_eq!(known.body, unknown.body, "{method} {path}: both are the signer's address and nothing else");
    }
    assert_eq!(ocean.jobs().await, 1);
    assert_eq!(ocean.service.actions().await, ["job-allowed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_counts_once_and_soon() {
    let ocean = Ocean::new().await;
    let body = ocean.start(1, "0x1");
    assert_eq!(ocean.post(&body).await.status, 200);
    let again = ocean.post(&body).await;
    assert_eq!((again.status, again.error().contains("used before")), (StatusCode::UNAUTHORIZED, true));
    // The same signed text is good for one request of any kind.
    let nonce = body["nonce"].to_string();
    let uri = format!(
        "/api/v1/operator/compute?owner={OWNER}&nonce={nonce}&providerSignature={}",
        body["providerSignature"].as_str().expect("a signature")
    );
    let status = ocean.send(Request::get(uri).body(Body::empty()).expect("a request")).await;
    assert_eq!(status.status, 401);
    for nonce in [now().unix_ms() - 301_000, now().unix_ms() + 3_600_000] {
        let mut body = ocean.start(1, "0x2");
        body["nonce"] = json!(nonce);
        body["providerSignature"] = json!(Wallet::new(1).sign_hashed(&format!("{OWNER}{nonce}")));
        let answer = ocean.post(&body).await;
        assert_eq!(answer.status, 401, "{nonce}");
        assert!(answer.error().starts_with("Invalid nonce"), "{}", answer.error());
    }
    // Two that cross on the way are both good: a lower nonce is only used up by itself.
    let (first, second) = (ocean.start(1, "0x3"), ocean.start(1, "0x4"));
    assert_eq!(ocean.post(&second).await.status, 200);
    assert_eq!(ocean.post(&first).await.status, 200);
}

/// A request that changes nothing leaves no trace in the audit log, however far it came: a refused start has used up its nonce, a
/// stop finds its job ended or stopping already, a deletion finds no job.
#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_happen_is_not_on_record() {
    let ocean = Ocean::new().await;
    let records = async || {
        let audit = ocean.service.get("olga", "/v1/audit?limit=1000").await.expect(200).json();
        audit["items"].as_array().expect("records").clone()
    };
    let job = ocean.running("0x1").await;
    let named = [("owner", OWNER), ("jobId", job.as_str())];
    let before = records().await;
    for (what, pointer, value) in [
        ("no such environment", "/environment", json!("other")),
        ("no such dataset", "/workflow/stages/0/input/0/id", json!("did:op:other")),
        ("no such algorithm", "/workflow/stages/0/algorithm/id", json!("did:op:other")),
        ("not a workflow", "/workflow/stages", json!([])),
        ("the agreement is in use", "/agreementId", json!("0x1")),
    ] {
        let mut body = ocean.start(1, "0x2");
        *body.pointer_mut(pointer).expect("a field") = value;
        assert_eq!(ocean.post(&body).await.status, 400, "{what}");
        // Its nonce is used up all the same.
        assert_eq!(ocean.post(&body).await.status, 401, "{what}");
    }
    let nowhere = [("owner", OWNER), ("jobId", "00000000000000000000000000000000")];
    for method in [Method::PUT, Method::DELETE] {
        assert_eq!(ocean.query(method, "compute", 1, &nowhere).await.json(), json!([]));
    }
    assert_eq!(ocean.jobs().await, 1);
    assert_eq!(records().await, before);

    let actions = async || ocean.service.actions().await;
    for _ in 0..2 {
        ocean.query(Method::PUT, "compute", 1, &named).await.expect(200);
    }
    ocean.service.until_seen("olga", &job, "Stopped").await;
    ocean.query(Method::PUT, "compute", 1, &named).await.expect(200);
    assert_eq!(actions().await, ["job-allowed", "job-stopped"], "it was stopped once");
    for _ in 0..2 {
        ocean.query(Method::DELETE, "compute", 1, &named).await.expect(200);
    }
    assert_eq!(actions().await, ["job-allowed", "job-stopped", "job-removed"], "it was removed once");
}

/// A Provider cannot act for an account that has a key or a token of this service.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_speaks_for_ethereum_accounts_only() {
    let ocean = Ocean::new().await;
    // The last two: what was signed, cut elsewhere.
    for owner in ["alice", "oidc:alice", "0x1", &OWNER[..41], &format!("{OWNER}1")] {
        let mut body = ocean.start(1, "0x1");
        let nonce = body["nonce"].to_string();
        body["owner"] = json!(owner);
        body["providerSignature"] = json!(Wallet::new(1).sign_hashed(&format!("{owner}{nonce}")));
        let answer = ocean.post(&body).await;
        assert_eq!((answer.status, answer.error().contains("Ethereum")), (StatusCode::BAD_REQUEST, true), "{owner}");
        assert_eq!(ocean.query(Method::GET, "compute", 1, &[("owner", owner)]).await.status, 400, "{owner}");
    }
    assert_eq!(ocean.jobs().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_comes_twice_at_once_counts_once() {
    let ocean = Ocean::new().await;
    let body = ocean.start(1, "0x1");
    let answers = futures_util::future::join_all((0..8).map(|_| ocean.post(&body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(ocean.jobs().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_has_one_unfinished_job_even_if_starts_race() {
    let ocean = Ocean::new().await;
    let bodies: Vec<Value> = (0..8).map(|_| ocean.start(1, "0x2874")).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| ocean.post(body))).await;
    let taken: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(taken.len(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        let text = "`agreementId` already in use for other job.";
        assert_eq!((refused.status, refused.error().as_str()), (StatusCode::BAD_REQUEST, text));
    }
    let job = taken[0].json()[0]["jobId"].as_str().expect("a job").to_owned();
    ocean.stopped(&job).await;
    ocean.running("0x2874").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_see_their_own_jobs_only() {
    let providers = [1, 2].map(|key| Wallet::new(key).address().parse().expect("an account")).into();
    let ocean = Ocean::with(OperatorSettings { providers, ..Default::default() }).await;
    let job = ocean.finished("0x2874").await;
    let named = [("owner", OWNER), ("jobId", job.as_str()), ("index", "0")];
    assert_eq!(ocean.query(Method::GET, "compute", 2, &named).await.json(), json!([]));
    assert_eq!(ocean.query(Method::DELETE, "compute", 2, &named).await.json(), json!([]));
    let result = ocean.query(Method::GET, "getResult", 2, &named).await;
    assert_eq!(
        (result.status, result.error()),
        (StatusCode::NOT_FOUND, format!("Owner {OWNER} mismatch for job {job}"))
    );
    assert_eq!(ocean.query(Method::GET, "getResult", 1, &named).await.status, 200);
    // Nor can one take the agreements of another.
    ocean.running("0x2875").await;
    ocean.post(&ocean.start(2, "0x2875")).await.expect(200);
    assert_eq!(ocean.post(&ocean.start(2, "0x2875")).await.error(), "`agreementId` already in use for other job.");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_owner_agreement_job_and_dataset() {
    let ocean = Ocean::new().await;
    let (one, two) = (ocean.running("0x11").await, ocean.running("0x22").await);
    let found = async |fields: &[(&str, &str)]| {
        let body = ocean.query(Method::GET, "compute", 1, fields).await.json();
        let mut jobs: Vec<String> = body
            .as_array()
            .unwrap_or_else(|| panic!("{body}"))
            .iter()
            .map(|job| job["jobId"].as_str().expect("a job").to_owned())
            .collect();
        jobs.sort();
        jobs
    };
    let mut both = vec![one.clone(), two.clone()];
    both.sort();
    let none: Vec<String> = Vec::new();
    assert_eq!(found(&[("owner", OWNER)]).await, both);
    assert_eq!(found(&[("owner", &OWNER.to_lowercase())]).await, both, "letter case does not make another account");
    assert_eq!(found(&[("owner", OWNER), ("documentId", &ocean.dataset)]).await, both);
    assert_eq!(found(&[("owner", OWNER), ("documentId", "did:op:other")]).await, none);
    assert_eq!(found(&[("owner", OWNER), ("agreementId", "0x11")]).await, [one.as_str()]);
    assert_eq!(found(&[("owner", OWNER), ("jobId", &two)]).await, [two.as_str()]);
    assert_eq!(found(&[("owner", OWNER), ("agreementId", "0x11"), ("jobId", &two)]).await, none);
    assert_eq!(found(&[("jobId", &one)]).await, [one]);
    assert_eq!(found(&[("owner", OTHER)]).await, none);
    assert_eq!(found(&[("owner", OTHER), ("jobId", &two)]).await, none);
    assert_eq!(found(&[("owner", OWNER), ("jobId", "../../etc")]).await, none);
    let nothing = ocean.query(Method::GET, "compute", 1, &[("owner", "x")]).await;
    assert_eq!(nothing.error(), "You have to specify one of agreementId, jobId or owner");
    let all = ocean.query(Method::DELETE, "compute", 1, &[("owner", OWNER)]).await;
    assert_eq!(all.status, 400, "a forgotten parameter does not delete everything");
    let stopped = ocean.query(Method::PUT, "compute", 1, &[("owner", OWNER)]).await.json();
    assert!(stopped.as_array().expect("a list").iter().all(|job| job["stopreq"] == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_given_in_whole_and_in_parts() {
    let ocean = Ocean::new().await;
    let running = ocean.running("0x2874").await;
    let job = ocean.finished("0x2875").await;
    let ask = async |job: &str, index: &str| {
        ocean.query(Method::GET, "getResult", 1, &[("owner", OWNER), ("jobId", job), ("index", index)]).await
    };
    assert_eq!(ask(&running, "0").await.status, 404, "not yet");
    let status = ocean.query(Method::GET, "compute", 1, &[("owner", OWNER), ("jobId", &job)]).await.json();
    let results = status[0]["results"].as_array().expect("results");
    let place = results.iter().position(|file| file["filename"] == "result.csv").expect("the output");
    let (index, size) = (place.to_string(), results[place]["filesize"].as_u64().expect("a size"));
    assert_eq!(results[place]["type"], "output");
    let whole = ask(&job, &index).await.expect(200);
    assert_eq!((whole.body.as_slice(), size), (b"a,b\n".as_slice(), 4));
    assert_eq!(whole.headers[header::CONTENT_LENGTH], size.to_string());
    assert_eq!(whole.headers[header::CONTENT_DISPOSITION], "attachment;filename=result.csv");
    assert!(whole.headers.contains_key(header::ETAG));
    let nonce = nonce();
    let signature = Wallet::new(1).sign_hashed(&format!("{OWNER}{job}{nonce}"));
    let uri = format!(
        "/api/v1/operator/getResult?owner={OWNER}&jobId={job}&index={index}&nonce={nonce}&providerSignature={signature}"
    );
    let part = Request::get(uri).header(header::RANGE, "bytes=1-2").body(Body::empty()).expect("a request");
    let part = ocean.send(part).await.expect(206);
    assert_eq!(part.body, whole.body[1..3]);
    assert_eq!(part.headers[header::CONTENT_RANGE], format!("bytes 1-2/{size}"));
    let beyond = results.len();
    assert_eq!(ask(&job, &beyond.to_string()).await.error(), format!("No such index {beyond} in this compute job"));
    assert_eq!(ask(&job, "-1").await.error(), "Negative index -1");
    assert_eq!(
        (ask(&job, "x").await.status, ask(&job, "4294967296").await.status),
        (StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND)
    );
    for job in [job.clone(), "0".repeat(32)] {
        let fields = [("owner", OTHER), ("jobId", job.as_str()), ("index", "0")];
        let other = ocean.query(Method::GET, "getResult", 1, &fields).await;
        assert_eq!(other.error(), format!("Owner {OTHER} mismatch for job {job}"));
    }
    // Both reads were of one file, by one reader, on one day; around midnight, there are two records.
    let actions = ocean.service.actions().await;
    let downloads = actions.iter().filter(|action| *action == "result-downloaded").count();
    assert!((1..=2).contains(&downloads), "{actions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_texts_of_ocean() {
    let ocean = Ocean::new().await;
    let without = |name: &str| {
        let mut body = ocean.start(1, "0x1");
        body.as_object_mut().expect("an object").remove(name);
        body
    };
    for name in ["workflow", "agreementId", "owner", "providerSignature", "environment", "nonce"] {
        let error = ocean.post(&without(name)).await.error();
        assert_eq!(error, format!("\"{name}\" is required in the call to POST:/compute"));
    }
    let changed = |pointer: &str, value: Value| {
        let mut body = ocean.start(1, "0x1");
        *body.pointer_mut(pointer).expect("a field") = value;
        body
    };
    let stage = ocean.start(1, "0x1")["workflow"]["stages"][0].clone();
    let empty = "`workflow` is required in the payload and must include workflow stages";
    for (pointer, value, expected) in [
        ("/workflow", json!({}), empty),
        ("/workflow", Value::Null, empty),
        ("/workflow/stages", json!([]), "Missing stages"),
        ("/workflow/stages", json!([stage, stage]), "Multiple stages are not supported yet"),
        ("/workflow/stages/0/algorithm", Value::Null, "Missing algorithm in stage 0"),
        ("/workflow/stages/0/output", Value::Null, "Missing output in stage 0"),
        ("/environment", json!("other"), "Environment invalid or does not exist"),
        ("/providerSignature", json!(""), "`providerSignature` of agreementId is required."),
        ("/agreementId", Value::Null, "\"agreementId\" is required in the call to POST:/compute"),
    ] {
        let answer = ocean.post(&changed(pointer, value)).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, expected), "{pointer}");
    }
    let recovered = ocean.post(&changed("/providerSignature", json!("0x12"))).await;
    assert!(recovered.status == 400 && recovered.error().starts_with("Failed to recover address"));
    assert_eq!(ocean.post(&json!({})).await.error(), "payload seems empty.");
    let unknown = ocean.post(&changed("/workflow/stages/0/input/0/id", json!("did:op:other"))).await;
    assert!(unknown.status == 400 && unknown.error().contains("stages[0].input[0]"), "{}", unknown.error());
    assert_eq!(ocean.jobs().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_without_an_interpreter_is_refused_with_a_reason() {
    let ocean = Ocean::new().await;
    let with = |image: &str, entrypoint: &str| {
        let mut body = ocean.start(1, "0x1");
        let container = json!({"image": image, "tag": "3", "entrypoint": entrypoint, "checksum": "sha256:1f"});
        body["workflow"]["stages"][0]["algorithm"] = json!({"id": "", "rawcode": "print(1)", "container": container});
        body
    };
    let refused = ocean.post(&with("ghcr.io/acme/stats", "python3 $ALGO")).await;
    assert_eq!(refused.status, 400);
    let reason = cloister_model::DenialRule::EnvironmentRuntime;
    assert!(refused.error().starts_with("The job may not run"), "{}", refused.error());
    assert!(refused.error().contains(reason.describe()) && refused.error().contains(reason.advice()));
    assert!(refused.error().ends_with("images that run here: wasm, python"), "{}", refused.error());
    // An image that is mapped to an interpreter, which is not installed here.
    let lacking = ocean.post(&with("python", "python3 $ALGO")).await;
    let named = "The job may not run, because the interpreter `python` is not installed here: ";
    assert!(lacking.status == 400 && lacking.error().starts_with(named), "{}", lacking.error());
    let taken = ocean.post(&with("wasm", "$ALGO --mode fast")).await;
    assert_eq!((taken.status, &taken.json()[0]["algoDID"]), (StatusCode::OK, &json!("")));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_everything_and_others_nothing() {
    let ocean = Ocean::new().await;
    let job = ocean.running("0x2874").await;
    let (operator, publisher) = (ocean.service.key("olga").to_owned(), ocean.service.key("alice").to_owned());
    let ask = async |path: &str, header: Option<(&str, String)>| {
        let method = if path == "pgsqlinit" { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(format!("/api/v1/operator/{path}"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        ocean.send(request.body(Body::empty()).expect("a request")).await
    };
    for path in [
        "runningjobs",
        "list",
        &format!("info?jobId={job}"),
        &format!("logs?jobId={job}&component=algorithm"),
        "pgsqlinit",
    ] {
        let none = ask(path, None).await;
        assert_eq!(
            (none.status.as_u16(), none.body.as_slice()),
            (400, b"Admin header is empty.\nstatus code: 400".as_slice())
        );
        for wrong in [
            ("Admin", "myAdminPass".to_owned()),
            ("Admin", publisher.clone()),
            ("Authorization", format!("Bearer {publisher}")),
            ("Authorization", "Basic YTpi".to_owned()),
        ] {
            let wrong = ask(path, Some(wrong)).await;
            let text = b"Access admin route failed due to invalid admin address.\nstatus code: 401";
            assert_eq!((wrong.status.as_u16(), wrong.body.as_slice()), (401, text.as_slice()), "{path}");
        }
        for right in [("Admin", operator.clone()), ("Authorization", format!("Bearer {operator}"))] {
            let right = ask(path, Some(right)).await;
            assert_eq!(right.status, 200, "{path}");
        }
    }
    let right = || Some(("Admin", operator.clone()));
    let running = ask("runningjobs", right()).await.json();
    assert_eq!((&running[0]["jobId"], &running[0]["namespace"]), (&json!(job), &json!("local")));
    assert!(running[0].get("results").is_none());
    assert_eq!(ask("list", right()).await.json(), json!([job]));
    assert_eq!(ask(&format!("info?jobId={job}"), right()).await.json()["jobId"], json!(job));
    assert_eq!(ask(&format!("info?jobId={}", "0".repeat(32)), right()).await.status, 404);
    let mut log = Vec::new();
    while log.is_empty() {
        log = ask(&format!("logs?jobId={job}"), right()).await.expect(200).body;
    }
    assert_eq!(log, b"a,b\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_and_environments_are_open() {
    let ocean = Ocean::new().await;
    let get = |uri: &str| Request::get(uri).body(Body::empty()).expect("a request");
    let discovery = ocean.send(get("/")).await.json();
    assert_eq!((&discovery["software"], &discovery["algoTimeLimit"]), (&json!("Operator service"), &json!("600")));
    for uri in ["/api/v1/operator/environments", "/api/v1/operator/environments?chainId=8996"] {
        assert_eq!(ocean.send(get(uri)).await.json()[0]["id"], "local");
    }
    for uri in ["/spec", "/api/v1/operator/spec"] {
        assert!(ocean.send(get(uri)).await.json()["paths"]["/api/v1/operator/compute"]["put"].is_object());
    }
}

/// A request over a connection from this machine, with a JSON body.
async fn from_here(ocean: &Ocean, (method, path): (&str, &str), body: &Value, more: &str) -> (u16, String, Value) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let closing = tokio_util::sync::CancellationToken::new();
    let router = ocean.service.router.clone();
    let serving = tokio::spawn(serve(listener, router, ServeOptions::default(), closing.clone()));
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let body = body.to_string();
    let head = format!(
        "{method} /api/v1/operator/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{more}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(body.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    closing.cancel();
    serving.await.expect("no panic").expect("well");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

/// What Ocean's own suite does (`test_functional.py`): signatures that no rule verifies, a null agreement, an algorithm that
/// is named and sent at once, bodies with `GET`.
#[tokio::test(flavor = "multi_thread")]
async fn old_clients_are_accepted_from_this_machine_if_the_operator_allows_it() {
    let ocean = Ocean::legacy().await;
    let nonce = "1795363289.633593";
    let signature = Wallet::new(9).sign_hashed(&format!("{}did{nonce}", Wallet::new(9).address()));
    let mut body = ocean.start(1, "0x0");
    let algorithm = json!({"id": ocean.endless, "rawcode": "console.log('this is a test')", "url": "https://x.example/algo.js",
        "container": {"entrypoint": "node $ALGO", "image": "node", "tag": "10"}});
    body["workflow"]["stages"][0]["algorithm"] = algorithm;
    body["workflow"]["stages"][0]["input"] =
        json!([{"id": ocean.dataset, "index": 0, "url": ["https://x.example/data.csv"]}]);
    (body["agreementId"], body["nonce"], body["providerSignature"]) = (Value::Null, json!(nonce), json!(signature));
    let (status, head, started) = from_here(&ocean, ("POST", "compute"), &body, "").await;
    assert_eq!(status, 200, "{started}");
    assert!(head.contains("x-cloister-unverified: true"), "{head}");
    let job = started[0].clone();
    assert_eq!(
        (&job["agreementId"], &job["owner"], &job["statusText"]),
        (&json!("None"), &json!(OWNER), &json!("Warming up"))
    );
    assert_eq!((&job["algoDID"], &job["inputDID"]), (&json!(ocean.endless), &json!([ocean.dataset])));

    let named = json!({"agreementId": "None", "owner": OWNER, "jobId": job["jobId"], "nonce": nonce, "providerSignature": signature});
    let (_, _, found) = from_here(&ocean, ("GET", "compute"), &named, "").await;
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    let (_, head, running) = from_here(&ocean, ("GET", "runningjobs"), &json!({}), "").await;
    assert_eq!(running.as_array().map(Vec::len), Some(1));
    assert!(head.contains("x-cloister-unverified: true"), "{head}");
    let (_, _, all) = from_here(&ocean, ("GET", "list"), &json!({}), "admin: MYADMINPASS\r\n").await;
    assert_eq!(all, json!([job["jobId"]]));
    let stop = json!({"owner": OWNER, "jobId": job["jobId"], "nonce": nonce, "providerSignature": signature});
    let (_, _, stopped) = from_here(&ocean, ("PUT", "compute"), &stop, "").await;
    assert_eq!(stopped[0]["stopreq"], 1);
    assert_eq!(from_here(&ocean, ("DELETE", "compute"), &named, "").await.0, 200);

    // Neither through a proxy, nor from an unknown address, nor where the operator does not allow it.
    let proxy = "x-forwarded-for: 192.0.2.1\r\n";
    let strict = Ocean::new().await;
    for (ocean, more) in [(&ocean, proxy), (&strict, "")] {
        assert_eq!(from_here(ocean, ("GET", "compute"), &named, more).await.0, 401, "{more}");
        assert_eq!(from_here(ocean, ("GET", "runningjobs"), &json!({}), more).await.0, 400, "{more}");
    }
    assert_eq!(ocean.json(Method::GET, "compute", &named).await.status, 401);
    assert_eq!(ocean.json(Method::GET, "runningjobs", &json!({})).await.status, 400);
}
