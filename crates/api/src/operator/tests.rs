use super::{
    OperatorSettings,
    world::{Answer, NOW_MS, OTHER, OWNER, RUN, World},
};
use crate::{auth::new_key, ethereum::testing::Wallet};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use cloister_model::{AuditAction, Event, Role, Timestamp};
use serde_json::{Value, json};

#[tokio::test]
async fn what_provider_sends_starts_a_job() {
    let world = World::new();
    let answer = world.post(&world.start(1, "0x2874")).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let body = answer.json();
    let [job] = body.as_array().expect("a list").as_slice() else { panic!("one job") };
    assert_eq!((&job["agreementId"], &job["owner"]), (&json!("0x2874"), &json!(OWNER)));
    assert_eq!((&job["status"], &job["statusText"], &job["results"]), (&json!(1), &json!("Warming up"), &json!("")));
    assert_eq!((&job["algoDID"], &job["inputDID"]), (&json!(world.algorithm), &json!([world.second, world.dataset])));
    assert_eq!((&job["dateCreated"], &job["dateFinished"]), (&json!("1795363289.633"), &Value::Null));
    assert!(!answer.headers.contains_key("x-cloister-unverified"));
    let state = world.memory.state();
    let (spec, _) = state.jobs.values().next().expect("a job");
    assert_eq!(spec.parameters.as_ref().expect("parameters").expose(), &json!({"bins": 20}));
    // The container that the request names is a stranger's word; the published one counts.
    assert_eq!(spec.algorithm.container.image, "wasm");
    assert_eq!(state.events[0].actor, OWNER.to_lowercase());
}

#[tokio::test]
async fn a_job_is_seen_stopped_and_deleted_by_its_provider() {
    let world = World::new();
    let job = world.started("0x2874").await;
    let named = [("owner", OWNER), ("jobId", job.as_str())];
    let status = world.query(Method::GET, "compute", 1, &named).await;
    assert_eq!((status.status, status.json()[0]["jobId"].clone()), (StatusCode::OK, json!(job)));
    let stopped = world.query(Method::PUT, "compute", 1, &named).await.json();
    assert_eq!((&stopped[0]["stopreq"], &stopped[0]["status"]), (&json!(1), &json!(1)));
    let still = world.query(Method::DELETE, "compute", 1, &named).await.json();
    assert_eq!(still[0]["stopreq"], 1, "it is stopped first");
    world.memory.advance(&job, &[Event::Stop]);
    let ended = world.query(Method::GET, "compute", 1, &named).await.json();
    assert_eq!((&ended[0]["status"], &ended[0]["statusText"]), (&json!(7), &json!("Job stopped")));
    let deleted = world.query(Method::DELETE, "compute", 1, &named).await;
    assert_eq!((deleted.status, deleted.json()), (StatusCode::OK, json!([])));
    assert_eq!(world.query(Method::GET, "compute", 1, &named).await.json(), json!([]));
    assert_eq!(world.actions(), [AuditAction::JobAllowed, AuditAction::JobStopped, AuditAction::JobRemoved]);
}

#[tokio::test]
async fn a_failed_job_is_not_finished() {
    let world = World::new();
    let job = world.started("0x2874").await;
    world.memory.advance(&job, &[RUN[0], RUN[1], RUN[2], RUN[3], Event::Failed]);
    let body = world.query(Method::GET, "compute", 1, &[("owner", OWNER)]).await.json();
    assert_eq!((&body[0]["status"], &body[0]["reason"]), (&json!(41), &json!("as the test says")));
    assert!(body[0]["dateFinished"].is_string());
}

