//! Assets that are applied with kubectl: each is read as a manifest over HTTP is, published for the account of its namespace
//! by the same use case, and told in its status what became of it.

mod secrets;

use crate::{
    clock::now,
    cluster::{CallError, Cluster, call, watch},
    resources::{
        Algorithm, AssetResource, AssetStatus, Condition, ConditionStatus, Dataset, Unusable, manifest, secrets_named,
    },
};
use cloister_model::{Account, AssetKind, AssetName, Did, Manifest, Timestamp, escape};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams},
    runtime::watcher::Event,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

/// The label of a namespace that says whose it is. Only an operator may set it.
pub const ACCOUNT: &str = "cloister.dev/account";

/// How long an asset waits that lacks something which may appear: a Secret, a label, an answer.
const AGAIN: Duration = Duration::from_secs(15);

/// How many assets of a namespace are looked at again that often. Of more, each waits for longer.
const MOST_AGAIN: usize = 16;

/// Characters of a message.
const MOST_MESSAGE: usize = 2000;

/// What [`Publish::publish`] returns.
pub type Publishing<'a> = Pin<Box<dyn Future<Output = Result<Did, NotPublished>> + Send + 'a>>;

/// What [`Publish::withdraw`] returns.
pub type Withdrawing<'a> = Pin<Box<dyn Future<Output = Result<(), NotPublished>> + Send + 'a>>;

/// The use cases that publish and withdraw an asset: those behind the HTTP API.
pub trait Publish: fmt::Debug + Send + Sync {
    /// Publishes a manifest for its owner. The same manifest again changes nothing.
    fn publish(&self, owner: Account, manifest: Manifest) -> Publishing<'_>;

    /// Withdraws what a manifest of this kind and name has published for its owner. If there is nothing of it, nothing changes.
    fn withdraw(&self, owner: Account, kind: AssetKind, name: AssetName) -> Withdrawing<'_>;
}

/// Why an asset was not published, or not withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotPublished {
    /// In one word in CamelCase, such as `SourceRefused`.
    pub reason: &'static str,
    /// For the publisher: what to do. Safe to show.
    pub message: String,
    /// Whether it may be different in a while, without a change of the manifest.
    pub passes: bool,
}

/// Publishes whatever is applied in a namespace of an account, in the whole cluster, until the future is dropped. Two of
/// these at a time do the same and do no harm; those of two installations would publish each asset in one of the two.
pub fn publish_what_is_applied(cluster: Cluster, publish: Arc<dyn Publish>) -> BoxFuture<'static, ()> {
    let datasets = follow::<Dataset>(cluster.clone(), Arc::clone(&publish));
    let algorithms = follow::<Algorithm>(cluster, publish);
    // Boxed, so that it is compiled here, and not again in each program.
    Box::pin(async move {
        futures_util::future::join(datasets, algorithms).await;
    })
}

/// Which version of an asset its publisher has written, whatever the service has said of it since. What it holds is read when it is
/// looked at, because it may be large, and wait for long.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: Option<String>,
    generation: Option<i64>,
}

impl Version {
    fn of(metadata: &ObjectMeta) -> Self {
        Self { uid: metadata.uid.clone(), generation: metadata.generation }
    }
}

/// A kind of asset.
trait Applied:
    AssetResource
    + Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    fn status(&self) -> Option<&AssetStatus>;
}

impl Applied for Dataset {
    fn status(&self) -> Option<&AssetStatus> {
        self.status.as_ref()
    }
}

impl Applied for Algorithm {
    fn status(&self) -> Option<&AssetStatus> {
        self.status.as_ref()
    }
}

