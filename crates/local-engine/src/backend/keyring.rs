use crate::{
    LocalEngine,
    store::{Durability, Write, audit, keys},
};
use cloister_model::{Account, ApiKey, AuditEvent, KeyId, Keyring, StoreFuture, Timestamp};

impl Keyring for LocalEngine {
    fn put_key(&self, key: ApiKey, record: AuditEvent) -> StoreFuture<'_, ()> {
        let put = move |write: &mut Write<'_>| {
            keys::put(write, &key)?;
            Ok(audit::record(write, record)?)
        };
        Box::pin(async { self.core.store.write(Durability::Disk, put).await })
    }

    fn key(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>> {
        let key = self.core.keys.get(&id, || self.core.store.read(|db| keys::get(db, &id)));
        Box::pin(std::future::ready(key.map_err(Into::into)))
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
            self.core.keys.revoked(&id);
            Ok(key)
        })
    }
}
