//! Assets that are applied with kubectl: each is read as a manifest over HTTP is, published for the account of its namespace
//! by the same use case, and told in its status what became of it.

mod secrets;

use crate::{
    clock::now,
    cluster::{CallError, Cluster, call, watch},
    followed::{Followed, Look, key},
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
use std::{fmt, pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior};

/// The label of a namespace that says whose it is. Only an operator may set it.
pub const ACCOUNT: &str = "cloister.dev/account";

/// How long an asset waits that lacks something which may appear: a Secret, a label, an answer.
const AGAIN: Duration = Duration::from_secs(15);

/// How long a namespace waits for each asset of it that lacks something: of many, each waits for longer.
const EACH: Duration = Duration::from_secs(1);

/// How often the assets that wait are gone through.
const PAUSE: Duration = Duration::from_secs(1);

/// How often an asset that changes while it is published is published once more in the same look.
const MOST_OVERTAKEN: u32 = 2;

/// What a field that is not known does to what was published before.
const UNTIL_CORRECTED: &str = "Until you correct it, what it has published is withdrawn, and results of a job that has gone are removed \
    unless another asset names them";

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

/// Reconciles what is applied. What takes long in one namespace, such as a source that does not answer, holds up what was applied in the same
/// namespace, and nothing else: each has a look of its own.
async fn follow<K: Applied>(cluster: Cluster, publish: Arc<dyn Publish>) {
    let all: Api<K> = Api::all(cluster.client().clone());
    let stream = watch(all);
    futures_util::pin_mut!(stream);
    // What was said of an asset, by this replica or another one, is no reason to reconcile it again: a source whose every answer differs
    // would have the whole object written as fast as it answers. (The watch shows the versions of an asset in their order.)
    let mut applied: Followed<Version, Instant> =
        Followed::new(|known, shown| Some(shown).filter(|shown| shown != known));
    let mut looks = FuturesUnordered::new();
    let mut pause = tokio::time::interval(PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let of_service = Some(cluster.namespaces().assets.as_str());
    loop {
        for (namespace, assets) in applied.due(Instant::now()) {
            looks.push(settle_all::<K>(&cluster, publish.as_ref(), namespace, assets));
        }
        tokio::select! {
            event = stream.next() => match event {
                None => return,
                Some(Ok(Event::Apply(asset) | Event::InitApply(asset))) => {
                    let is_stored = asset.stored().is_some() && asset.namespace().as_deref() == of_service;
                    match is_stored || is_ready(&asset) {
                        true => applied.remove(&key(&asset)),
                        false => applied.put(key(&asset), Version::of(asset.meta()), Instant::now()),
                    }
                }
                Some(Ok(Event::Delete(asset))) => applied.remove(&key(&asset)),
                Some(Ok(Event::Init | Event::InitDone)) => {}
                Some(Err(error)) => tracing::warn!(%error, "the watch of applied assets failed; it is tried again"),
            },
            Some(looked) = looks.next(), if !looks.is_empty() => {
                let (namespace, looked): (String, Vec<(String, Version, bool)>) = looked;
                let unsettled = looked.iter().filter(|(_, _, is_settled)| !is_settled).count();
                let again = Instant::now() + pause_of(unsettled.saturating_add(applied.count(&namespace, |_| true)));
                let looked = looked.into_iter().map(|(name, version, is_settled)| {
                    (name, version, (!is_settled).then_some(again))
                });
                applied.looked(&namespace, looked.collect());
            }
            _ = pause.tick(), if !applied.is_empty() => {}
        }
    }
}

/// After how long an asset is reconciled again that lacks something, if so many of its namespace wait.
fn pause_of(waiting: usize) -> Duration {
    AGAIN.max(EACH.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX)))
}