/// Looks at what is applied. What takes long in one namespace, such as a source that does not answer, holds up what was applied in the same
/// namespace, and nothing else: each has a look of its own.
async fn follow<K: Applied>(cluster: Cluster, publish: Arc<dyn Publish>) {
    let all: Api<K> = Api::all(cluster.client().clone());
    let stream = watch(all);
    futures_util::pin_mut!(stream);
    let mut applied: Followed<Version> = Followed::default();
    let mut looks = FuturesUnordered::new();
    let mut again = tokio::time::interval(AGAIN);
    let of_service = Some(cluster.namespaces().assets.as_str());
    loop {
        for (namespace, assets) in applied.due() {
            looks.push(settle_all::<K>(&cluster, publish.as_ref(), namespace, assets));
        }
        tokio::select! {
            event = stream.next() => match event {
                None => return,
                Some(Ok(Event::Apply(asset) | Event::InitApply(asset))) => {
                    let is_stored = asset.stored().is_some() && asset.namespace().as_deref() == of_service;
                    match is_stored || is_ready(&asset) {
                        true => applied.remove(&key(&asset)),
                        false => applied.put(key(&asset), Version::of(asset.meta())),
                    }
                }
                Some(Ok(Event::Delete(asset))) => applied.remove(&key(&asset)),
                Some(Ok(Event::Init | Event::InitDone)) => {}
                Some(Err(error)) => tracing::warn!(%error, "the watch of applied assets failed; it is tried again"),
            },
            Some((namespace, looked)) = looks.next(), if !looks.is_empty() => applied.looked(&namespace, looked),
            _ = again.tick() => applied.again(),
        }
    }
}

/// The namespace and the name of an asset.
type Key = (String, String);

/// What was applied and has to be looked at.
#[derive(Debug)]
struct Followed<K> {
    /// What is looked at next, by namespace and name.
    waiting: BTreeMap<String, BTreeMap<String, K>>,
    /// Namespaces in which something is looked at.
    busy: BTreeSet<String>,
    /// What was deleted in them meanwhile.
    deleted: BTreeSet<Key>,
    /// What has to be looked at again without a change of it.
    unsettled: BTreeMap<Key, K>,
    /// How often that was due.
    rounds: usize,
}

impl<K> Default for Followed<K> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            busy: BTreeSet::new(),
            deleted: BTreeSet::new(),
            unsettled: BTreeMap::new(),
            rounds: 0,
        }
    }
}

impl<K: Clone + PartialEq> Followed<K> {
    /// What can be looked at now: one look in each namespace.
    fn due(&mut self) -> Vec<(String, BTreeMap<String, K>)> {
        let ready: Vec<String> =
            self.waiting.keys().filter(|namespace| !self.busy.contains(*namespace)).cloned().collect();
        let taken = ready.into_iter().filter_map(|namespace| self.waiting.remove_entry(&namespace));
        let taken: Vec<_> = taken.filter(|(_, assets)| !assets.is_empty()).collect();
        self.busy.extend(taken.iter().map(|(namespace, _)| namespace.clone()));
        taken
    }

    fn put(&mut self, key: Key, asset: K) {
        self.deleted.remove(&key);
        let waits = self.waiting.get(&key.0).is_some_and(|assets| assets.contains_key(&key.1));
        // What was said of it, by this replica or another one, is no reason to look again: a source whose every answer differs would
        // have the whole object written as fast as it answers.
        if !waits && !self.busy.contains(&key.0) && self.unsettled.get(&key) == Some(&asset) {
            return;
        }
        let (namespace, name) = key;
        self.waiting.entry(namespace).or_default().insert(name, asset);
    }

    fn remove(&mut self, key: &Key) {
        self.unsettled.remove(key);
        let (namespace, name) = key;
        if let Some(assets) = self.waiting.get_mut(namespace) {
            assets.remove(name);
        }
        if self.busy.contains(namespace) {
            self.deleted.insert(key.clone());
        }
    }

    /// A look has ended, with whether each asset need not be looked at again.
    fn looked(&mut self, namespace: &str, looked: Vec<(String, K, bool)>) {
        self.busy.remove(namespace);
        for (name, asset, is_settled) in looked {
            let key = (namespace.to_owned(), name);
            if is_settled || self.deleted.contains(&key) {
                self.unsettled.remove(&key);
            } else {
                // It may wait for no other reason than that something was said of it.
                if let Some(assets) = self.waiting.get_mut(namespace)
                    && assets.get(&key.1) == Some(&asset)
                {
                    assets.remove(&key.1);
                }
                self.unsettled.insert(key, asset);
            }
        }
        self.deleted.retain(|(of, _)| of != namespace);
    }

