//! Datasets and algorithms that are applied with kubectl.

use crate::cluster::Room;
use cloister_k8s_engine::{
    ACCOUNT, NotPublished, Publish, Publishing, Withdrawing, publish_what_is_applied,
    resources::{Condition, Dataset},
};
use cloister_model::{Account, AssetKind, AssetName, Manifest};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// One controller at a time: it looks at the assets of all namespaces, those of the other test included.
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Publishes everything, and remembers it, and which names were withdrawn.
#[derive(Debug, Default)]
struct Everything(Mutex<Vec<(Account, Manifest)>>, Mutex<Vec<String>>);

impl Everything {
    /// Those of one name: other tests of this program apply assets at the same time.
    fn named(&self, name: &str) -> Vec<(Account, Manifest)> {
        let published = self.0.lock().expect("no panic");
        published.iter().filter(|(_, manifest)| manifest.name().as_str() == name).cloned().collect()
    }
}

impl Publish for Everything {
    fn publish(&self, owner: Account, manifest: Manifest) -> Publishing<'_> {
        let did = Manifest::did(&owner, manifest.kind(), manifest.name());
        let refused = manifest.name().as_str().starts_with("refused");
        self.0.lock().expect("no panic").push((owner, manifest));
        let problem = NotPublished { reason: "SourceRefused", message: "not there".to_owned(), passes: false };
        Box::pin(std::future::ready(if refused { Err(problem) } else { Ok(did) }))
    }

    fn withdraw(&self, _owner: Account, _kind: AssetKind, name: AssetName) -> Withdrawing<'_> {
        self.1.lock().expect("no panic").push(name.to_string());
        Box::pin(std::future::ready(Ok(())))
    }
}

fn dataset(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": name}, "spec": spec})
}

/// The status and the reason of the condition `Ready`, once it speaks of this generation.
async fn ready(room: &Room, plural: &str, name: &str, generation: i64) -> (String, String, Value) {
    for _ in 0..crate::LOOKS {
        let found = room.read(plural, name).await;
        let conditions: Vec<Condition> =
            serde_json::from_value(found["status"]["conditions"].clone()).unwrap_or_default();
        if let Some(condition) = Condition::of(&conditions, "Ready")
            && condition.observed_generation == Some(generation)
        {
            return (format!("{:?}", condition.status), condition.reason.clone(), found["status"].clone());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{plural}/{name} is never looked at")
}

/// Gives the namespace of jobs, where these tests apply things, to an account.
pub(crate) async fn label(room: &Room, account: &str) {
    let api: Api<Namespace> = Api::all(room.client());
    let patch = Patch::Merge(json!({"metadata": {"labels": {ACCOUNT: account}}}));
    api.patch(&room.cluster.namespaces().jobs, &PatchParams::default(), &patch).await.expect("a label");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn what_is_applied_is_published_for_the_account_of_its_namespace_or_says_why_not() {
    let _alone = ALONE.lock().await;
    let room = Room::open().await;
    let published = Arc::new(Everything::default());
    let task = tokio::spawn(publish_what_is_applied(room.cluster.clone(), Arc::clone(&published) as Arc<dyn Publish>));
    let files = json!([{"type": "local", "path": "/srv/a.csv"}]);
    let good = json!({"files": files, "compute": {"outputContract": {"csv": {"maxRows": 10}}}});
    room.create("datasets", &dataset("penguins", good.clone())).await.expect("taken");
    // A namespace that no operator gave to an account publishes for no account.
    let (status, reason, _) = ready(&room, "datasets", "penguins", 1).await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NoAccount"));
    assert_eq!(published.named("penguins"), []);
    label(&room, "alice").await;

    // `kubectl apply --validate=false`: the misspelt restriction is there, and nobody may use the dataset.
    let misspelt = json!({"files": files, "compute": {"outputContract": {"csv": {"maxRow": 10}}}});
    room.create("datasets", &dataset("misspelt", misspelt)).await.expect("taken");
    let (status, reason, whole) = ready(&room, "datasets", "misspelt", 1).await;
    assert_eq!((status.as_str(), reason.as_str(), &whole["did"]), ("False", "UnknownField", &Value::Null));
    assert!(whole["conditions"][0]["message"].as_str().is_some_and(|message| message.contains("`maxRow`")), "{whole}");
    let corrected = json!({"spec": {"compute": {"outputContract": {"csv": {"maxRow": null, "maxRows": 10}}}}});
    room.patch("datasets", "misspelt", &corrected).await.expect("corrected");
    let (status, reason, whole) = ready(&room, "datasets", "misspelt", 2).await;
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Published"));
    let alice: Account = "alice".parse().expect("an account");
    let did = Manifest::did(&alice, AssetKind::Dataset, &"misspelt".parse().expect("a name"));
    assert_eq!((&whole["did"], &whole["owner"]), (&json!(did.to_string()), &json!("alice")));

    // The label came after the first look.
    let mut last = String::new();
    for _ in 0..crate::LOOKS {
        last = ready(&room, "datasets", "penguins", 1).await.1;
        if last == "Published" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(last, "Published");

    room.create("datasets", &dataset("refused", good)).await.expect("taken");
    let (status, reason, _) = ready(&room, "datasets", "refused", 1).await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "SourceRefused"));

    // Its publisher takes it back.
    let withdrawn = json!({"spec": {"withdrawn": "2026-11-22T16:01:29.021Z"}});
    room.patch("datasets", "penguins", &withdrawn).await.expect("withdrawn");
    let (status, reason, _) = ready(&room, "datasets", "penguins", 2).await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Withdrawn"));
    assert!(published.1.lock().expect("no panic").iter().any(|name| name == "penguins"));

    let owners: Vec<Account> = published.0.lock().expect("no panic").iter().map(|(owner, _)| owner.clone()).collect();
    assert!(owners.iter().all(|owner| *owner == alice), "{owners:?}");
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_secret_that_appears_later_makes_an_algorithm_ready() {
    let _alone = ALONE.lock().await;
    let room = Room::open().await;
    label(&room, "alice").await;
    let published = Arc::new(Everything::default());
    let task = tokio::spawn(publish_what_is_applied(room.cluster.clone(), Arc::clone(&published) as Arc<dyn Publish>));
    let file = json!({"type": "url", "url": "https://example.org/a.wasm", "credentialsFrom": {"secretRef": {"name": "token"}}});
    let algorithm = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Algorithm", "metadata": {"name": "stats"},
        "spec": {"files": [file]}});
    room.create("algorithms", &algorithm).await.expect("taken");
    let (status, reason, _) = ready(&room, "algorithms", "stats", 1).await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "SecretMissing"));
    let secrets: Api<Secret> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
    let secret = Secret {
        metadata: ObjectMeta { name: Some("token".to_owned()), ..ObjectMeta::default() },
        string_data: Some([("Authorization".to_owned(), "Bearer SECRET".to_owned())].into()),
        ..Secret::default()
    };
    secrets.create(&PostParams::default(), &secret).await.expect("a secret");
    let mut last = String::new();
    for _ in 0..crate::LOOKS {
        last = ready(&room, "algorithms", "stats", 1).await.1;
        if last == "Published" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(last, "Published");
    let owner = "alice".parse().expect("an account");
    let ddo = published.named("stats").last().expect("one").1.ddo(&owner).expect("a DDO");
    assert!(serde_json::to_string(&ddo).expect("json").contains("Bearer SECRET"));
    let resource = room.read("algorithms", "stats").await;
    assert!(!resource.to_string().contains("SECRET"), "{resource}");
    task.abort();
}