#[tokio::test]
async fn without_an_allowed_providers_signature_nothing_is_done_or_told() {
    let world = World::new();
    let job = world.started("0x2874").await;
    world.finish(&job, b"secret");
    let body = |change: &dyn Fn(&mut Value)| {
        let mut body = world.start(1, "0x2874");
        change(&mut body);
        body
    };
    let unlisted = world.start(2, "0x2874");
    for (name, body) in [
        ("another signer", unlisted),
        ("another owner", body(&|body| body["owner"] = json!(OTHER))),
        ("letter case", body(&|body| body["owner"] = json!(OWNER.to_lowercase()))),
        ("another nonce", body(&|body| body["nonce"] = json!(world.nonce()))),
        ("no nonce in the text", body(&|body| body["providerSignature"] = json!(Wallet::new(1).sign_hashed(OWNER)))),
    ] {
        let answer = world.post(&body).await;
        assert_eq!(answer.status, 401, "{name}");
        assert!(answer.error().starts_with("Invalid signature"), "{name}: not that the agreement is in use");
    }
    for (method, path) in
        [(Method::GET, "compute"), (Method::PUT, "compute"), (Method::DELETE, "compute"), (Method::GET, "getResult")]
    {
        let known = world.query(method.clone(), path, 2, &[("owner", OWNER), ("jobId", &job), ("index", "0")]).await;
        let unknown =
            world.query(method.clone(), path, 2, &[("owner", OTHER), ("jobId", &"0".repeat(32)), ("index", "0")]).await;
        assert_eq!(
            (known.status, unknown.status),
            (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED),
            "{method} {path}"
        );
        assert_eq!(known.body, unknown.body, "{method} {path}: both are the signer's address and nothing else");
    }
    assert_eq!(world.memory.state().jobs.len(), 1);
    assert_eq!(world.actions(), [AuditAction::JobAllowed]);
}

#[tokio::test]
async fn a_signature_counts_once_and_soon() {
    let world = World::new();
    let body = world.start(1, "0x1");
    assert_eq!(world.post(&body).await.status, 200);
    let again = world.post(&body).await;
    assert_eq!((again.status, again.error().contains("used before")), (StatusCode::UNAUTHORIZED, true));
    // The same signed text is good for one request of any kind.
    let nonce = body["nonce"].to_string();
    let uri = format!(
        "/api/v1/operator/compute?owner={OWNER}&nonce={nonce}&providerSignature={}",
        body["providerSignature"].as_str().expect("a signature")
    );
    let status = world.send(Request::get(uri).body(Body::empty()).expect("a request")).await;
    assert_eq!(status.status, 401);
    for nonce in [NOW_MS - 300_001, NOW_MS + 30_001] {
        let mut body = world.start(1, "0x2");
        body["nonce"] = json!(nonce);
        body["providerSignature"] = json!(Wallet::new(1).sign_hashed(&format!("{OWNER}{nonce}")));
        let answer = world.post(&body).await;
        assert_eq!(answer.status, 401, "{nonce}");
        assert!(answer.error().starts_with("Invalid nonce"), "{}", answer.error());
    }
    // Two that cross on the way are both good: a lower nonce is only used up by itself.
    let (first, second) = (world.start(1, "0x3"), world.start(1, "0x4"));
    assert_eq!(world.post(&second).await.status, 200);
    assert_eq!(world.post(&first).await.status, 200);
}

/// Whom this service knows by a key or a token of its own is nobody that a Provider can be.
#[tokio::test]
async fn a_provider_speaks_for_ethereum_accounts_only() {
    let world = World::new();
    // The last two: what was signed, cut elsewhere.
    for owner in ["alice", "oidc:alice", "0x1", &OWNER[..41], &format!("{OWNER}1")] {
        let mut body = world.start(1, "0x1");
        let nonce = body["nonce"].to_string();
        body["owner"] = json!(owner);
        body["providerSignature"] = json!(Wallet::new(1).sign_hashed(&format!("{owner}{nonce}")));
        let answer = world.post(&body).await;
        assert_eq!((answer.status, answer.error().contains("Ethereum")), (StatusCode::BAD_REQUEST, true), "{owner}");
        assert_eq!(world.query(Method::GET, "compute", 1, &[("owner", owner)]).await.status, 400, "{owner}");
    }
    assert!(world.memory.state().jobs.is_empty());
}

