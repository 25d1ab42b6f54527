use crate::{
    LocalEngine,
    store::{Durability, Write, assets, audit, keys, nonces},
    times::now,
};
use cloister_model::{
    Account, ApiKey, Asset, AssetKind, AssetQuery, AuditEvent, AuditLog, AuditRecord, Did, KeyId, Keyring, Nonces,
    Registry, StoreFuture, Timestamp,
};
use std::sync::PoisonError;

/// Entries of one list.
const MOST: u32 = 1000;
/// Keys that are remembered; then all are forgotten and asked for again.
const MOST_KEYS: usize = 10_000;

impl Registry for LocalEngine {
    fn put_asset(&self, asset: Asset, record: AuditEvent) -> StoreFuture<'_, ()> {
        Box::pin(async {
            let put = move |write: &mut Write<'_>| {
                assets::put(write, &asset)?;
                Ok(audit::record(write, record)?)
            };
            self.core.store.write(Durability::Disk, put).await?;
            // Results may have lost the asset that they were kept for.
            self.core.shared.sweep.notify_one();
            Ok(())
        })
    }

    fn asset(&self, did: Did) -> StoreFuture<'_, Option<Asset>> {
        Box::pin(async move { Ok(self.core.store.read(|db| assets::get(db, &did))?) })
    }

    fn asset_named(&self, owner: Account, kind: AssetKind, name: String) -> StoreFuture<'_, Option<Asset>> {
        Box::pin(async move { Ok(self.core.store.read(|db| assets::named(db, &owner, kind, &name))?) })
    }

    fn assets(&self, query: AssetQuery) -> StoreFuture<'_, Vec<Asset>> {
        Box::pin(async move {
            let query = AssetQuery { at_most: query.at_most.min(MOST), ..query };
            Ok(self.core.store.read_long(move |db| assets::list(db, &query)).await?)
        })
    }
}

impl Keyring for LocalEngine {
    fn put_key(&self, key: ApiKey, record: AuditEvent) -> StoreFuture<'_, ()> {
        let put = move |write: &mut Write<'_>| {
            keys::put(write, &key)?;
            Ok(audit::record(write, record)?)
        };
        Box::pin(async { self.core.store.write(Durability::Disk, put).await })
    }

    fn key(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>> {
        Box::pin(async move {
            let known = self.core.keys.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
            if known.is_some() {
                return Ok(known);
            }
            // Held while reading: a key that is revoked meanwhile is not put back as it was.
            let mut known = self.core.keys.write().unwrap_or_else(PoisonError::into_inner);
            let Some(key) = self.core.store.read(|db| keys::get(db, &id))? else { return Ok(None) };
            if known.len() >= MOST_KEYS {
                known.clear();
            }
            known.insert(id, key.clone());
            Ok(Some(key))
        })
    }

    fn keys(&self, account: Option<Account>) -> StoreFuture<'_, Vec<ApiKey>> {
        Box::pin(async { Ok(self.core.store.read_long(move |db| keys::list(db, account.as_ref())).await?) })
    }

    fn revoke_key(&self, id: KeyId, at: Timestamp, record: AuditEvent) -> StoreFuture<'_, ApiKey> {
        Box::pin(async move {
            let wanted = id.clone();
            let revoke = move |write: &mut Write<'_>| {
                let (key, changed) = keys::revoke(write, &wanted, at)?;
                if changed {
                    audit::record(write, record)?;
                }
                Ok(key)
            };
            let key = self.core.store.write(Durability::Disk, revoke).await?;
            self.core.keys.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
            Ok(key)
        })
    }
}

impl Nonces for LocalEngine {
    fn claim_nonce(&self, account: Account, nonce: String, until: Timestamp) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.core
                .store
                .write(Durability::Process, move |write| Ok(nonces::claim(write, &account, &nonce, until, now())?))
                .await
        })
    }
}

impl AuditLog for LocalEngine {
    fn record(&self, events: Vec<AuditEvent>) -> StoreFuture<'_, ()> {
        Box::pin(async {
            self.core
                .store
                .write(Durability::Disk, move |write| {
                    for event in events {
                        audit::record(write, event)?;
                    }
                    Ok(())
                })
                .await
        })
    }

    fn records(&self, after: u64, at_most: u32) -> StoreFuture<'_, Vec<AuditRecord>> {
        Box::pin(async move {
            let at_most = at_most.min(10 * MOST);
            Ok(self.core.store.read_long(move |db| audit::records(db, after, at_most)).await?)
        })
    }
}
