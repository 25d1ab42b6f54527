//! The rights that `deploy/kubernetes` gives, and what nobody may do: the programs work with them, and with no more.

use crate::{
    archive,
    cluster::{Room, options},
    controller::{Installation, event},
    installed::{install, kubeconfig_as, manifests},
    program::Program,
};
use cloister_k8s_engine::{
    ACCOUNT, Cluster, ClusterStore, NotPublished, Publish, Publishing, StoreOptions, Withdrawing,
    publish_what_is_applied,
    resources::{ComputeJob, ComputeJobStatus},
};
use cloister_model::{
    Account, AssetKind, AssetName, AuditAction, AuditLog as _, Claim, Claims as _, Jobs as _, Keyring as _, LastCheck,
    Manifest, Outputs as _, Phase, Registry as _, Timestamp,
};
use k8s_openapi::api::{
    authorization::v1::{
        ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
        SelfSubjectRulesReviewSpec,
    },
    core::v1::{Namespace, Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

pub(crate) const API: &str = "cloister-api";
pub(crate) const ENGINE: &str = "cloister-engine";

/// What is in namespaces and could be worth reaching, as `group/resource` or `group/resource/subresource`.
pub(crate) const NAMESPACED: [&str; 29] = [
    "/secrets",
    "/configmaps",
    "/pods",
    "/pods/exec",
    "/pods/attach",
    "/pods/portforward",
    "/pods/ephemeralcontainers",
    "/pods/log",
    "/persistentvolumeclaims",
    "/serviceaccounts",
    "/serviceaccounts/token",
    "cloister.dev/apikeys",
    "cloister.dev/computejobs",
    "cloister.dev/computejobs/status",
    "cloister.dev/environments",
    "cloister.dev/environments/status",
    "cloister.dev/datasets",
    "cloister.dev/algorithms",
    "cloister.dev/datasets/status",
    "cloister.dev/algorithms/status",
    "cloister.dev/jobrequests",
    "cloister.dev/jobrequests/status",
    "coordination.k8s.io/leases",
    "events.k8s.io/events",
    "apps/deployments",
    "batch/jobs",
    "rbac.authorization.k8s.io/roles",
    "rbac.authorization.k8s.io/rolebindings",
    "admissionregistration.k8s.io/validatingadmissionpolicies",
];

/// The verbs of RBAC.
pub(crate) const VERBS: [&str; 8] = ["create", "get", "list", "watch", "update", "patch", "delete", "deletecollection"];

/// The cluster as an account of the installation sees it.
pub(crate) async fn cluster_as(room: &Room, account: &str) -> Cluster {
    let kubeconfig = kubeconfig_as(room, account);
    Cluster::connect(Some(kubeconfig.path()), room.cluster.namespaces().clone()).await.expect("a cluster")
}

/// Whether an account may do something; `resource` is `group/resource` or `group/resource/subresource`, and no namespace means
/// all of them.
pub(crate) async fn may(client: &Client, verb: &str, resource: &str, namespace: Option<&str>) -> bool {
    may_to(client, verb, resource, namespace, None).await
}

/// As [`may`], to the object of this name; none: to all of them.
pub(crate) async fn may_to(
    client: &Client,
    verb: &str,
    resource: &str,
    namespace: Option<&str>,
    name: Option<&str>,
) -> bool {
    let mut parts = resource.split('/').map(str::to_owned);
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: parts.next(),
                resource: parts.next(),
                subresource: parts.next(),
                verb: Some(verb.to_owned()),
                namespace: namespace.map(str::to_owned),
                name: name.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await.expect("an answer");
    answer.status.is_some_and(|status| status.allowed)
}

/// What an account may do in every namespace: the service watches assets that are applied, and says what became of them.
pub(crate) fn everywhere(account: &str, resource: &str) -> &'static [&'static str] {
    match (account, resource) {
        (API, "cloister.dev/datasets" | "cloister.dev/algorithms" | "cloister.dev/jobrequests") => {
            &["get", "list", "watch"]
        }
        (
            API,
            "cloister.dev/datasets/status" | "cloister.dev/algorithms/status" | "cloister.dev/jobrequests/status",
        ) => &["patch"],
        _ => &[],
    }
}

/// The whole way of a job with the rights of the installation: every right that is missing would show.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn the_programs_need_no_right_beyond_theirs() {
    let installation = Installation::open(10).await;
    let room = &installation.room;
    install(room, true).await;
    let folder = tempfile::tempdir().expect("a folder");
    let store = crate::controller::store(cluster_as(room, API).await, folder.path()).await;
    let kubeconfig = kubeconfig_as(room, ENGINE);
    let engine = Program::start(room, &["--kubeconfig", &kubeconfig.path().display().to_string()]);
    engine.until("/readyz", |(status, _)| *status == 200).await;

    let record = |action| cloister_testkit::event(action, cloister_testkit::now());
    let mut asset = cloister_testkit::dataset("d", "bob", "d");
    store.put_asset(asset.clone(), u64::MAX, record(AuditAction::AssetPublished)).await.expect("published");
    let key = cloister_testkit::api_key("00000000000000ab", "alice", Timestamp::from_unix_ms(5));
    store.put_key(key.clone(), record(AuditAction::KeyCreated)).await.expect("a key");
    let until = Timestamp::from_unix_ms(cloister_testkit::now().unix_ms() + 600_000);
    let nonce = || Claim::nonce(&cloister_testkit::account("alice"), "a", until);
    assert!(store.claim(nonce()).await.expect("an answer") && !store.claim(nonce()).await.expect("an answer"));

    let submit = async |number: u64| {
        let mut job = cloister_testkit::job(number, cloister_testkit::now());
        job.record.datasets = vec![cloister_testkit::recorded_dataset("d", "bob", false)];
        let id = job.id;
        store.submit(job, Vec::new(), event(id, AuditAction::JobAllowed)).await.expect("a job");
        id
    };
    // The second one is asked about again: its dataset has changed.
    let first = submit(1).await;
    assert_eq!(installation.ended(first).await.phase, Phase::Finished);
    (asset.name, asset.revision) = ("d".to_owned(), 2);
    asset.updated = Timestamp::from_unix_ms(9);
    store.put_asset(asset.clone(), u64::MAX, record(AuditAction::AssetPublished)).await.expect("published again");
    for at in [1, 2] {
        let check = LastCheck { at: Timestamp::from_unix_ms(at), revision: 2, sources: Vec::new(), others: 0 };
        store.put_check(asset.ddo.id().clone(), check.clone()).await.expect("kept");
        assert_eq!(store.last_check(asset.ddo.id().clone()).await, Ok(Some(check)));
    }
    let second = submit(2).await;
    assert_eq!(installation.ended(second).await.phase, Phase::Finished);
    // With the rights that remove what they leave.
    installation.nothing_is_left(&[first, second]).await;
    assert_eq!(installation.story(second, 1).await.last().map(String::as_str), Some("Finished"));
    // A right that is missing and is not needed to come this far shows here.
    assert_eq!(engine.refusals(), Vec::<String>::new());

    let at = cloister_testkit::now();
    store.revoke_key(key.id, at, record(AuditAction::KeyRevoked)).await.expect("revoked");
    store.remove(first, event(first, AuditAction::JobRemoved)).await.expect("removed");
    assert!(!store.records(0, 100).await.expect("records").is_empty());
    assert_eq!(engine.end(), Some(0));

    // Ended jobs and their receipts leave the API server.
    let third = submit(3).await;
    let as_engine = cluster_as(room, ENGINE).await.client().clone();
    archive::end(&Api::namespaced(as_engine, &room.cluster.namespaces().jobs), third).await;
    installation.ended(third).await;
    let receipt = store.receipt(third).await.expect("an answer").expect("a receipt");
    let options = StoreOptions { archive: archive::AT_ONCE, ..options(folder.path(), "archiving") };
    let archiving = ClusterStore::open(cluster_as(room, API).await, options).await.expect("a replica");
    let mut left = true;
    for _ in 0..crate::LOOKS {
        let secrets = archive::receipt_secrets(room.client(), &room.cluster.namespaces().system).await;
        left = secrets.contains(&format!("receipt-{third}"));
        if !left {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!left, "the receipt stays in its Secret");
    assert_eq!(archiving.receipt(third).await, Ok(Some(receipt)));
}

/// What may be done, and nothing beside it, of everything in the namespaces of the installation.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn no_account_has_a_right_that_is_not_written_here() {
    let room = Room::open().await;
    install(&room, false).await;
    let names = room.cluster.namespaces().clone();
    let (system, jobs, assets) = (names.system.as_str(), names.jobs.as_str(), names.assets.as_str());
    let rights: [(&str, &str, &str, &[&str]); 21] = [
        (API, system, "cloister.dev/apikeys", &["create", "get", "list", "watch", "patch"]),
        (API, system, "/configmaps", &["create", "get", "list", "watch", "update", "patch", "delete"]),
        (API, system, "/secrets", &["create", "get", "delete"]),
        (API, jobs, "cloister.dev/computejobs", &["create", "get", "list", "watch", "patch", "delete"]),
        (API, jobs, "cloister.dev/environments", &["get", "list", "watch"]),
        (API, jobs, "/secrets", &["create", "get", "delete"]),
        (API, jobs, "/pods/log", &["get"]),
        (API, assets, "cloister.dev/datasets", &["create", "get", "list", "watch", "patch"]),
        (API, assets, "/secrets", &["create", "get", "delete"]),
        (ENGINE, system, "/configmaps", &["create", "get", "list"]),
        (ENGINE, system, "coordination.k8s.io/leases", &["create"]),
        (ENGINE, jobs, "cloister.dev/computejobs", &["get", "list", "watch"]),
        (ENGINE, jobs, "cloister.dev/computejobs/status", &["patch"]),
        (ENGINE, jobs, "cloister.dev/environments", &["list", "watch"]),
        (ENGINE, jobs, "cloister.dev/environments/status", &["patch"]),
        (ENGINE, jobs, "/pods", &["create", "get", "list", "watch", "delete", "deletecollection"]),
        (ENGINE, jobs, "/persistentvolumeclaims", &["create", "get", "list", "watch", "delete"]),
        (ENGINE, jobs, "events.k8s.io/events", &["create"]),
        (ENGINE, assets, "cloister.dev/datasets", &["get"]),
        (ENGINE, assets, "cloister.dev/algorithms", &["get"]),
        (API, assets, "cloister.dev/algorithms", &["create", "get", "list", "watch", "patch"]),
    ];
    for account in [API, ENGINE] {
        let client = cluster_as(&room, account).await.client().clone();
        for namespace in [system, jobs, assets] {
            for resource in NAMESPACED {
                let granted =
                    rights.iter().find(|(who, place, what, _)| (*who, *place, *what) == (account, namespace, resource));
                let expected = granted.map_or(everywhere(account, resource), |(_, _, _, verbs)| verbs);
                for verb in VERBS {
                    let allowed = may(&client, verb, resource, Some(namespace)).await;
                    assert_eq!(allowed, expected.contains(&verb), "{account} {verb} {resource} in {namespace}");
                }
            }
        }
    }
}

