//! Every route, requested without a key, by a stranger, and by the account that it is for.
//!
//! The routes are read from `/openapi.json`, so that a new one without a row here fails.

use crate::scenario::Scenario;
use cloister_model::Phase;
use cloister_tests::service::{Answer, ENDLESS, Request, Setup, Who, manifest, text, writing};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    /// Everybody, known or not.
    Everyone,
    /// Everybody known: each sees or makes their own.
    Known,
    /// The account that the object belongs to. For every other account the object does not exist.
    Alice,
    Bob,
    Carol,
    /// Publishers, each with what is the publisher's own. Consumers get 403.
    Publishers,
    /// Operators. Other accounts get 403.
    Operator,
}

use For::{Alice, Bob, Carol, Everyone, Known, Operator, Publishers};

/// What is there for the rows to be about.
struct Scene {
    scenario: Scenario,
    dataset: String,
    algorithm: String,
    finished: String,
    in_review: String,
    silent: String,
    running: String,
    removable: String,
    key: String,
    upload: String,
}

impl Scene {
    fn new() -> Self {
        let scenario = Scenario::with(Setup::new().set("audit.keep", "0s"));
        let Scenario { service, alice, bob, carol, .. } = &scenario;
        let allow = |names: &[&str]| json!({"allow": [{"type": "address", "values": names}]});
        let open = service.open_dataset(alice, "open");
        let sha256 = service.upload(bob, &wat::parse_str(writing(&[("a", "b")])).expect("a WAT text"));
        let files = json!([{"type": "upload", "sha256": sha256}]);
        let algorithm = service.publish_algorithm(
            bob,
            "theirs",
            &json!({"services": [{"id": "open", "type": "access", "files": files}], "credentials": allow(&["alice", "carol"])}),
        );
        let inline = json!([{"type": "inline", "content": "x"}]);
        let dataset = service.publish_dataset(
            alice,
            "hers",
            &json!({
                "services": [
                    {"id": "open", "type": "access", "files": inline},
                    {"id": "closed", "type": "compute", "files": inline,
                     "compute": {"allowRawAlgorithm": true, "outputContract": {"review": true}}}
                ],
                "credentials": allow(&["carol"])
            }),
        );
        let program = writing(&[("a", "b")]);
        let finished = service.finish(carol, &scenario.raw_job(&open, &program));
        let removable = service.finish(carol, &scenario.raw_job(&open, &program));
        let in_review = text(&service.submit(carol, &scenario.raw_job(&dataset, &program)), "id");
        let _ = service.job_in(carol, &in_review, Phase::InReview);
        let quiet = scenario.dataset_with_contract("quiet", &json!({"maxLogBytes": 0}));
        let silent = service.finish(carol, &scenario.raw_job(&quiet, &program));
        let running = text(&service.submit(carol, &scenario.raw_job(&open, ENDLESS)), "id");
        let _ = service.job_in(carol, &running, Phase::Running);
        let key = service.account("carol", "consumer").id;
        let upload = service.upload(carol, b"hers alone");
        Self { scenario, dataset, algorithm, finished, in_review, silent, running, removable, key, upload }
    }

    fn who(&self, right: For) -> &Who {
        match right {
            Alice | Publishers => &self.scenario.alice,
            Bob => &self.scenario.bob,
            Operator => &self.scenario.service.operator,
            Everyone | Known | Carol => &self.scenario.carol,
        }
    }
}

/// A route, whom it is for, what it answers them, and what is sent.
type Row = (&'static str, &'static str, For, u16, fn(&Scene) -> Value);

fn nothing(_: &Scene) -> Value {
    Value::Null
}

fn a_job(scene: &Scene) -> Value {
    let program = scene.scenario.service.raw(&scene.scenario.carol, &writing(&[]));
    json!({"datasets": [scene.dataset], "algorithm": program})
}

fn an_algorithm(scene: &Scene) -> Value {
    let Scenario { service, alice, .. } = &scene.scenario;
    service.inspected(alice, &scene.algorithm, &json!(scene.algorithm))
}

/// The first record of the log, as if it had been archived.
fn an_archive(scene: &Scene) -> Value {
    let service = &scene.scenario.service;
    let first = service.get(&service.operator, "/v1/audit?limit=1").expect_json(200)["items"][0].clone();
    json!({"through": first["sequence"], "hash": first["hash"]})
}