/// Publishes at once, but for one name: its source does not answer.
#[derive(Debug, Default)]
struct Stuck(AtomicBool);

impl Publish for Stuck {
    fn publish(&self, owner: Account, manifest: Manifest) -> Publishing<'_> {
        if manifest.name().as_str() == "stuck" {
            self.0.store(true, Ordering::SeqCst);
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(Ok(Manifest::did(&owner, manifest.kind(), manifest.name()))))
    }

    fn withdraw(&self, _owner: Account, _kind: AssetKind, _name: AssetName) -> Withdrawing<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn what_is_stuck_in_one_namespace_holds_up_no_other() {
    let _alone = ALONE.lock().await;
    let room = Room::open().await;
    label(&room, "mallory").await;
    let others = &room.cluster.namespaces().assets;
    let namespaces: Api<Namespace> = Api::all(room.client());
    let of_bob = Patch::Merge(json!({"metadata": {"labels": {ACCOUNT: "bob"}}}));
    namespaces.patch(others, &PatchParams::default(), &of_bob).await.expect("a label");
    let publish = Arc::new(Stuck::default());
    let task = tokio::spawn(publish_what_is_applied(room.cluster.clone(), Arc::clone(&publish) as Arc<dyn Publish>));
    let spec = json!({"files": [{"type": "local", "path": "/srv/a.csv"}]});
    room.create("datasets", &dataset("stuck", spec.clone())).await.expect("taken");
    for _ in 0..crate::LOOKS {
        if publish.0.load(Ordering::SeqCst) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(publish.0.load(Ordering::SeqCst), "it is never looked at");

    let api: Api<Dataset> = Api::namespaced(room.client(), others);
    let quick: Dataset = serde_json::from_value(dataset("quick", spec)).expect("a dataset");
    api.create(&PostParams::default(), &quick).await.expect("taken");
    let mut owner = None;
    for _ in 0..crate::LOOKS {
        owner = api.get("quick").await.expect("a dataset").status.and_then(|status| status.owner);
        if owner.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(owner.as_deref(), Some("bob"), "it waits for another account's");
    task.abort();
}