/// Whatever is granted by whatever rule: the controller reaches no Secret, and the service lists none.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn the_controller_has_no_verb_on_secrets_and_no_program_lists_them() {
    let room = Room::open().await;
    install(&room, false).await;
    let names = room.cluster.namespaces().clone();
    let engine = cluster_as(&room, ENGINE).await.client().clone();
    let api = cluster_as(&room, API).await.client().clone();
    for namespace in [Some(names.system.as_str()), Some(&names.jobs), Some(&names.assets), Some("kube-system"), None] {
        for verb in VERBS.into_iter().chain(["*"]) {
            assert!(!may(&engine, verb, "/secrets", namespace).await, "{verb} in {namespace:?}");
        }
        for verb in ["list", "watch", "deletecollection", "update", "patch", "*"] {
            assert!(!may(&api, verb, "/secrets", namespace).await, "{verb} in {namespace:?}");
        }
        let Some(namespace) = namespace else { continue };
        // What the authorizer itself says that it would allow.
        let review = SelfSubjectRulesReview {
            spec: SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) },
            ..SelfSubjectRulesReview::default()
        };
        let reviews: Api<SelfSubjectRulesReview> = Api::all(engine.clone());
        let answer = reviews.create(&PostParams::default(), &review).await.expect("an answer");
        for rule in answer.status.expect("a status").resource_rules {
            let resources = rule.resources.unwrap_or_default();
            assert!(
                !resources.iter().any(|name| name == "*" || name.starts_with("secrets")),
                "{namespace}: {resources:?}"
            );
        }
    }
}