fn a_dataset(_: &Scene) -> Value {
    manifest("Dataset", "new", &json!({"files": [{"type": "inline", "content": "x"}]}))
}

fn a_program(_: &Scene) -> Value {
    manifest("Algorithm", "new", &json!({"files": [{"type": "inline", "content": "x"}]}))
}

/// In the order in which whom they are for ask: what takes something away comes last.
const ROWS: &[Row] = &[
    ("get", "/healthz", Everyone, 200, nothing),
    ("get", "/readyz", Everyone, 200, nothing),
    ("get", "/v1/receipt-key", Everyone, 200, nothing),
    ("get", "/v1/sign-in", Everyone, 200, nothing),
    ("get", "/v1/whoami", Known, 200, nothing),
    ("get", "/v1/environments", Known, 200, nothing),
    ("get", "/v1/jobs", Known, 200, nothing),
    ("get", "/v1/reviews", Known, 200, nothing),
    ("get", "/v1/datasets", Known, 200, nothing),
    ("get", "/v1/algorithms", Known, 200, nothing),
    ("get", "/v1/keys", Known, 200, nothing),
    ("post", "/v1/keys", Known, 201, |_| json!({})),
    ("post", "/v1/uploads", Known, 201, nothing),
    ("get", "/v1/uploads", Known, 200, nothing),
    ("get", "/v1/audit", Publishers, 200, nothing),
    ("post", "/v1/audit/archive", Operator, 204, an_archive),
    ("get", "/metrics", Operator, 200, nothing),
    ("post", "/v1/datasets", Alice, 201, a_dataset),
    ("post", "/v1/algorithms", Alice, 201, a_program),
    ("get", "/v1/datasets/{did}", Alice, 200, nothing),
    ("get", "/v1/datasets/{did}/files/{n}", Carol, 200, nothing),
    ("get", "/v1/datasets/{did}/permissions", Alice, 200, nothing),
    (
        "put",
        "/v1/datasets/{did}/permissions",
        Alice,
        200,
        |_| json!({"allowRawAlgorithm": true, "outputContract": {"review": true}}),
    ),
    ("get", "/v1/algorithms/{did}", Carol, 200, nothing),
    ("get", "/v1/algorithms/{did}/files/{n}", Carol, 200, nothing),
    ("post", "/v1/datasets/{did}/check", Alice, 200, nothing),
    ("get", "/v1/datasets/{did}/check", Alice, 200, nothing),
    ("post", "/v1/datasets/{did}/allow", Alice, 200, an_algorithm),
    ("delete", "/v1/datasets/{did}/allow/{algorithm}", Alice, 204, nothing),
    ("post", "/v1/explain", Carol, 200, a_job),
    ("post", "/v1/jobs", Carol, 201, a_job),
    ("get", "/v1/jobs/{id}", Carol, 200, nothing),
    ("get", "/v1/jobs/{id}/parameters", Carol, 200, nothing),
    ("get", "/v1/jobs/{id}/events", Carol, 200, nothing),
    ("get", "/v1/jobs/{id}/explain", Carol, 200, nothing),
    ("get", "/v1/jobs/{id}/log", Carol, 200, nothing),
    ("get", "/v1/jobs/{id}/withheld-log", Alice, 200, nothing),
    ("post", "/v1/jobs/{id}/withheld-log/release", Alice, 200, nothing),
    ("get", "/v1/jobs/{id}/report", Carol, 200, nothing),
    ("get", "/v1/jobs/{id}/receipt", Carol, 200, nothing),
    ("get", "/v1/jobs/{id}/results", Carol, 200, nothing),
    ("get", "/v1/jobs/{id}/results/{index}", Carol, 200, nothing),
    ("get", "/v1/jobs/{id}/review", Alice, 200, nothing),
    ("get", "/v1/jobs/{id}/review/{index}", Alice, 200, nothing),
    ("post", "/v1/jobs/{id}/review", Alice, 200, |_| json!({"verdict": "approve"})),
    // Its results are stored: she is told so, and a stranger is not.
    ("post", "/v1/jobs/{id}/publish", Carol, 409, nothing),
    ("post", "/v1/jobs/{id}/stop", Carol, 202, nothing),
    ("delete", "/v1/uploads/{sha256}", Carol, 204, nothing),
    ("delete", "/v1/jobs/{id}", Carol, 204, nothing),
    ("delete", "/v1/keys/{id}", Carol, 204, nothing),
    ("delete", "/v1/datasets/{did}", Alice, 204, nothing),
    ("delete", "/v1/algorithms/{did}", Bob, 204, nothing),
];

