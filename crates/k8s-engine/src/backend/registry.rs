use super::{ClusterStore, Inner, outbox::Recorded, short_digest};
use crate::{
    clock::now,
    cluster::{CallError, call},
    resources::{Algorithm, AlgorithmSpec, Dataset, DatasetSpec, Moment, StoredAsset},
    store::{Holder, MANAGED_BY, OWNER, Pending, Taken, give_up, held_for, secret},
};
use cloister_model::{
    Account, Asset, AssetKind, AssetLimit, AssetList, AssetQuery, AuditEvent, Claim, ClaimKind, Did, LastCheck, Quota,
    QuotaExceeded, Registry, Sha256, StoreError, StoreFuture, Timestamp,
};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};

mod check;
mod form;
mod results;
mod rules;

use form::AssetForm;
use rules::RulesForm;

pub(super) use results::Needed;
pub(crate) use rules::asset_now;

/// The most assets in one answer.
const MOST: u32 = 10_000;

/// Bytes of the descriptions that one list summarises.
const MOST_LIST_BYTES: usize = 1024 * 1024;

/// Bytes of a document: a Secret holds a mebibyte.
const MOST_BYTES: usize = 1_000_000;

/// Objects in one page of a list: each may hold rules of a quarter of a mebibyte.
const PAGE: u32 = 100;

/// The label by which an asset is found by its owner's name for it.
const NAME: &str = "cloister.dev/asset-name";

/// The key in a Secret.
const KEY: &str = "asset";

impl Registry for ClusterStore {
    fn put_asset(&self, asset: Asset, most: u64, record: AuditEvent) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match kind(&asset) {
                AssetKind::Dataset => self.inner.put::<Dataset>(&asset, most, record).await,
                AssetKind::Algorithm => self.inner.put::<Algorithm>(&asset, most, record).await,
            }
        })
    }

    fn asset(&self, did: Did) -> StoreFuture<'_, Option<Asset>> {
        Box::pin(async move {
            // A DID does not say which of the two it is.
            match self.inner.find::<Dataset>(&did).await? {
                Some(asset) => Ok(Some(asset)),
                None => self.inner.find::<Algorithm>(&did).await,
            }
        })
    }

    fn asset_named(&self, owner: Account, kind: AssetKind, name: String) -> StoreFuture<'_, Option<Asset>> {
        Box::pin(async move {
            let wanted = format!("{NAME}={}", name_label(&owner, kind, &name));
            let found = match kind {
                AssetKind::Dataset => self.inner.listed::<Dataset>(&wanted).await?,
                AssetKind::Algorithm => self.inner.listed::<Algorithm>(&wanted).await?,
            };
            match found.into_iter().find(|stored| stored.owner == owner && stored.name == name) {
                Some(stored) => Ok(Some(self.inner.load(&stored).await?)),
                None => Ok(None),
            }
        })
    }

    fn asset_count(&self, owner: Account) -> StoreFuture<'_, u64> {
        Box::pin(async move { Ok(self.inner.holders_of_assets(&owner).await?.len() as u64) })
    }

    fn assets(&self, query: AssetQuery) -> StoreFuture<'_, AssetList> {
        Box::pin(async move {
            let AssetQuery { kind, owner, after, withdrawn, at_most } = query;
            let labels = owner.as_ref().map(|owner| format!("{OWNER}={}", owner_label(owner))).unwrap_or_default();
            let mut found = match kind {
                AssetKind::Dataset => self.inner.listed::<Dataset>(&labels).await?,
                AssetKind::Algorithm => self.inner.listed::<Algorithm>(&labels).await?,
            };
            found.retain(|stored| {
                owner.as_ref().is_none_or(|owner| stored.owner == *owner)
                    && after.as_ref().is_none_or(|after| stored.did > *after)
                    && (withdrawn || !stored.withdrawn)
            });
            found.sort_by(|one, other| one.did.cmp(&other.did));
            let most = usize::try_from(at_most.min(MOST)).unwrap_or(usize::MAX);
            let (mut list, mut bytes) = (AssetList::default(), 0_usize);
            for stored in found {
                let full = list.assets.len() >= most || bytes > MOST_LIST_BYTES;
                if full {
                    list.next = list.assets.last().map(|last| last.did.clone());
                    break;
                }
                let asset = self.inner.load(&stored).await?;
                // A summary is smaller than its description.
                bytes = bytes.saturating_add(asset.ddo.without_open_sources().to_string().len());
                list.assets.push(asset.summary());
            }
            Ok(list)
        })
    }

    fn put_check(&self, dataset: Did, check: LastCheck) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.inner.keep_check(&dataset, &check).await })
    }

    fn last_check(&self, dataset: Did) -> StoreFuture<'_, Option<LastCheck>> {
        Box::pin(async move { self.inner.kept_check(&dataset).await })
    }
}

