use super::ClusterStore;
use crate::{
    cluster::{CallError, call},
    resources,
    store::{MANAGED_BY, Pending},
};
use cloister_model::{Account, ApiKey, AuditEvent, KeyId, Keyring, StoreError, StoreFuture, Timestamp};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

/// The most keys in one answer.
const MOST: usize = 10_000;

/// How often a key that changes meanwhile is read again.
const ATTEMPTS: u32 = 5;

/// What is kept of a key in memory.
pub(super) fn read(resource: &resources::ApiKey) -> Option<ApiKey> {
    resource.key().ok()
}

fn object(id: &KeyId) -> String {
    format!("ApiKey/{id}")
}

impl Keyring for ClusterStore {
    fn put_key(&self, key: ApiKey, record: AuditEvent) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut resource = resources::ApiKey::of(&key);
            let (mut annotations, mut labels) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
            labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
            Pending::default().with(&object(&key.id), record).put(&mut annotations, &mut labels);
            resource.metadata.annotations = Some(annotations);
            resource.metadata.labels = Some(labels);
            let api: Api<resources::ApiKey> = self.inner.cluster.system();
            let created = match call("create a key", || async { api.create(&PostParams::default(), &resource).await })
                .await
            {
                Ok(created) => created,
                Err(CallError::Exists) => {
                    // The first attempt may have been done: its events tell whose it was.
                    let found = call("read a key", || async { api.get_opt(key.id.as_str()).await }).await?;
                    found
                        .filter(|found| {
                            found.spec == resource.spec && found.metadata.annotations == resource.metadata.annotations
                        })
                        .ok_or(StoreError::Conflict)?
                }
                Err(error) => return Err(error.into()),
            };
            self.inner.flush(&api, &created).await?;
            self.inner.keys.take_in(&created, read);
            Ok(())
        })
    }

    fn key(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>> {
        Box::pin(async move {
            if let Some(key) = self.inner.keys.get(id.as_str()) {
                return Ok(Some(key));
            }
            // Another replica may have made it just now.
            let api: Api<resources::ApiKey> = self.inner.cluster.system();
            let found = call("read a key", || async { api.get_opt(id.as_str()).await }).await?;
            Ok(found.as_ref().and_then(read))
        })
    }

    fn keys(&self, account: Option<Account>) -> StoreFuture<'_, Vec<ApiKey>> {
        Box::pin(async move {
            let mut keys = Vec::new();
            self.inner.keys.each(|key| {
                if account.as_ref().is_none_or(|account| key.account == *account) {
                    keys.push(key.clone());
                }
            });
            keys.sort_by(|one, other| (other.created, &other.id).cmp(&(one.created, &one.id)));
            keys.truncate(MOST);
            Ok(keys)
        })
    }

    fn revoke_key(&self, id: KeyId, at: Timestamp, record: AuditEvent) -> StoreFuture<'_, ApiKey> {
        Box::pin(async move {
            let api: Api<resources::ApiKey> = self.inner.cluster.system();
            for _ in 0..ATTEMPTS {
                let found = call("read a key", || async { api.get_opt(id.as_str()).await })
                    .await?
                    .ok_or(StoreError::Missing)?;
                let key = read(&found).ok_or(StoreError::Missing)?;
                if key.revoked.is_some() {
                    self.inner.keys.take_in(&found, read);
                    // The replica that revoked it may have been killed before it was on record.
                    self.inner.flush(&api, &found).await?;
                    return Ok(key);
                }
                let pending = Pending::of(found.metadata.annotations.as_ref())?.with(&object(&id), record.clone());
                let mut metadata = pending.patch();
                metadata["resourceVersion"] = json!(found.resource_version());
                metadata["uid"] = json!(found.uid());
                let revoked = resources::Moment::from(at);
                let patch = Patch::Merge(json!({"metadata": metadata, "spec": {"revoked": revoked}}));
                let name = id.as_str();
                match call("revoke a key", || async { api.patch(name, &PatchParams::default(), &patch).await }).await {
                    Ok(revoked) => {
                        self.inner.keys.take_in(&revoked, read);
                        self.inner.flush(&api, &revoked).await?;
                        return read(&revoked).ok_or(StoreError::Missing);
                    }
                    Err(CallError::Conflict) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(StoreError::Conflict)
        })
    }
}