    /// Everything that is not settled is looked at again; of many in one namespace, less often.
    fn again(&mut self) {
        self.rounds = self.rounds.wrapping_add(1);
        let mut many: BTreeMap<&str, usize> = BTreeMap::new();
        for (namespace, _) in self.unsettled.keys() {
            *many.entry(namespace).or_default() += 1;
        }
        for ((namespace, name), asset) in &self.unsettled {
            let period = many.get(namespace.as_str()).map_or(1, |many| many.div_ceil(MOST_AGAIN));
            if !self.rounds.is_multiple_of(period) {
                continue;
            }
            let assets = self.waiting.entry(namespace.clone()).or_default();
            assets.entry(name.clone()).or_insert_with(|| asset.clone());
        }
    }
}

/// Looks at the assets of a namespace, one after the other. Which of them need not be looked at again.
async fn settle_all<K: Applied>(
    cluster: &Cluster,
    publish: &dyn Publish,
    namespace: String,
    assets: BTreeMap<String, Version>,
) -> (String, Vec<(String, Version, bool)>) {
    let api: Api<K> = Api::namespaced(cluster.client().clone(), &namespace);
    let mut looked = Vec::with_capacity(assets.len());
    for (name, mut version) in assets {
        let settled = match call("read an asset", || async { api.get_opt(&name).await }).await {
            Ok(Some(asset)) => {
                version = Version::of(asset.meta());
                settle(cluster, publish, &asset).await
            }
            Ok(None) => Ok(true),
            Err(error) => Err(error),
        };
        let is_settled = settled.unwrap_or_else(|error| {
            tracing::warn!(%error, asset = name.as_str(), "an applied asset could not be looked at; it is tried again");
            false
        });
        looked.push((name, version, is_settled));
    }
    (namespace, looked)
}

fn key<K: Applied>(asset: &K) -> Key {
    (asset.namespace().unwrap_or_default(), asset.name_any())
}

/// Whether its status says that it is published as it is.
fn is_ready<K: Applied>(asset: &K) -> bool {
    let Some(status) = asset.status() else { return false };
    let ready = Condition::of(&status.conditions, "Ready");
    let seen = status.observed_generation.is_some() && status.observed_generation == asset.meta().generation;
    seen && ready.is_some_and(|ready| ready.status == ConditionStatus::True)
}

/// Looks at an asset once. False if it should be looked at again without a change of it.
async fn settle<K: Applied>(cluster: &Cluster, publish: &dyn Publish, asset: &K) -> Result<bool, CallError> {
    let namespace = asset.namespace().unwrap_or_default();
    let before = asset.status().cloned().unwrap_or_default();
    if is_ready(asset) {
        return Ok(true);
    }
    let owner = owner(cluster, &namespace).await?;
    // What this service or another one stored itself, in a namespace of its own.
    if owner.is_none() && asset.stored().is_some() {
        return Ok(true);
    }
    let outcome = outcome(cluster, publish, asset, owner).await?;
    let settled = outcome.as_ref().map_or_else(|problem| !problem.passes, |_| true);
    let after = status(before.clone(), asset.meta().generation, outcome, now());
    if after != before {
        write(cluster, asset, &namespace, &after).await?;
    }
    Ok(settled)
}

async fn outcome<K: Applied>(
    cluster: &Cluster,
    publish: &dyn Publish,
    asset: &K,
    owner: Option<Account>,
) -> Result<Result<(Did, Account), NotPublished>, CallError> {
    let namespace = asset.namespace().unwrap_or_default();
    let refused = |reason, message, passes| Ok(Err(NotPublished { reason, message, passes }));
    if asset.stored().is_some() {
        let message =
            "spec.stored belongs to assets that were published over HTTP; remove it, and write files or services";
        return refused("InvalidManifest", message.to_owned(), false);
    }
    let Some(owner) = owner else {
        let message = format!("the namespace {namespace} belongs to no account; an operator labels it {ACCOUNT}: NAME");
        return refused("NoAccount", message, true);
    };
    if asset.withdrawn().is_some() {
        let message = "it was withdrawn: no job may use it".to_owned();
        let said = NotPublished { reason: "Withdrawn", message, passes: false };
        return Ok(Err(withdrawn(publish, asset, owner, said).await));
    }
    let secrets = secrets::read(cluster, &namespace, secrets_named(asset)).await?;
    let manifest = match manifest(asset, &secrets) {
        Ok(manifest) => manifest,
        Err(error) => {
            let passes = matches!(error, Unusable::Secret { .. });
            let message = escape(error.to_string().as_bytes(), MOST_MESSAGE).to_string();
            let said = NotPublished { reason: error.reason(), message, passes };
            return Ok(Err(match error {
                // What was published before lacks the restriction, too, which is why it may have been written now.
                Unusable::UnknownField(_) => withdrawn(publish, asset, owner, said).await,
                Unusable::Manifest(_) | Unusable::Secret { .. } => said,
            }));
        }
    };
    Ok(publish.publish(owner.clone(), manifest).await.map(|did| (did, owner)))
}