/// What an asset's resource says of it.
#[derive(Clone, Debug)]
struct Stored {
    did: Did,
    owner: Account,
    name: String,
    secret: String,
    sha256: Sha256,
    withdrawn: bool,
    revision: u64,
}

/// A kind of resource that holds assets.
pub(super) trait Holds: Recorded {
    fn holding(name: &str, stored: StoredAsset, withdrawn: Option<Moment>) -> Self;

    fn stored(&self) -> Option<&StoredAsset>;

    fn withdrawn(&self) -> Option<Timestamp>;
}

macro_rules! holds {
    ($resource:ident, $spec:ident) => {
        impl Holds for $resource {
            fn holding(name: &str, stored: StoredAsset, withdrawn: Option<Moment>) -> Self {
                Self::new(name, $spec { withdrawn, stored: Some(stored), manifest: Map::new() })
            }

            fn stored(&self) -> Option<&StoredAsset> {
                self.spec.stored.as_ref()
            }

            fn withdrawn(&self) -> Option<Timestamp> {
                self.spec.withdrawn.map(|withdrawn| withdrawn.timestamp())
            }
        }
    };
}

holds!(Dataset, DatasetSpec);
holds!(Algorithm, AlgorithmSpec);

impl Inner {
    pub(super) async fn put<K: Holds + serde::Serialize>(
        &self,
        asset: &Asset,
        most: u64,
        record: AuditEvent,
    ) -> Result<(), StoreError> {
        let api: Api<K> = self.cluster.assets();
        let name = object_name(asset.ddo.id());
        let present = call("read an asset", || async { api.get_opt(&name).await }).await?;
        if present.as_ref().map_or(0, revision) + 1 != asset.revision {
            return Err(StoreError::Conflict);
        }
        if present.is_none() {
            self.take_name(asset).await?;
            self.refuse_if_too_many(asset, most).await?;
        }
        let content =
            serde_json::to_vec(&AssetForm::from(asset)).map_err(|error| unreadable(&name, &error.to_string()))?;
        if content.len() > MOST_BYTES {
            let text =
                format!("the asset takes {} bytes with its sources, and a Secret holds {MOST_BYTES}", content.len());
            return Err(StoreError::Full(text));
        }
        let sha256 = Sha256::of(&content);
        // Every attempt has a document of its own: one that comes to nothing removes it.
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| StoreError::Unavailable(format!("no random bytes: {error}")))?;
        let secret = format!("{name}-{}-{:016x}", asset.revision, u64::from_be_bytes(random));
        let before = match present.as_ref().and_then(read) {
            Some(before) => self.content(&before.secret).await?.and_then(|content| document(&before, content).ok()),
            None => None,
        };
        let rules_before = present.as_ref().and_then(Holds::stored).and_then(|stored| RulesForm::read(&stored.rules));
        let rules = RulesForm::of(asset, before.as_ref().zip(rules_before.as_ref()))?.write()?;
        let stored = StoredAsset {
            did: asset.ddo.id().to_string(),
            owner: asset.owner.as_str().to_owned(),
            name: asset.name.clone(),
            secret: secret.clone(),
            sha256,
            rules,
        };
        let noted = results::noted(present.as_ref().and_then(|present| present.meta().labels.as_ref()));
        let needed = self.sizes(asset, &noted).await;
        let mut needed_before = before.as_ref().map(results::needed).unwrap_or_default();
        needed_before.extend(noted.into_keys());
        self.refuse_gone(&needed, &needed_before).await?;
        let noted = results::labels(&needed, &needed_before);
        let earlier = present.as_ref().and_then(Holds::stored).map(|stored| stored.secret.clone());
        self.put_secret(&secret, content, present.as_ref().and_then(owner_reference)).await?;
        let pending = Pending::of(present.as_ref().and_then(|present| present.meta().annotations.as_ref()))?
            .with(&format!("asset/{name}"), record);
        let withdrawn = asset.withdrawn.map(Moment::from);
        let written = match &present {
            None => {
                let mut resource = K::holding(&name, stored, withdrawn);
                let mut annotations = BTreeMap::new();
                let mut labels = labels(asset);
                labels.extend(noted.into_iter().filter_map(|(name, value)| Some((name, value?))));
                pending.put(&mut annotations, &mut labels);
                resource.meta_mut().annotations = Some(annotations);
                resource.meta_mut().labels = Some(labels);
                match call("store an asset", || async { api.create(&PostParams::default(), &resource).await }).await {
                    // The first of two attempts may have been ours.
                    Err(CallError::Exists) => {
                        let found = call("read an asset", || async { api.get_opt(&name).await })
                            .await?
                            .ok_or(StoreError::Conflict)?;
                        let ours = found.stored() == resource.stored()
                            && revision(&found) == 1
                            && found.meta().annotations == resource.meta().annotations;
                        if ours { Ok(found) } else { Err(CallError::Conflict) }
                    }
                    answer => answer,
                }
            }
            Some(present) => {
                let mut metadata = pending.patch();
                for (name, value) in noted {
                    metadata["labels"][name] = json!(value);
                }
                metadata["resourceVersion"] = json!(present.resource_version());
                metadata["uid"] = json!(present.uid());
                let patch =
                    Patch::Merge(json!({"metadata": metadata, "spec": {"stored": stored, "withdrawn": withdrawn}}));
                call("store an asset", || async { api.patch(&name, &PatchParams::default(), &patch).await }).await
            }
        };
        let written = match written {
            Ok(written) => written,
            Err(CallError::Conflict) => {
                // The other change counts. What was prepared for this one belongs to no asset.
                if earlier.as_ref() != Some(&secret) {
                    self.forget_secret(&secret).await;
                }
                return Err(StoreError::Conflict);
            }
            Err(error) => return Err(error.into()),
        };
        self.flush(&api, &written).await?;
        if let Some(earlier) = earlier.filter(|earlier| *earlier != secret) {
            self.forget_secret(&earlier).await;
        }
        for job in needed_before.into_iter().filter(|job| !needed.contains_key(job)) {
            self.let_go(job, &asset.owner).await;
        }
        Ok(())
    }

    /// An owner has one asset of a kind and name.
    async fn take_name(&self, asset: &Asset) -> Result<(), StoreError> {
        let claim = Claim::asset_name(&asset.owner, kind(asset), &asset.name);
        let holder = Holder::Asset(asset.ddo.id().clone());
        match self.take_for(&claim, &holder, Some(&owner_label(&asset.owner))).await? {
            Taken::Now | Taken::Already => Ok(()),
            Taken::By(_) => Err(StoreError::Conflict),
        }
    }

    /// Refuses a new asset, whose name it has, if its owner has as many.
    async fn refuse_if_too_many(&self, asset: &Asset, most: u64) -> Result<(), StoreError> {
        let (limit, holder) = (AssetLimit { owner: asset.owner.clone(), most }, Holder::Asset(asset.ddo.id().clone()));
        let Some(exceeded) = self.over(&limit, &holder).await? else { return Ok(()) };
        let claim = Claim::asset_name(&asset.owner, kind(asset), &asset.name);
        give_up(&self.cluster, &claim, &holder).await?;
        Err(exceeded.into())
    }

    /// Why an account may not have the asset, or the job that will register one, which has taken its name; none: it may. Names are
    /// taken before they are counted: of two processes that take one each, the one that counts last sees both. Both may be refused
    /// where one would have fitted.
    pub(super) async fn over(&self, limit: &AssetLimit, own: &Holder) -> Result<Option<QuotaExceeded>, StoreError> {
        let used =
            self.holders_of_assets(&limit.owner).await?.into_iter().filter(|holder| holder != own).count() as u64;
        Ok((used >= limit.most).then_some(QuotaExceeded { quota: Quota::Assets, limit: limit.most, used }))
    }

    /// The assets of an account, those about to be stored, and its unfinished jobs that will register one.
    async fn holders_of_assets(&self, account: &Account) -> Result<Vec<Holder>, StoreError> {
        let label = owner_label(account);
        let labels = format!("{OWNER}={label}");
        let (datasets, algorithms, claims) =
            tokio::try_join!(self.listed::<Dataset>(&labels), self.listed::<Algorithm>(&labels), async {
                held_for(&self.cluster, &label, now()).await.map_err(StoreError::from)
            })?;
        let stored = datasets.into_iter().chain(algorithms).filter(|stored| stored.owner == *account);
        let mut assets: BTreeSet<Did> = stored.map(|stored| stored.did).collect();
        let mut jobs = Vec::new();
        for held in claims {
            match &held.holder {
                Holder::Asset(did) => drop(assets.insert(did.clone())),
                // A claim stays behind a job that ended without its asset.
                Holder::Job(_) if !self.is_free(ClaimKind::AssetName, &held).await? => jobs.push(held.holder),
                Holder::Job(_) | Holder::Caller | Holder::Other(_) => {}
            }
        }
        Ok(assets.into_iter().map(Holder::Asset).chain(jobs).collect())
    }

    async fn put_secret(&self, name: &str, content: Vec<u8>, owner: Option<OwnerReference>) -> Result<(), StoreError> {
        let secret = secret(name, "cloister.dev/asset", [(KEY.to_owned(), ByteString(content))].into(), owner);
        let api: Api<Secret> = self.cluster.assets();
        match call("store the document of an asset", || async { api.create(&PostParams::default(), &secret).await })
            .await
        {
            // The first of two requests may have been ours: no other attempt has this name.
            Ok(_) | Err(CallError::Exists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn forget_secret(&self, name: &str) {
        let api: Api<Secret> = self.cluster.assets();
        if let Err(error) =
            call("delete a document", || async { api.delete(name, &DeleteParams::default()).await }).await
            && error != CallError::Missing
        {
            tracing::warn!(%error, secret = name, "the document of an asset is no longer needed, and could not be deleted");
        }
    }

    pub(super) async fn find<K: Holds>(&self, did: &Did) -> Result<Option<Asset>, StoreError> {
        let api: Api<K> = self.cluster.assets();
        let name = object_name(did);
        let Some(resource) = call("read an asset", || async { api.get_opt(&name).await }).await? else {
            return Ok(None);
        };
        let Some(stored) = read(&resource) else { return Ok(None) };
        if stored.did != *did {
            return Ok(None);
        }
        Ok(Some(self.load(&stored).await?))
    }

    /// Every stored asset with these labels.
    async fn listed<K: Holds>(&self, labels: &str) -> Result<Vec<Stored>, StoreError> {
        let api: Api<K> = self.cluster.assets();
        let mut page = ListParams::default().labels(labels).limit(PAGE);
        let mut found = Vec::new();
        loop {
            let listed = call("list assets", || async { api.list(&page).await }).await?;
            found.extend(listed.items.iter().filter_map(read));
            match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(found),
            }
        }
    }

    /// The document of an asset.
    async fn load(&self, stored: &Stored) -> Result<Asset, StoreError> {
        // It was changed in this moment: the caller reads it again.
        let content = self.content(&stored.secret).await?.ok_or(StoreError::Conflict)?;
        document(stored, content)
    }

    /// What a Secret holds; none if there is no such Secret.
    async fn content(&self, name: &str) -> Result<Option<Vec<u8>>, CallError> {
        let api: Api<Secret> = self.cluster.assets();
        let secret = call("read the document of an asset", || async { api.get_opt(name).await }).await?;
        let content = |secret: Secret| secret.data.and_then(|mut data| data.remove(KEY)).map(|content| content.0);
        Ok(secret.map(|secret| content(secret).unwrap_or_default()))
    }
}

fn document(stored: &Stored, content: Vec<u8>) -> Result<Asset, StoreError> {
    if Sha256::of(&content) != stored.sha256 {
        return Err(unreadable(&stored.secret, "it is not what was stored"));
    }
    let form: AssetForm =
        serde_json::from_slice(&content).map_err(|_| unreadable(&stored.secret, "it is not an asset"))?;
    Ok(Asset { revision: stored.revision, ..form.into() })
}

fn read<K: Holds>(resource: &K) -> Option<Stored> {
    let StoredAsset { did, owner, name, secret, sha256, rules: _ } = resource.stored()?.clone();
    Some(Stored {
        did: did.parse().ok()?,
        owner: owner.parse().ok()?,
        name,
        secret,
        sha256,
        withdrawn: resource.withdrawn().is_some(),
        revision: revision(resource),
    })
}

/// The API server counts the changes of a spec from 1.
fn revision<K: Holds>(resource: &K) -> u64 {
    resource.meta().generation.and_then(|generation| u64::try_from(generation).ok()).unwrap_or(0)
}

fn owner_reference<K: Holds>(resource: &K) -> Option<OwnerReference> {
    resource.owner_ref(&())
}

fn kind(asset: &Asset) -> AssetKind {
    if asset.ddo.metadata().algorithm.is_some() { AssetKind::Algorithm } else { AssetKind::Dataset }
}

/// The name of an asset's resource: one for each DID, so that etcd keeps DIDs unique.
fn object_name(did: &Did) -> String {
    format!("a-{}", short_digest(did.id()))
}

pub(super) fn owner_label(owner: &Account) -> String {
    short_digest(owner.key())
}

fn name_label(owner: &Account, kind: AssetKind, name: &str) -> String {
    Claim::asset_name(owner, kind, name).key().to_string().chars().take(40).collect()
}

fn labels(asset: &Asset) -> BTreeMap<String, String> {
    let pairs = [
        (MANAGED_BY.0, MANAGED_BY.1.to_owned()),
        (OWNER, owner_label(&asset.owner)),
        (NAME, name_label(&asset.owner, kind(asset), &asset.name)),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

fn unreadable(name: &str, problem: &str) -> StoreError {
    StoreError::Unavailable(format!("the document {name} of an asset cannot be used: {problem}"))
}