/// The path of a row: about what is there, or about what is not.
fn path(scene: &Scene, (method, template, ..): &Row, exists: bool) -> String {
    let job = match (*method, *template) {
        _ if !exists => "0123456789abcdef0123456789abcdef",
        (_, template) if template.contains("/review") => &scene.in_review,
        (_, template) if template.contains("/withheld-log") => &scene.silent,
        (_, "/v1/jobs/{id}/stop") => &scene.running,
        ("delete", _) => &scene.removable,
        _ => &scene.finished,
    };
    let id = match *template {
        "/v1/keys/{id}" if exists => &scene.key,
        "/v1/keys/{id}" => "0123456789abcdef",
        _ => job,
    };
    let missing = format!("did:op:{}", "0".repeat(64));
    let did = match *template {
        _ if !exists => &missing,
        template if template.starts_with("/v1/algorithms") => &scene.algorithm,
        _ => &scene.dataset,
    };
    let upload = if exists { scene.upload.clone() } else { "0".repeat(64) };
    let path = template
        .replace("{sha256}", &upload)
        .replace("{id}", id)
        .replace("{did}", did)
        .replace("{algorithm}", &scene.algorithm);
    path.replace("{n}", "0").replace("{index}", "0")
}

fn request(scene: &Scene, row: &Row, exists: bool) -> Request {
    let (method, template, .., body) = row;
    let request = scene.scenario.service.request(&method.to_uppercase(), &path(scene, row, exists));
    if (*method, *template) == ("post", "/v1/uploads") {
        return request.bytes("application/octet-stream", "bytes");
    }
    let mut body = body(scene);
    if !exists && body.get("datasets").is_some() {
        body["datasets"] = json!([format!("did:op:{}", "0".repeat(64))]);
    }
    if body.is_null() { request } else { request.json(&body) }
}

/// All of an answer that does not differ from one request to the next.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let passing = ["date", "x-request-id"];
    let headers = answer.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
    (answer.status, headers.filter(|(name, _)| !passing.contains(&name.as_str())).collect(), answer.text())
}

#[test]
fn every_route_answers_only_the_accounts_it_is_for() {
    let scene = Scene::new();
    let service = &scene.scenario.service;
    let openapi = service.request("GET", "/openapi.json").send().expect_json(200);
    let described: BTreeSet<(String, String)> = openapi["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().expect("operations").keys().map(move |method| (method.clone(), path.clone()))
        })
        .filter(|(method, _)| ["get", "put", "post", "delete", "patch"].contains(&method.as_str()))
        .collect();
    let rows: BTreeSet<(String, String)> =
        ROWS.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    let missing: Vec<_> = described.difference(&rows).collect();
    assert!(missing.is_empty(), "no row says whom these are for: {missing:?}");
    let gone: Vec<_> = rows.difference(&described).collect();
    assert!(gone.is_empty(), "these are described nowhere: {gone:?}");

    // No key, and a key that does not exist.
    let mut forged = scene.scenario.carol.clone();
    // The last character would not do: some bits of it count for nothing.
    let secret = forged.key.len() - 43;
    let first = if forged.key[secret..].starts_with('A') { "B" } else { "A" };
    forged.key.replace_range(secret..=secret, first);
    for row @ (method, template, right, ..) in ROWS {
        let without_key = request(&scene, row, true).send();
        if *right == Everyone {
            assert_eq!(without_key.status, 200, "{method} {template}: {}", without_key.shown());
            continue;
        }
        without_key.problem(401);
        assert!(without_key.header("www-authenticate").is_some(), "{method} {template}");
        let of_nothing = request(&scene, row, false).send();
        assert_eq!(told(&without_key), told(&of_nothing), "{method} {template} does not tell what exists");
        request(&scene, row, true).by(&forged).send().problem(401);
    }

    // A stranger learns nothing: what is there and what is not look alike, to the letter.
    for row @ (method, template, right, ..) in ROWS {
        let what = format!("{method} {template}");
        let stranger = request(&scene, row, true).by(&scene.scenario.mallory).send();
        match right {
            Everyone | Known => assert!(stranger.status < 300, "{what}: {}", stranger.shown()),
            Operator => drop(stranger.problem(403)),
            Publishers => {
                assert_eq!(stranger.status, 200, "{what}: {}", stranger.shown());
                request(&scene, row, true).by(&scene.scenario.carol).send().problem(403);
            }
            Alice if *method == "post" && matches!(*template, "/v1/datasets" | "/v1/algorithms") => {
                assert_eq!(stranger.status, 201, "publishing is for every publisher: {}", stranger.shown());
                let consumer = request(&scene, row, true).by(&scene.scenario.carol).send();
                consumer.problem(403);
            }
            Alice | Bob | Carol => {
                stranger.problem(404);
                let of_nothing = request(&scene, row, false).by(&scene.scenario.mallory).send();
                assert_eq!(told(&stranger), told(&of_nothing), "{what} tells a stranger what exists");
            }
        }
    }

    // And nothing that strangers did had any effect: whom they are for find all of it.
    for row @ (method, template, right, wanted, _) in ROWS {
        let answer = request(&scene, row, true).by(scene.who(*right)).send();
        assert_eq!(answer.status, *wanted, "{method} {template} for {right:?}: {}", answer.shown());
    }
}