/// What is said of an asset that no job may use any more, once what it has published is withdrawn.
async fn withdrawn<K: Applied>(publish: &dyn Publish, asset: &K, owner: Account, said: NotPublished) -> NotPublished {
    // By another name, nothing was published.
    let Ok(name) = asset.name().parse::<AssetName>() else { return said };
    match publish.withdraw(owner, K::KIND, name).await {
        Ok(()) => said,
        Err(NotPublished { reason, message, passes: _ }) => {
            let message = format!("what it has published is not withdrawn yet, and jobs may use it: {message}");
            NotPublished { reason, message, passes: true }
        }
    }
}

/// Whose a namespace is.
pub(crate) async fn owner(cluster: &Cluster, namespace: &str) -> Result<Option<Account>, CallError> {
    let api: Api<Namespace> = Api::all(cluster.client().clone());
    let found = call("read a namespace", || async { api.get_opt(namespace).await }).await?;
    Ok(found.and_then(|namespace| namespace.labels().get(ACCOUNT)?.parse().ok()))
}

fn status(
    before: AssetStatus,
    generation: Option<i64>,
    outcome: Result<(Did, Account), NotPublished>,
    at: Timestamp,
) -> AssetStatus {
    let AssetStatus { mut conditions, .. } = before;
    let (did, owner, status, reason, message) = match outcome {
        Ok((did, owner)) => {
            let message = "jobs can name it by its DID".to_owned();
            (Some(did.to_string()), Some(owner.as_str().to_owned()), ConditionStatus::True, "Published", message)
        }
        Err(NotPublished { reason, message, passes: _ }) => (None, None, ConditionStatus::False, reason, message),
    };
    let ready = Condition {
        kind: "Ready".to_owned(),
        status,
        reason: reason.to_owned(),
        message: message.chars().take(4000).collect(),
        last_transition_time: at.into(),
        observed_generation: generation,
    };
    Condition::put(&mut conditions, ready);
    AssetStatus { did, owner, observed_generation: generation, conditions }
}

