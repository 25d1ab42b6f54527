//! Assets that are applied with kubectl: each is read as a manifest over HTTP is, published for the account of its namespace
//! by the same use case, and told in its status what became of it.

use crate::{
    clock::now,
    cluster::{CallError, Cluster, call, watch},
    followed::{Followed, Look, Looked, key},
    resources::{
        Algorithm, AssetResource, AssetStatus, Condition, ConditionStatus, Dataset, Unusable, manifest, secrets_named,
    },
};
use cloister_model::{Account, Did, Manifest, Timestamp, escape};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace, Secret},
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::watcher::Event,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{collections::BTreeMap, fmt, pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior};

/// The label of a namespace that says whose it is. Only an operator may set it.
pub const ACCOUNT: &str = "cloister.dev/account";

/// How long an asset waits that lacks something which may appear: a Secret, a label, an answer.
const AGAIN: Duration = Duration::from_secs(15);

/// How often the assets that wait are gone through.
const PAUSE: Duration = Duration::from_secs(1);

/// Characters of a message.
const MOST_MESSAGE: usize = 2000;

/// What [`Publish::publish`] returns.
pub type Publishing<'a> = Pin<Box<dyn Future<Output = Result<Did, NotPublished>> + Send + 'a>>;

/// The use case that publishes an asset: the one behind the HTTP API.
pub trait Publish: fmt::Debug + Send + Sync {
    /// Publishes a manifest for its owner. The same manifest again changes nothing.
    fn publish(&self, owner: Account, manifest: Manifest) -> Publishing<'_>;
}

/// Why an asset was not published.
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
    // The watch shows the versions of an asset in their order.
    let mut applied: Followed<K, Instant> = Followed::new(|_, shown| Some(shown));
    let mut looks = FuturesUnordered::new();
    let mut pause = tokio::time::interval(PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for (namespace, assets) in applied.due(Instant::now()) {
            looks.push(settle_all(&cluster, publish.as_ref(), namespace, assets));
        }
        tokio::select! {
            event = stream.next() => match event {
                None => return,
                Some(Ok(Event::Apply(asset) | Event::InitApply(asset))) => {
                    applied.put(key(&asset), asset, Instant::now());
                }
                Some(Ok(Event::Delete(asset))) => applied.remove(&key(&asset)),
                Some(Ok(Event::Init | Event::InitDone)) => {}
                Some(Err(error)) => tracing::warn!(%error, "the watch of applied assets failed; it is tried again"),
            },
            Some((namespace, looked)) = looks.next(), if !looks.is_empty() => applied.looked(&namespace, looked),
            _ = pause.tick(), if !applied.is_empty() => {}
        }
    }
}

/// Reconciles the assets of a namespace, one after the other.
async fn settle_all<K: Applied>(
    cluster: &Cluster,
    publish: &dyn Publish,
    namespace: String,
    assets: Look<K>,
) -> (String, Looked<K, Instant>) {
    let mut looked = Vec::with_capacity(assets.len());
    for (name, asset) in assets {
        let settled = settle(cluster, publish, &asset).await;
        let is_settled = settled.unwrap_or_else(|error| {
            tracing::warn!(%error, asset = asset.name(), "an applied asset could not be processed; the service tries again");
            false
        });
        looked.push((name, asset, (!is_settled).then(|| Instant::now() + AGAIN)));
    }
    (namespace, looked)
}

/// Reconciles an asset once. False if it should be reconciled again without a change of it.
async fn settle<K: Applied>(cluster: &Cluster, publish: &dyn Publish, asset: &K) -> Result<bool, CallError> {
    let namespace = asset.namespace().unwrap_or_default();
    let before = asset.status().cloned().unwrap_or_default();
    let ready = Condition::of(&before.conditions, "Ready");
    let seen = before.observed_generation.is_some() && before.observed_generation == asset.meta().generation;
    if seen && ready.is_some_and(|ready| ready.status == ConditionStatus::True) {
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
    if asset.withdrawn().is_some() {
        let message = "it was withdrawn: no job may use it".to_owned();
        return refused("Withdrawn", message, false);
    }
    let Some(owner) = owner else {
        let message = format!("the namespace {namespace} belongs to no account; an operator labels it {ACCOUNT}: NAME");
        return refused("NoAccount", message, true);
    };
    let secrets = secrets(cluster, &namespace, secrets_named(asset)).await?;
    let manifest = match manifest(asset, &secrets) {
        Ok(manifest) => manifest,
        Err(error) => {
            let passes = matches!(error, Unusable::Secret { .. });
            return refused(error.reason(), escape(error.to_string().as_bytes(), MOST_MESSAGE).to_string(), passes);
        }
    };
    Ok(publish.publish(owner.clone(), manifest).await.map(|did| (did, owner)))
}

/// Whose a namespace is.
pub(crate) async fn owner(cluster: &Cluster, namespace: &str) -> Result<Option<Account>, CallError> {
    let api: Api<Namespace> = Api::all(cluster.client().clone());
    let found = call("read a namespace", || async { api.get_opt(namespace).await }).await?;
    Ok(found.and_then(|namespace| namespace.labels().get(ACCOUNT)?.parse().ok()))
}

/// What the Secrets of these names hold, as far as it is text.
async fn secrets(
    cluster: &Cluster,
    namespace: &str,
    names: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, CallError> {
    let api: Api<Secret> = Api::namespaced(cluster.client().clone(), namespace);
    let mut secrets = BTreeMap::new();
    for name in names {
        let found = call("read a Secret that an asset names", || async { api.get_opt(&name).await }).await?;
        let Some(secret) = found else { continue };
        let text = |(key, value): (String, k8s_openapi::ByteString)| Some((key, String::from_utf8(value.0).ok()?));
        secrets.insert(name, secret.data.unwrap_or_default().into_iter().filter_map(text).collect());
    }
    Ok(secrets)
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
        // It changed meanwhile, and is reconciled again because of that.
        Ok(_) | Err(CallError::Conflict | CallError::Missing) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