#[tokio::test]
async fn one_that_comes_twice_at_once_counts_once() {
    let world = World::new();
    let body = world.start(1, "0x1");
    let answers = futures_util::future::join_all((0..8).map(|_| world.post(&body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(world.memory.state().jobs.len(), 1);
}

#[tokio::test]
async fn an_agreement_has_one_unfinished_job_even_if_starts_race() {
    let world = World::new();
    let bodies: Vec<Value> = (0..8).map(|_| world.start(1, "0x2874")).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| world.post(body))).await;
    let taken: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(taken.len(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        let text = "`agreementId` already in use for other job.";
        assert_eq!((refused.status, refused.error().as_str()), (StatusCode::BAD_REQUEST, text));
    }
    let job = taken[0].json()[0]["jobId"].as_str().expect("a job").to_owned();
    world.memory.advance(&job, &[Event::Stop]);
    world.started("0x2874").await;
}

#[tokio::test]
async fn providers_see_their_own_jobs_only() {
    let providers = [1, 2].map(|key| Wallet::new(key).address().account()).into();
    let world = World::with(OperatorSettings { providers, ..Default::default() });
    let job = world.started("0x2874").await;
    world.finish(&job, b"result");
    let named = [("owner", OWNER), ("jobId", job.as_str()), ("index", "0")];
    assert_eq!(world.query(Method::GET, "compute", 2, &named).await.json(), json!([]));
    assert_eq!(world.query(Method::DELETE, "compute", 2, &named).await.json(), json!([]));
    let result = world.query(Method::GET, "getResult", 2, &named).await;
    assert_eq!(
        (result.status, result.error()),
        (StatusCode::NOT_FOUND, format!("Owner {OWNER} mismatch for job {job}"))
    );
    assert_eq!(world.query(Method::GET, "getResult", 1, &named).await.status, 200);
    // Nor can one take the agreements of another.
    assert_eq!(world.post(&world.start(2, "0x2874")).await.status, 200);
}

#[tokio::test]
async fn jobs_are_found_by_owner_agreement_job_and_dataset() {
    let world = World::new();
    let (one, two) = (world.started("0x11").await, world.started("0x22").await);
    let found = async |fields: &[(&str, &str)]| {
        let body = world.query(Method::GET, "compute", 1, fields).await.json();
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
    assert_eq!(found(&[("owner", OWNER), ("documentId", &world.dataset)]).await, both);
    assert_eq!(found(&[("owner", OWNER), ("documentId", "did:op:other")]).await, none);
    assert_eq!(found(&[("owner", OWNER), ("agreementId", "0x11")]).await, [one.as_str()]);
    assert_eq!(found(&[("owner", OWNER), ("jobId", &two)]).await, [two.as_str()]);
    assert_eq!(found(&[("owner", OWNER), ("agreementId", "0x11"), ("jobId", &two)]).await, none);
    assert_eq!(found(&[("jobId", &one)]).await, [one]);
    assert_eq!(found(&[("owner", OTHER)]).await, none);
    assert_eq!(found(&[("owner", OTHER), ("jobId", &two)]).await, none);
    assert_eq!(found(&[("owner", OWNER), ("jobId", "../../etc")]).await, none);
    let nothing = world.query(Method::GET, "compute", 1, &[("owner", "x")]).await;
    assert_eq!(nothing.error(), "You have to specify one of agreementId, jobId or owner");
    let all = world.query(Method::DELETE, "compute", 1, &[("owner", OWNER)]).await;
    assert_eq!(all.status, 400, "nobody deletes everything by leaving something out");
    let stopped = world.query(Method::PUT, "compute", 1, &[("owner", OWNER)]).await.json();
    assert!(stopped.as_array().expect("a list").iter().all(|job| job["stopreq"] == 1));
}

#[tokio::test]
async fn results_are_given_in_whole_and_in_parts() {
    let world = World::new();
    let job = world.started("0x2874").await;
    let ask = async |index: &str| {
        world.query(Method::GET, "getResult", 1, &[("owner", OWNER), ("jobId", &job), ("index", index)]).await
    };
    assert_eq!(ask("0").await.status, 404, "not yet");
    world.finish(&job, b"0123456789");
    let status = world.query(Method::GET, "compute", 1, &[("owner", OWNER)]).await.json();
    assert_eq!(status[0]["results"], json!([{"filename": "a b/result.csv", "filesize": 10, "type": "output"}]));
    let whole = ask("0").await;
    assert_eq!((whole.status, whole.body.as_slice()), (StatusCode::OK, b"0123456789".as_slice()));
    assert_eq!(whole.headers[header::CONTENT_LENGTH], "10");
    assert_eq!(whole.headers[header::CONTENT_DISPOSITION], "attachment;filename=result.csv");
    assert!(whole.headers.contains_key(header::ETAG));
    let nonce = world.nonce();
    let signature = Wallet::new(1).sign_hashed(&format!("{OWNER}{job}{nonce}"));
    let uri = format!(
        "/api/v1/operator/getResult?owner={OWNER}&jobId={job}&index=0&nonce={nonce}&providerSignature={signature}"
    );
    let part = Request::get(uri).header(header::RANGE, "bytes=2-4").body(Body::empty()).expect("a request");
    let part = world.send(part).await;
    assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, b"234".as_slice()));
    assert_eq!(part.headers[header::CONTENT_RANGE], "bytes 2-4/10");
    assert_eq!(ask("1").await.error(), "No such index 1 in this compute job");
    assert_eq!(ask("-1").await.error(), "Negative index -1");
    assert_eq!(
        (ask("x").await.status, ask("4294967296").await.status),
        (StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND)
    );
    let other = world.query(Method::GET, "getResult", 1, &[("owner", OTHER), ("jobId", &job), ("index", "0")]).await;
    assert_eq!(other.error(), format!("Owner {OTHER} mismatch for job {job}"));
    let unknown = "0".repeat(32);
    let unknown =
        world.query(Method::GET, "getResult", 1, &[("owner", OTHER), ("jobId", &unknown), ("index", "0")]).await;
    assert_eq!(unknown.error(), format!("Owner {OTHER} mismatch for job {}", "0".repeat(32)));
    let downloads = world.actions().iter().filter(|action| **action == AuditAction::ResultDownloaded).count();
    assert_eq!(downloads, 2);
}

#[tokio::test]
async fn a_request_that_is_not_right_is_told_what_ocean_tells() {
    let world = World::new();
    let without = |name: &str| {
        let mut body = world.start(1, "0x1");
        body.as_object_mut().expect("an object").remove(name);
        body
    };
    for name in ["workflow", "agreementId", "owner", "providerSignature", "environment", "nonce"] {
        let error = world.post(&without(name)).await.error();
        assert_eq!(error, format!("\"{name}\" is required in the call to POST:/compute"));
    }
    let changed = |pointer: &str, value: Value| {
        let mut body = world.start(1, "0x1");
        *body.pointer_mut(pointer).expect("a field") = value;
        body
    };
    let stage = world.start(1, "0x1")["workflow"]["stages"][0].clone();
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
        let answer = world.post(&changed(pointer, value)).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, expected), "{pointer}");
    }
    let recovered = world.post(&changed("/providerSignature", json!("0x12"))).await;
    assert!(recovered.status == 400 && recovered.error().starts_with("Failed to recover address"));
    assert_eq!(world.post(&json!({})).await.error(), "payload seems empty.");
    let unknown = world.post(&changed("/workflow/stages/0/input/0/id", json!("did:op:other"))).await;
    assert!(unknown.status == 400 && unknown.error().contains("stages[0].input[0]"), "{}", unknown.error());
    assert!(world.memory.state().jobs.is_empty());
}