/// The files themselves, without a cluster.
#[test]
fn no_role_has_a_wildcard_and_none_of_the_controller_names_secrets() {
    let mut roles = 0;
    for object in manifests() {
        if !object["kind"].as_str().is_some_and(|kind| kind == "Role" || kind == "ClusterRole") {
            continue;
        }
        roles += 1;
        let name = object["metadata"]["name"].as_str().expect("a name");
        for rule in object["rules"].as_array().expect("rules") {
            let all = |field: &str| rule[field].as_array().cloned().unwrap_or_default();
            let texts: Vec<Value> = ["apiGroups", "resources", "verbs"].into_iter().flat_map(all).collect();
            assert!(!texts.contains(&json!("*")), "{name}: {rule}");
            let secrets = all("resources").contains(&json!("secrets"));
            assert!(!secrets || name != ENGINE, "{name}: {rule}");
            assert!(!secrets || !all("verbs").iter().any(|verb| verb == "list" || verb == "watch"), "{name}: {rule}");
        }
    }
    assert_eq!(roles, 8);
}

#[derive(Debug)]
struct Everything;

impl Publish for Everything {
    fn publish(&self, owner: Account, manifest: Manifest) -> Publishing<'_> {
        let did = Manifest::did(&owner, manifest.kind(), manifest.name());
        Box::pin(std::future::ready(Ok::<_, NotPublished>(did)))
    }

    fn withdraw(&self, _owner: Account, _kind: AssetKind, _name: AssetName) -> Withdrawing<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Assets that are applied are published with the rights of the service, and their Secrets read where it was given that right.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn applied_assets_are_published_with_the_rights_of_the_service() {
    let _alone = crate::assets::ALONE.lock().await;
    let room = Room::open().await;
    install(&room, false).await;
    let api: Api<Namespace> = Api::all(room.client());
    let patch = Patch::Merge(json!({"metadata": {"labels": {ACCOUNT: "alice"}}}));
    api.patch(&room.cluster.namespaces().jobs, &PatchParams::default(), &patch).await.expect("a label");
    let task = tokio::spawn(publish_what_is_applied(cluster_as(&room, API).await, Arc::new(Everything)));
    let dataset = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "penguins"},
        "spec": {"files": [{"type": "local", "path": "/srv/a.csv"}]}});
    room.create("datasets", &dataset).await.expect("taken");
    let mut last = Value::Null;
    for _ in 0..crate::LOOKS {
        last = room.read("datasets", "penguins").await["status"].take();
        if last["owner"] == "alice" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(last["owner"], "alice", "{last}");
    task.abort();
}