/// Reconciles the assets of a namespace, one after the other. Which of them are settled: they need not be reconciled again.
async fn settle_all<K: Applied>(
    cluster: &Cluster,
    publish: &dyn Publish,
    namespace: String,
    assets: Look<Version>,
) -> (String, Vec<(String, Version, bool)>) {
    let api: Api<K> = Api::namespaced(cluster.client().clone(), &namespace);
    let mut looked = Vec::with_capacity(assets.len());
    for (name, mut version) in assets {
        let mut attempt = 0;
        let settled = loop {
            let asset = match call("read an asset", || async { api.get_opt(&name).await }).await {
                Ok(Some(asset)) => asset,
                Ok(None) => break Ok(true),
                Err(error) => break Err(error),
            };
            version = Version::of(asset.meta());
            match settle(cluster, publish, &asset, attempt > 0).await {
                Ok(Settled::Yes) => break Ok(true),
                Ok(Settled::Overtaken) if attempt < MOST_OVERTAKEN => attempt += 1,
                Ok(Settled::Later | Settled::Overtaken) => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        let is_settled = settled.unwrap_or_else(|error| {
            tracing::warn!(%error, asset = name, "an applied asset could not be processed; the service tries again");
            false
        });
        looked.push((name, version, is_settled));
    }
    (namespace, looked)
}

/// Whether its status says that it is published as it is.
fn is_ready<K: Applied>(asset: &K) -> bool {
    let Some(status) = asset.status() else { return false };
    let ready = Condition::of(&status.conditions, "Ready");
    let seen = status.observed_generation.is_some() && status.observed_generation == asset.meta().generation;
    seen && ready.is_some_and(|ready| ready.status == ConditionStatus::True)
}

/// What became of an asset at one look.
enum Settled {
    /// It need not be reconciled again without a change of it.
    Yes,
    /// It lacks something that may appear.
    Later,
    /// It has changed since it was read. What was published of it may be older than what another replica has published, and said of it.
    Overtaken,
}

/// Reconciles an asset once. `overtaken`: an older version of it may have been published meanwhile, whatever its status says.
async fn settle<K: Applied>(
    cluster: &Cluster,
    publish: &dyn Publish,
    asset: &K,
    overtaken: bool,
) -> Result<Settled, CallError> {
    let namespace = asset.namespace().unwrap_or_default();
    let before = asset.status().cloned().unwrap_or_default();
    if is_ready(asset) && !overtaken {
        return Ok(Settled::Yes);
    }
    let owner = owner(cluster, &namespace).await?;
    // What this service or another one stored itself, in a namespace of its own.
    if owner.is_none() && asset.stored().is_some() {
        return Ok(Settled::Yes);
    }
    let outcome = outcome(cluster, publish, asset, owner).await?;
    let settled = outcome.as_ref().map_or_else(|problem| !problem.passes, |_| true);
    let after = status(before.clone(), asset.meta().generation, outcome, now());
    // Another replica may have written another status meanwhile: then this one tries again.
    let is_said = after == before || write(cluster, asset, &namespace, &after).await?;
    Ok(match (is_said, settled) {
        (false, _) => Settled::Overtaken,
        (true, true) => Settled::Yes,
        (true, false) => Settled::Later,
    })
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
                Unusable::UnknownField(_) => {
                    let message = format!("{}. {UNTIL_CORRECTED}", said.message);
                    withdrawn(publish, asset, owner, NotPublished { message, ..said }).await
                }
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

/// Writes the status of an asset. False if the asset has changed since it was read.
async fn write<K: Applied>(
    cluster: &Cluster,
    asset: &K,
    namespace: &str,
    status: &AssetStatus,
) -> Result<bool, CallError> {
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
        Ok(_) | Err(CallError::Missing) => Ok(true),
        Err(CallError::Conflict) => Ok(false),
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
            assert_eq!(
                problem.message.contains("results of a job that has gone are removed"),
                reason == "UnknownField"
            );
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

    /// Its publisher changes it while this replica publishes it, and another replica publishes that first.
    #[tokio::test]
    async fn what_was_published_late_does_not_stay_in_the_place_of_the_present_version() {
        let owner: Account = "alice".parse().expect("an account");
        let did = Manifest::did(&owner, AssetKind::Dataset, &"penguins".parse().expect("a name"));
        let version = move |number: i64| {
            let spec = json!({"files": [{"type": "local", "path": format!("/srv/{number}.csv")}], "compute": {}});
            let mut dataset = Dataset::new("penguins", serde_json::from_value(spec).expect("a spec"));
            dataset.metadata.namespace = Some("team".to_owned());
            dataset.metadata.generation = Some(number);
            dataset.metadata.resource_version = Some(number.to_string());
            if number == 2 {
                let said = Ok((did.clone(), owner.clone()));
                dataset.status = Some(status(AssetStatus::default(), Some(2), said, Timestamp::from_unix_ms(1)));
            }
            json!(dataset)
        };
        let looks = Mutex::new(0_i64);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (code, answer) = match (request.method().as_str(), request.uri().path()) {
                ("GET", "/api/v1/namespaces/team") => (
                    200,
                    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": {ACCOUNT: "alice"}}}),
                ),
                ("GET", _) => {
                    let mut looks = looks.lock().expect("no panic");
                    *looks += 1;
                    (200, version((*looks).min(2)))
                }
                _ => {
                    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "it changed",
                        "reason": "Conflict", "code": 409});
                    (409, status)
                }
            };
            let mut response = http::Response::new(kube::client::Body::from(answer.to_string().into_bytes()));
            *response.status_mut() = http::StatusCode::from_u16(code).expect("a status");
            std::future::ready(Ok::<_, std::convert::Infallible>(response))
        });
        let named = |name: &str| name.to_owned();
        let namespaces = Namespaces { system: named("system"), jobs: named("jobs"), assets: named("assets") };
        let cluster = Cluster::through(kube::Client::new(service, "default"), namespaces);
        let publish = Asked::default();
        let due = vec![("penguins".to_owned(), Version { uid: None, generation: Some(1) })];
        let (_, looked) = settle_all::<Dataset>(&cluster, &publish, "team".to_owned(), due).await;
        assert_eq!(*publish.did.lock().expect("no panic"), ["publish penguins", "publish penguins"]);
        let present = Version { uid: None, generation: Some(2) };
        assert_eq!(looked, [("penguins".to_owned(), present, true)]);
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

    #[test]
    fn many_assets_of_a_namespace_are_reconciled_again_less_often() {
        assert_eq!([0, 1, 15].map(pause_of), [AGAIN; 3]);
        assert_eq!((pause_of(1000), pause_of(usize::MAX) > pause_of(1000)), (EACH * 1000, true));
    }

    #[test]
    fn what_is_said_of_an_asset_is_no_reason_to_reconcile_it_again() {
        let asset = |generation: i64, version: u64| ObjectMeta {
            uid: Some("a".to_owned()),
            generation: Some(generation),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        };
        assert_eq!(Version::of(&asset(1, 5)), Version::of(&asset(1, 6)));
        assert_ne!(Version::of(&asset(1, 5)), Version::of(&asset(2, 6)));
        let again = ObjectMeta { uid: Some("b".to_owned()), ..asset(1, 7) };
        assert_ne!(Version::of(&asset(1, 5)), Version::of(&again));
    }
}