async fn write<K: Applied>(
    cluster: &Cluster,
    asset: &K,
    namespace: &str,
    status: &AssetStatus,
) -> Result<(), CallError> {
    let api: Api<K> = Api::namespaced(cluster.client().clone(), namespace);
    let AssetStatus { did, owner, observed_generation, conditions } = status;
    // Absent fields are removed: what was published of an earlier version is not what the status speaks of.
    let status =
        json!({"did": did, "owner": owner, "observedGeneration": observed_generation, "conditions": conditions});
    let patch = Patch::Merge(json!({
        "metadata": {"resourceVersion": asset.resource_version(), "uid": asset.uid()}, "status": status,
    }));
    let name = asset.name_any();
    let written = call("write the status of an asset", || async {
        api.patch_status(&name, &PatchParams::default(), &patch).await
    });
    match written.await {
        // It changed meanwhile. What its publisher has changed is looked at again because of that.
        Ok(_) | Err(CallError::Conflict | CallError::Missing) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Namespaces;
    use std::sync::Mutex;

    /// Remembers what it was asked to do.
    #[derive(Debug, Default)]
    struct Asked {
        did: Mutex<Vec<String>>,
        withdraws: bool,
    }

    impl Publish for Asked {
        fn publish(&self, owner: Account, manifest: Manifest) -> Publishing<'_> {
            self.did.lock().expect("no panic").push(format!("publish {}", manifest.name()));
            Box::pin(std::future::ready(Ok(Manifest::did(&owner, manifest.kind(), manifest.name()))))
        }

        fn withdraw(&self, owner: Account, kind: AssetKind, name: AssetName) -> Withdrawing<'_> {
            self.did.lock().expect("no panic").push(format!("withdraw {kind:?} {name} of {}", owner.as_str()));
            let problem = NotPublished { reason: "ServiceUnavailable", message: "no answer".to_owned(), passes: true };
            Box::pin(std::future::ready(if self.withdraws { Ok(()) } else { Err(problem) }))
        }
    }

    #[tokio::test]
    async fn what_was_published_is_withdrawn_if_its_manifest_says_so_or_has_a_field_that_is_not_known() {
        // Nothing here asks the API server.
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
        });
        let named = |name: &str| name.to_owned();
        let namespaces = Namespaces { system: named("system"), jobs: named("jobs"), assets: named("assets") };
        let cluster = Cluster::through(kube::Client::new(silent, "default"), namespaces);
        let owner: Account = "alice".parse().expect("an account");
        let said = async |publish: &Asked, change: serde_json::Value| {
            let mut spec = json!({"files": [{"type": "local", "path": "/srv/a.csv"}], "compute": {}});
            let (spec_fields, changed) = (spec.as_object_mut().expect("fields"), change.as_object().expect("fields"));
            spec_fields.extend(changed.clone());
            let dataset = Dataset::new("penguins", serde_json::from_value(spec).expect("a spec"));
            let outcome = outcome(&cluster, publish, &dataset, Some(owner.clone())).await.expect("no call");
            (outcome, std::mem::take(&mut *publish.did.lock().expect("no panic")))
        };
        let misspelt = || json!({"compute": {"outputContract": {"csv": {"maxRow": 10}}}});
        let withdrawn = || json!({"withdrawn": "2026-11-22T16:01:29.021Z"});
        let works = Asked { withdraws: true, ..Asked::default() };
        let (outcome, asked) = said(&works, json!({})).await;
        assert!(outcome.is_ok() && asked == ["publish penguins"], "{outcome:?} {asked:?}");
        for (change, reason) in [(misspelt(), "UnknownField"), (withdrawn(), "Withdrawn")] {
            let (outcome, asked) = said(&works, change).await;
            let problem = outcome.expect_err("it is not published");
            assert_eq!((problem.reason, problem.passes), (reason, false));
            assert_eq!(asked, ["withdraw Dataset penguins of alice"]);
        }
        // It is not said to be withdrawn before it is.
        let fails = Asked::default();
        for change in [misspelt(), withdrawn()] {
            let problem = said(&fails, change).await.0.expect_err("it is not withdrawn");
            assert!(problem.passes && problem.message.contains("jobs may use it"), "{problem:?}");
        }
        // What is wrong in another way restricts nothing, and what was published before stays.
        let (outcome, asked) = said(&works, json!({"title": 5})).await;
        assert!(outcome.is_err_and(|problem| problem.reason == "InvalidManifest") && asked.is_empty(), "{asked:?}");
    }

    #[test]
    fn a_status_says_what_became_of_the_present_version_only() {
        let (did, owner): (Did, Account) = ("abc".parse().expect("a DID"), "alice".parse().expect("an account"));
        let at = Timestamp::from_unix_ms(1_795_363_289_021);
        let ready = status(AssetStatus::default(), Some(1), Ok((did, owner)), at);
        assert_eq!((ready.did.as_deref(), ready.observed_generation), (Some("did:op:abc"), Some(1)));
        let problem = NotPublished { reason: "UnknownField", message: "no".to_owned(), passes: false };
        let refused = status(ready, Some(2), Err(problem), at);
        assert_eq!((&refused.did, &refused.owner, refused.observed_generation), (&None, &None, Some(2)));
        let condition = Condition::of(&refused.conditions, "Ready").expect("the condition");
        assert_eq!((condition.status, condition.reason.as_str()), (ConditionStatus::False, "UnknownField"));
        assert_eq!(refused.conditions.len(), 1);
    }

    /// What is looked at now.
    fn next(applied: &mut Followed<u32>) -> Vec<(String, Vec<u32>)> {
        applied.due().into_iter().map(|(namespace, assets)| (namespace, assets.into_values().collect())).collect()
    }

    #[test]
    fn a_namespace_is_looked_at_once_at_a_time_and_none_waits_for_another() {
        let key = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        let mut applied: Followed<u32> = Followed::default();
        applied.put(key("a", "slow"), 1);
        assert_eq!(next(&mut applied), [("a".to_owned(), vec![1])]);
        // Meanwhile, what is new in another namespace is looked at, and what is new in this one waits, in its last version.
        for (name, number) in [("slow", 2), ("slow", 3), ("other", 4), ("gone", 5)] {
            applied.put(key("a", name), number);
        }
        applied.remove(&key("a", "gone"));
        applied.put(key("b", "quick"), 6);
        assert_eq!(next(&mut applied), [("b".to_owned(), vec![6])]);
        assert!(next(&mut applied).is_empty());
        applied.looked("b", vec![("quick".to_owned(), 6, true)]);
        applied.looked("a", vec![("slow".to_owned(), 1, false)]);
        assert_eq!(next(&mut applied), [("a".to_owned(), vec![4, 3])]);
        // One that is deleted while it is looked at is not looked at again.
        applied.remove(&key("a", "other"));
        applied.looked("a", vec![("other".to_owned(), 4, false), ("slow".to_owned(), 3, false)]);
        applied.again();
        assert_eq!(next(&mut applied), [("a".to_owned(), vec![3])]);
        applied.looked("a", vec![("slow".to_owned(), 3, true)]);
        applied.again();
        assert!(next(&mut applied).is_empty());
    }

    #[test]
    fn what_is_said_of_an_asset_is_no_reason_to_look_at_it_again() {
        let key = || ("a".to_owned(), "x".to_owned());
        let looked = |version| vec![("x".to_owned(), version, false)];
        let mut applied: Followed<u32> = Followed::default();
        applied.put(key(), 1);
        assert_eq!(next(&mut applied), [("a".to_owned(), vec![1])]);
        // Its source fails, which is said of it, by this replica and then by another one.
        applied.put(key(), 1);
        applied.looked("a", looked(1));
        assert!(next(&mut applied).is_empty());
        for _ in 0..9 {
            applied.put(key(), 1);
            assert!(next(&mut applied).is_empty());
        }
        // Its time comes, also while it is looked at.
        applied.again();
        assert_eq!(next(&mut applied), [("a".to_owned(), vec![1])]);
        applied.again();
        applied.put(key(), 1);
        applied.looked("a", looked(1));
        assert!(next(&mut applied).is_empty());
        // What its publisher has written is looked at at once.
        applied.put(key(), 2);
        assert_eq!(next(&mut applied), [("a".to_owned(), vec![2])]);
        applied.put(key(), 3);
        applied.looked("a", looked(2));
        assert_eq!(next(&mut applied), [("a".to_owned(), vec![3])]);
        // One that another replica has published need not be looked at.
        applied.remove(&key());
        applied.looked("a", looked(3));
        applied.again();
        assert!(next(&mut applied).is_empty());
    }

    #[test]
    fn many_assets_of_a_namespace_are_looked_at_again_less_often() {
        let mut applied: Followed<u32> = Followed::default();
        let many = 10 * MOST_AGAIN;
        let looked = |names: std::ops::Range<usize>| names.map(|name| (format!("{name:04}"), 1, false)).collect();
        applied.looked("a", looked(0..many));
        applied.looked("b", looked(0..1));
        let (mut of_a, mut of_b) = (0, 0);
        for _ in 0..30 {
            applied.again();
            for (namespace, assets) in applied.due() {
                *(if namespace == "a" { &mut of_a } else { &mut of_b }) += assets.len();
                applied.looked(&namespace, looked(0..assets.len()));
            }
        }
        assert_eq!((of_a, of_b), (3 * many, 30));
    }
}