fn pod(change: impl FnOnce(&mut Value)) -> Pod {
    let mut pod = json!({
        "metadata": {"name": "a", "labels": {"cloister.dev/step": "algorithm"}},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "a", "image": "registry.example/a"}]},
    });
    change(&mut pod);
    serde_json::from_value(pod).expect("a pod")
}

/// Until a policy is in force, which takes a moment after it was created.
async fn refused<T: std::fmt::Debug>(what: &str, words: &str, attempt: impl AsyncFn() -> kube::Result<T>) {
    let mut last = String::new();
    for _ in 0..crate::LOOKS {
        match attempt().await {
            Err(kube::Error::Api(status)) if status.message.contains(words) => return,
            answer => last = format!("{answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} is not refused with `{words}`: {last}");
}

/// Not even an administrator does these, who may do everything else.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn only_our_programs_create_pods_and_orders_and_no_user_enters_a_pod() {
    let installation = Installation::open(1).await;
    let room = &installation.room;
    install(room, true).await;
    let jobs = room.cluster.namespaces().jobs.as_str();
    let as_admin: Api<Pod> = Api::namespaced(room.client(), jobs);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    refused("a pod of an administrator", "only the controller of Cloister creates pods", async || {
        as_admin.create(&dry, &pod(|_| {})).await
    })
    .await;
    // Elsewhere, pods are nobody's business.
    let elsewhere: Api<Pod> = Api::namespaced(room.client(), &room.cluster.namespaces().assets);
    let account: Api<k8s_openapi::api::core::v1::ServiceAccount> =
        Api::namespaced(room.client(), &room.cluster.namespaces().assets);
    let _ = account
        .create(
            &PostParams::default(),
            &serde_json::from_value(json!({"metadata": {"name": "default"}})).expect("an account"),
        )
        .await;
    elsewhere.create(&dry, &pod(|_| {})).await.expect("a pod in another namespace");

    let as_engine: Api<Pod> = Api::namespaced(cluster_as(room, ENGINE).await.client().clone(), jobs);
    let secret = |pod: &mut Value| {
        pod["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "results"}}]);
    };
    refused("a Secret in an algorithm", "the volume of its job and nothing else", async || {
        as_engine.create(&dry, &pod(secret)).await
    })
    .await;
    let claim = |pod: &mut Value| {
        pod["spec"]["volumes"] = json!([{"name": "c", "persistentVolumeClaim": {"claimName": "datasets"}}]);
    };
    refused("a claim that it could write", "writes to no claim but its job's", async || {
        as_engine.create(&dry, &pod(claim)).await
    })
    .await;
    as_engine
        .create(
            &dry,
            &pod(|pod| {
                claim(pod);
                pod["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"] = json!(true);
            }),
        )
        .await
        .expect("a claim that it cannot write");
    refused("a token", "has no token of the API server", async || {
        as_engine.create(&dry, &pod(|pod| pod["spec"]["automountServiceAccountToken"] = json!(true))).await
    })
    .await;
    refused("a pod of no step", "is a step of a job", async || {
        as_engine.create(&dry, &pod(|pod| pod["metadata"]["labels"] = json!({}))).await
    })
    .await;
    as_engine.create(&PostParams::default(), &pod(|_| {})).await.expect("a pod of the controller");

    for door in ["exec?command=sh&stdout=true", "attach?stdout=true", "portforward?ports=80", "proxy/"] {
        refused(door, "are denied in the pods of jobs", async || {
            let request = http::Request::get(format!("/api/v1/namespaces/{jobs}/pods/a/{door}"));
            room.client().request_text(request.body(Vec::new()).expect("a request")).await
        })
        .await;
    }
    refused("an ephemeral container", "are denied in the pods of jobs", async || {
        let patch = json!({"spec": {"ephemeralContainers": [{"name": "e", "image": "registry.example/e"}]}});
        as_admin.patch_ephemeral_containers("a", &PatchParams::default(), &Patch::Strategic(patch)).await
    })
    .await;

    // Of the Secrets beside it, the service deletes receipts, which it has sealed elsewhere, and no other.
    let system = room.cluster.namespaces().system.as_str();
    let as_api: Api<Secret> = Api::namespaced(cluster_as(room, API).await.client().clone(), system);
    for (name, kind) in
        [("archive-key", "cloister.dev/archive-key"), ("cloister", "Opaque"), ("r", "cloister.dev/receipt")]
    {
        let secret = json!({"metadata": {"name": name}, "type": kind});
        let secret = serde_json::from_value(secret).expect("a Secret");
        as_api.create(&PostParams::default(), &secret).await.expect("a Secret");
    }
    let dry_deletion = DeleteParams { dry_run: true, ..DeleteParams::default() };
    for name in ["archive-key", "cloister"] {
        refused(name, "deletes Secrets of receipts and no others", async || as_api.delete(name, &dry_deletion).await)
            .await;
    }
    as_api.delete("r", &DeleteParams::default()).await.expect("a receipt goes");
    let of_admin: Api<Secret> = Api::namespaced(room.client(), system);
    of_admin.delete("cloister", &DeleteParams::default()).await.expect("an administrator may");

    let order = serde_json::from_value(crate::rules::job()).expect("an order");
    let created = async |client: Client| {
        let api: Api<ComputeJob> = Api::namespaced(client, jobs);
        api.create(&dry, &order).await
    };
    let api = cluster_as(room, API).await.client().clone();
    refused("an order of an administrator", "only the service of Cloister creates ComputeJobs", async || {
        created(room.client()).await
    })
    .await;
    created(api.clone()).await.expect("an order of the service");

    // Nor does an administrator change what they have made: the image of a container that has not begun, the label that a network policy
    // selects by, a review, or how a job is doing.
    for (what, words, patch) in [
        ("another image", "the containers of a pod", json!({"spec": {"containers": [{"name": "a", "image": "b"}]}})),
        ("another step", "the labels of a pod", json!({"metadata": {"labels": {"cloister.dev/step": "publishing"}}})),
        ("one more label", "the labels of a pod", json!({"metadata": {"labels": {"open": "true"}}})),
    ] {
        refused(what, words, async || as_admin.patch("a", &dry_patch(), &Patch::Strategic(patch.clone())).await).await;
    }
    let noted = json!({"metadata": {"annotations": {"network.example/address": "192.0.2.1"}}});
    as_admin.patch("a", &dry_patch(), &Patch::Merge(noted)).await.expect("what the network says of a pod");

    let orders: Api<ComputeJob> = Api::namespaced(room.client(), jobs);
    let of_service: Api<ComputeJob> = Api::namespaced(api, jobs);
    let name = of_service.create(&PostParams::default(), &order).await.expect("an order of the service").name_any();
    let decided = json!({"at": "2026-11-22T16:01:29.021Z", "by": "mallory"});
    for (what, patch) in [
        ("a decision", json!({"spec": {"logReleases": [decided]}})),
        ("a record", json!({"metadata": {"annotations": {"cloister.dev/audit-pending": "[]"}}})),
        ("one more label", json!({"metadata": {"labels": {"open": "true"}}})),
    ] {
        refused(what, "only the service of Cloister creates ComputeJobs and changes them", async || {
            orders.patch(&name, &dry_patch(), &Patch::Merge(patch.clone())).await
        })
        .await;
    }
    let finished = cloister_testkit::status_in(Phase::Finished, name.parse().expect("a job"), cloister_testkit::now());
    let status = Patch::Merge(json!({"status": ComputeJobStatus::of(&finished, None, None)}));
    refused("a status of an administrator", "only the controller of Cloister writes the status", async || {
        orders.patch_status(&name, &dry_patch(), &status).await
    })
    .await;
    let of_engine: Api<ComputeJob> = Api::namespaced(cluster_as(room, ENGINE).await.client().clone(), jobs);
    of_engine.patch_status(&name, &dry_patch(), &status).await.expect("a status of the controller");
    // What the cluster itself changes of an object that is deleted.
    let kept = json!({"metadata": {"finalizers": ["foregroundDeletion"]}});
    orders.patch(&name, &dry_patch(), &Patch::Merge(kept)).await.expect("metadata of the cluster");
}

/// A change that is checked and not kept.
fn dry_patch() -> PatchParams {
    PatchParams { dry_run: true, ..PatchParams::default() }
}