/// Lists are one's own: what others have is not counted, either.
#[test]
fn lists_hold_nothing_of_other_accounts() {
    let scene = Scene::new();
    let service = &scene.scenario.service;
    let list = |who: &Who, target: &str| service.get(who, target).expect(200).text();
    for target in [
        "/v1/jobs?limit=100",
        "/v1/datasets?limit=100",
        "/v1/algorithms?limit=100",
        "/v1/keys",
        "/v1/uploads",
        "/v1/reviews",
        "/v1/audit?limit=1000",
    ] {
        let told = list(&scene.scenario.mallory, target);
        let theirs = [&scene.dataset, &scene.algorithm, &scene.finished, &scene.in_review, &scene.running, &scene.key];
        for theirs in theirs.into_iter().chain([&scene.upload]) {
            assert!(!told.contains(theirs.as_str()), "{target}: {told}");
        }
    }
    for query in ["owner=carol", "account=carol"] {
        let target = if query.starts_with("owner") { "/v1/jobs" } else { "/v1/keys" };
        service.get(&scene.scenario.mallory, &format!("{target}?{query}")).problem(403);
    }
    let hers = list(&scene.scenario.carol, "/v1/jobs?limit=100");
    assert!(hers.contains(&scene.finished) && hers.contains(&scene.running));
    assert!(list(&service.operator, "/v1/jobs?limit=100").contains(&scene.finished));
    assert!(list(&service.operator, "/v1/keys").contains(&scene.key));
}

/// Every client that reaches the service can read these, and the metrics if the operator says so. They name no account, job or
/// asset.
#[test]
fn open_routes_name_no_account_job_or_asset() {
    let scene = Scene::new();
    for target in ["/metrics", "/healthz", "/readyz", "/v1/receipt-key", "/v1/sign-in", "/"] {
        let told = scene.scenario.service.get(&scene.scenario.service.operator, target).text();
        for theirs in ["carol", "alice", &scene.dataset[7..], &scene.finished, &scene.key] {
            assert!(!told.contains(theirs), "{target}: {told}");
        }
    }
}

/// Metrics tell how busy the service is and how decisions fall: strangers get them only if the operator says so.
#[test]
fn metrics_are_for_operators_unless_the_setting_says_otherwise() {
    for (setting, stranger, consumer, operator) in [
        (None, 401, 403, 200),
        (Some("operators"), 401, 403, 200),
        (Some("everyone"), 200, 200, 200),
        (Some("no-one"), 404, 404, 404),
    ] {
        let setup = Setup::new();
        let setup = setting.into_iter().fold(setup, |setup, value| setup.set("http.metrics", value));
        let scenario = Scenario::with(setup);
        let Scenario { service, carol, .. } = &scenario;
        let found = [
            service.request("GET", "/metrics").send().status,
            service.get(carol, "/metrics").status,
            service.get(&service.operator, "/metrics").status,
        ];
        assert_eq!(found, [stranger, consumer, operator], "{setting:?}");
    }
}

