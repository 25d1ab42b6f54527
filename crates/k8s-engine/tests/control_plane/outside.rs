//! What the accounts of an installation may do outside its namespaces: hardly anything. And the account of the pods of jobs may do
//! nothing at all.

use crate::{
    cluster::Room,
    installed::{install, kubeconfig_of},
    rights::{API, ENGINE, NAMESPACED, VERBS, cluster_as, everywhere, may, may_to},
};
use cloister_k8s_engine::{Cluster, controller::LEASE};
use k8s_openapi::api::{
    authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec},
    rbac::v1::RoleBinding,
};
use kube::{Api, Client, api::PostParams};
use serde_json::json;
use std::time::Duration;

/// What belongs to the whole cluster.
const OF_THE_CLUSTER: [&str; 20] = [
    "/nodes",
    "/nodes/proxy",
    "/nodes/status",
    "/namespaces",
    "/namespaces/finalize",
    "/persistentvolumes",
    "apiextensions.k8s.io/customresourcedefinitions",
    "apiregistration.k8s.io/apiservices",
    "admissionregistration.k8s.io/validatingadmissionpolicies",
    "admissionregistration.k8s.io/validatingadmissionpolicybindings",
    "admissionregistration.k8s.io/validatingwebhookconfigurations",
    "admissionregistration.k8s.io/mutatingwebhookconfigurations",
    "authentication.k8s.io/tokenreviews",
    "authorization.k8s.io/subjectaccessreviews",
    "certificates.k8s.io/certificatesigningrequests",
    "node.k8s.io/runtimeclasses",
    "rbac.authorization.k8s.io/clusterroles",
    "rbac.authorization.k8s.io/clusterrolebindings",
    "scheduling.k8s.io/priorityclasses",
    "storage.k8s.io/storageclasses",
];

/// Verbs with which an account would get the rights of others, and what they are used on.
const OF_OTHERS: [(&str, &str); 11] = [
    ("impersonate", "/users"),
    ("impersonate", "/groups"),
    ("impersonate", "/serviceaccounts"),
    ("impersonate", "authentication.k8s.io/uids"),
    ("impersonate", "authentication.k8s.io/userextras"),
    ("bind", "rbac.authorization.k8s.io/roles"),
    ("bind", "rbac.authorization.k8s.io/clusterroles"),
    ("escalate", "rbac.authorization.k8s.io/roles"),
    ("escalate", "rbac.authorization.k8s.io/clusterroles"),
    ("approve", "certificates.k8s.io/signers"),
    ("*", "*/*"),
];

/// The cluster as the account of the pods of jobs sees it.
async fn cluster_as_a_pod(room: &Room) -> Cluster {
    let names = room.cluster.namespaces().clone();
    let kubeconfig = kubeconfig_of(&names.jobs, "default");
    Cluster::connect(Some(kubeconfig.path()), names).await.expect("a cluster")
}

/// Waits until a right that was given is in force.
async fn granted(client: &Client, verb: &str, resource: &str, namespace: &str) {
    for _ in 0..crate::LOOKS {
        if may(client, verb, resource, Some(namespace)).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{verb} {resource} in {namespace} is not allowed, and it was granted");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn no_account_has_a_right_in_other_namespaces_or_in_the_whole_cluster() {
    let room = Room::open().await;
    install(&room, false).await;
    let names = room.cluster.namespaces().clone();
    for account in [API, ENGINE] {
        let client = cluster_as(&room, account).await.client().clone();
        if account == API {
            granted(&client, "get", "/namespaces", "kube-system").await;
        }
        for resource in OF_THE_CLUSTER {
            // The label of a namespace says whose assets are in it.
            let expected: &[&str] = if (account, resource) == (API, "/namespaces") { &["get"] } else { &[] };
            for verb in VERBS {
                let allowed = may(&client, verb, resource, None).await;
                assert_eq!(allowed, expected.contains(&verb), "{account} {verb} {resource}");
            }
        }
        for namespace in [Some("kube-system"), Some("default"), None] {
            for resource in NAMESPACED {
                for verb in VERBS {
                    let allowed = may(&client, verb, resource, namespace).await;
                    let expected = everywhere(account, resource).contains(&verb);
                    assert_eq!(allowed, expected, "{account} {verb} {resource} in {namespace:?}");
                }
            }
        }
        for namespace in
            [Some(names.system.as_str()), Some(&names.jobs), Some(&names.assets), Some("kube-system"), None]
        {
            for (verb, resource) in OF_OTHERS {
                assert!(!may(&client, verb, resource, namespace).await, "{account} {verb} {resource} in {namespace:?}");
            }
        }
    }
}

/// The controller renews its lease, and can make one, but reaches no lease of another name.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn the_controller_reaches_one_lease_and_the_service_none() {
    let room = Room::open().await;
    install(&room, false).await;
    let names = room.cluster.namespaces().clone();
    for account in [API, ENGINE] {
        let client = cluster_as(&room, account).await.client().clone();
        if account == ENGINE {
            granted(&client, "create", "coordination.k8s.io/leases", &names.system).await;
        }
        for namespace in [names.system.as_str(), names.jobs.as_str(), names.assets.as_str(), "kube-system"] {
            for lease in [LEASE, "another"] {
                let expected: &[&str] = match (account == ENGINE && namespace == names.system, lease == LEASE) {
                    (true, true) => &["create", "get", "update"],
                    (true, false) => &["create"],
                    (false, _) => &[],
                };
                for verb in VERBS {
                    let resource = "coordination.k8s.io/leases";
                    let allowed = may_to(&client, verb, resource, Some(namespace), Some(lease)).await;
                    assert_eq!(allowed, expected.contains(&verb), "{account} {verb} {lease} in {namespace}");
                }
            }
        }
    }
}