#[tokio::test]
async fn a_container_that_is_no_interpreter_here_is_refused_with_a_reason() {
    let world = World::new();
    let with = |image: &str| {
        let mut body = world.start(1, "0x1");
        let container = json!({"image": image, "tag": "3", "entrypoint": "python3 $ALGO", "checksum": "sha256:1f"});
        body["workflow"]["stages"][0]["algorithm"] = json!({"id": "", "rawcode": "print(1)", "container": container});
        body
    };
    let refused = world.post(&with("ghcr.io/acme/stats")).await;
    assert_eq!(refused.status, 400);
    let reason = cloister_model::DenialRule::EnvironmentRuntime;
    assert!(refused.error().starts_with("The job may not run"), "{}", refused.error());
    assert!(refused.error().contains(reason.describe()) && refused.error().contains(reason.advice()));
    assert!(refused.error().ends_with("images that run here: wasm, python"), "{}", refused.error());
    let taken = world.post(&with("python")).await;
    assert_eq!((taken.status, &taken.json()[0]["algoDID"]), (StatusCode::OK, &json!("")));
}

#[tokio::test]
async fn operators_see_everything_and_others_nothing() {
    let world = World::new();
    let job = world.started("0x2874").await;
    let key = |role| {
        let made = new_key("ops".parse().expect("an account"), role, String::new(), None, Timestamp::from_unix_ms(1));
        let made = made.expect("a key");
        world.memory.state().keys.insert(made.stored.id.to_string(), made.stored.clone());
        made.token.expose().clone()
    };
    let (operator, publisher) = (key(Role::Operator), key(Role::Publisher));
    let ask = async |path: &str, header: Option<(&str, String)>| {
        let method = if path == "pgsqlinit" { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(format!("/api/v1/operator/{path}"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        world.send(request.body(Body::empty()).expect("a request")).await
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
    assert_eq!((&running[0]["jobId"], &running[0]["namespace"]), (&json!(job), &json!("ocean-compute")));
    assert!(running[0].get("results").is_none());
    assert_eq!(ask("list", right()).await.json(), json!([job]));
    assert_eq!(ask(&format!("info?jobId={job}"), right()).await.json()["jobId"], json!(job));
    assert_eq!(ask(&format!("info?jobId={}", "0".repeat(32)), right()).await.status, 404);
    assert_eq!(ask(&format!("logs?jobId={job}"), right()).await.body, b"a line\n");
}

#[tokio::test]
async fn discovery_and_environments_are_open() {
    let world = World::new();
    let get = |uri: &str| Request::get(uri).body(Body::empty()).expect("a request");
    let discovery = world.send(get("/")).await.json();
    assert_eq!((&discovery["software"], &discovery["algoTimeLimit"]), (&json!("Operator service"), &json!("3600")));
    for uri in ["/api/v1/operator/environments", "/api/v1/operator/environments?chainId=8996"] {
        assert_eq!(world.send(get(uri)).await.json()[0]["id"], "ocean-compute");
    }
    for uri in ["/spec", "/api/v1/operator/spec"] {
        assert!(world.send(get(uri)).await.json()["paths"]["/api/v1/operator/compute"]["put"].is_object());
    }
}

/// What Ocean's own suite does (`test_functional.py`): signatures that no rule verifies, a null agreement, an algorithm that
/// is named and sent at once, bodies with `GET`.
#[tokio::test]
async fn old_clients_are_taken_from_this_machine_if_the_operator_says_so() {
    let world = World::legacy();
    let here = Some("127.0.0.1");
    let nonce = "1795363289.633593";
    let signature = Wallet::new(9).sign_hashed(&format!("{}did{nonce}", Wallet::new(9).address()));
    let mut body = world.start(1, "0x0");
    let algorithm = json!({"id": world.algorithm, "rawcode": "console.log('this is a test')", "url": "https://x.example/algo.js",
        "container": {"entrypoint": "node $ALGO", "image": "node", "tag": "10"}});
    body["workflow"]["stages"][0]["algorithm"] = algorithm;
    body["workflow"]["stages"][0]["input"] =
        json!([{"id": world.dataset, "index": 0, "url": ["https://x.example/data.csv"]}]);
    (body["agreementId"], body["nonce"], body["providerSignature"]) = (Value::Null, json!(nonce), json!(signature));
    let started = world.json(Method::POST, "compute", &body, here).await;
    assert_eq!(started.status, 200, "{}", String::from_utf8_lossy(&started.body));
    assert_eq!(started.headers["x-cloister-unverified"], "true");
    let job = started.json()[0].clone();
    assert_eq!(
        (&job["agreementId"], &job["owner"], &job["statusText"]),
        (&json!("None"), &json!(OWNER), &json!("Warming up"))
    );
    assert_eq!((&job["algoDID"], &job["inputDID"]), (&json!(world.algorithm), &json!([world.dataset])));

    let named = json!({"agreementId": "None", "owner": OWNER, "jobId": job["jobId"], "nonce": nonce, "providerSignature": signature});
    assert_eq!(world.json(Method::GET, "compute", &named, here).await.json().as_array().map(Vec::len), Some(1));
    let running = world.json(Method::GET, "runningjobs", &json!({}), here).await;
    assert_eq!(
        (running.json().as_array().map(Vec::len), &running.headers["x-cloister-unverified"]),
        (Some(1), &"true".parse().expect("a value"))
    );
    let stop = json!({"owner": OWNER, "jobId": job["jobId"], "nonce": nonce, "providerSignature": signature});
    assert_eq!(world.json(Method::PUT, "compute", &stop, here).await.json()[0]["stopreq"], 1);
    assert_eq!(world.json(Method::DELETE, "compute", &named, here).await.status, 200);

    // Not from elsewhere, and not where the operator did not say so.
    for (world, from) in [(&world, Some("192.0.2.1")), (&world, None), (&World::new(), here)] {
        assert_eq!(world.json(Method::GET, "compute", &named, from).await.status, 401, "{from:?}");
        assert_eq!(world.json(Method::GET, "runningjobs", &json!({}), from).await.status, 400, "{from:?}");
    }
}