#[test]
fn a_key_has_no_more_rights_than_its_maker_and_ends_when_revoked() {
    let scenario = Scenario::new();
    let service = &scenario.service;
    let keys = |who: &Who, body: &Value| service.post(who, "/v1/keys", body);
    let mine = keys(&scenario.alice, &json!({"role": "consumer", "label": "laptop"})).expect_json(201);
    let lesser = Who { account: "alice".to_owned(), id: text(&mine, "id"), key: text(&mine, "key") };
    assert_eq!(service.get(&lesser, "/v1/whoami").expect_json(200)["role"], "consumer");
    service.post(&lesser, "/v1/datasets", &a_dataset_manifest()).problem(403);
    for (who, body) in [
        (&scenario.carol, json!({"role": "publisher"})),
        (&lesser, json!({"role": "publisher"})),
        (&scenario.alice, json!({"role": "operator"})),
        (&scenario.alice, json!({"account": "carol"})),
    ] {
        keys(who, &body).problem(403);
    }
    // The list shows no key, only whose and which.
    let listed = service.get(&scenario.alice, "/v1/keys").expect(200).text();
    // A secret may hold `_`, so it is what follows the public part and not what follows the last `_`.
    let secret =
        lesser.key.strip_prefix(&format!("clk_{}_", lesser.id)).expect("a key is its public part and a secret");
    assert!(listed.contains(&lesser.id) && !listed.contains(secret));
    service.delete(&scenario.carol, &format!("/v1/keys/{}", lesser.id)).problem(404);
    let _ = service.delete(&scenario.alice, &format!("/v1/keys/{}", lesser.id)).expect(204);
    service.get(&lesser, "/v1/whoami").problem(401);
    let short = keys(&scenario.alice, &json!({"expires": "2020-01-01T00:00:00Z"}));
    short.problem(422);
    for name in ["Basic abc", "Bearer", "Bearer clk_", "Ethereum address=0x0", "bearer  "] {
        let answer = service.request("GET", "/v1/whoami").header("Authorization", name).send();
        answer.problem(401);
    }
}

#[test]
fn an_author_publishes_algorithms_and_no_datasets_and_a_consumer_neither() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let author = service.account("dora", "author");
    assert_eq!(service.get(&author, "/v1/whoami").expect_json(200)["role"], "author");
    let files = json!({"files": [{"type": "inline", "content": "print(1)"}]});
    let algorithm = manifest("Algorithm", "mine", &files);
    service.post(carol, "/v1/algorithms", &algorithm).problem(403);
    let published = service.post(&author, "/v1/algorithms", &algorithm).expect_json(201);
    // Neither at its own place, nor where algorithms are published, nor over an algorithm of the same name.
    for (path, status) in [("/v1/datasets", 403), ("/v1/algorithms", 422)] {
        service.post(&author, path, &a_dataset_manifest()).problem(status);
        service.post(carol, path, &a_dataset_manifest()).problem(403);
    }
    assert_eq!(service.get(&author, "/v1/datasets").expect_json(200)["items"], json!([]));
    // An author changes what it owns, and nothing of others.
    let did = text(&published, "did");
    let changed = manifest("Algorithm", "mine", &json!({"files": [{"type": "inline", "content": "print(2)"}]}));
    assert_eq!(service.post(&author, "/v1/algorithms", &changed).expect_json(200)["revision"], 2);
    let penguins = scenario.penguins();
    let allow = json!({"allowRawAlgorithm": true});
    service.put(&author, &format!("/v1/datasets/{penguins}/permissions"), &allow).problem(404);
    // A key has at most the role of its maker, and a publisher is an author, too.
    service.post(&author, "/v1/keys", &json!({"role": "publisher"})).problem(403);
    let lesser = service.post(alice, "/v1/keys", &json!({"role": "author"})).expect_json(201);
    let lesser = Who { account: "alice".to_owned(), id: text(&lesser, "id"), key: text(&lesser, "key") };
    service.post(&lesser, "/v1/datasets", &a_dataset_manifest()).problem(403);
    let _ = service.post(&lesser, "/v1/algorithms", &algorithm).expect_json(201);
    let _ = service.delete(&author, &format!("/v1/algorithms/{did}")).expect(204);
}

fn a_dataset_manifest() -> Value {
    manifest("Dataset", "x", &json!({"files": [{"type": "inline", "content": "x"}]}))
}