/// What every service account may do is to ask about itself, and to read the certificates that the cluster trusts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn the_account_of_the_pods_of_jobs_may_do_nothing() {
    let room = Room::open().await;
    install(&room, false).await;
    let names = room.cluster.namespaces().clone();
    let client = cluster_as_a_pod(&room).await.client().clone();
    for namespace in [names.jobs.as_str(), names.system.as_str(), names.assets.as_str(), "kube-system"] {
        let review = SelfSubjectRulesReview {
            spec: SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) },
            ..SelfSubjectRulesReview::default()
        };
        let reviews: Api<SelfSubjectRulesReview> = Api::all(client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await.expect("an answer");
        for rule in answer.status.expect("a status").resource_rules {
            let all: Vec<&str> = rule.resources.iter().flatten().map(String::as_str).collect();
            let asks_about_itself = rule.verbs == ["create"] && all.iter().all(|what| what.starts_with("selfsubject"));
            // Certificates of authorities, which are no secret (`system:cluster-trust-bundle-discovery`).
            let reads_bundles = rule.verbs == ["get", "list", "watch"] && all == ["clustertrustbundles"];
            assert!(!all.is_empty() && (asks_about_itself || reads_bundles), "{namespace}: {rule:?}");
        }
        for resource in NAMESPACED {
            for verb in VERBS {
                assert!(!may(&client, verb, resource, Some(namespace)).await, "{verb} {resource} in {namespace}");
            }
        }
    }
    for resource in OF_THE_CLUSTER {
        for verb in VERBS {
            assert!(!may(&client, verb, resource, None).await, "{verb} {resource}");
        }
    }
    for (verb, resource) in OF_OTHERS {
        assert!(!may(&client, verb, resource, None).await, "{verb} {resource}");
    }
}

/// In the namespace of an account, the service reads the Secrets that assets name, and writes those with results: no more.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn in_the_namespace_of_an_account_the_service_gets_and_creates_secrets_and_no_more() {
    // The namespace of an account is one that has nothing of the installation: another test's would do.
    let (room, other) = (Room::open().await, Room::open().await);
    install(&room, false).await;
    let names = room.cluster.namespaces().clone();
    let of_account = other.cluster.namespaces().jobs.clone();
    let service = cluster_as(&room, API).await.client().clone();
    let engine = cluster_as(&room, ENGINE).await.client().clone();
    for verb in VERBS {
        assert!(!may(&service, verb, "/secrets", Some(&of_account)).await, "{verb} before it was allowed");
    }
    let binding = json!({
        "metadata": {"name": "cloister"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": format!("cloister:account.{}", names.jobs)},
        "subjects": [{"kind": "ServiceAccount", "name": API, "namespace": names.system}],
    });
    let binding: RoleBinding = serde_json::from_value(binding).expect("a binding");
    let bindings: Api<RoleBinding> = Api::namespaced(room.client(), &of_account);
    bindings.create(&PostParams::default(), &binding).await.expect("a binding");
    granted(&service, "get", "/secrets", &of_account).await;
    for resource in NAMESPACED {
        let expected = if resource == "/secrets" { &["get", "create"][..] } else { everywhere(API, resource) };
        for verb in VERBS {
            let allowed = may(&service, verb, resource, Some(&of_account)).await;
            assert_eq!(allowed, expected.contains(&verb), "{verb} {resource}");
            assert!(!may(&engine, verb, resource, Some(&of_account)).await, "the controller: {verb} {resource}");
        }
    }
    // It is bound in one namespace.
    for elsewhere in [other.cluster.namespaces().assets.as_str(), "kube-system"] {
        assert!(!may(&service, "get", "/secrets", Some(elsewhere)).await, "{elsewhere}");
    }
}
