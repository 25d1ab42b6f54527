use super::MOST;
use crate::{
    LocalEngine,
    store::{Durability, Write, assets, audit},
};
use cloister_model::{
    Account, Asset, AssetKind, AssetList, AssetQuery, AuditEvent, Did, LastCheck, Registry, StoreFuture,
};

impl Registry for LocalEngine {
    fn put_asset(&self, asset: Asset, most: u64, record: AuditEvent) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let put = move |write: &mut Write<'_>| {
                assets::refuse_if_too_many(write, &asset, most)?;
                assets::put(write, &asset, None)?;
                Ok(audit::record(write, record)?)
            };
            self.core.store.write(Durability::Disk, put).await?;
            // A withdrawn asset no longer needs the results that were kept for it, and a changed one may need others.
            self.core.shared.sweep.notify_one();
            Ok(())
        })
    }

    fn asset(&self, did: Did) -> StoreFuture<'_, Option<Asset>> {
        Box::pin(async move { Ok(self.core.store.asset(&did)?) })
    }

    fn asset_named(&self, owner: Account, kind: AssetKind, name: String) -> StoreFuture<'_, Option<Asset>> {
        Box::pin(async move { Ok(self.core.store.read(|db| assets::named(db, &owner, kind, &name))?) })
    }

    fn asset_count(&self, owner: Account) -> StoreFuture<'_, u64> {
        Box::pin(async move { Ok(self.core.store.read(|db| assets::count(db, &owner))?) })
    }

    fn assets(&self, query: AssetQuery) -> StoreFuture<'_, AssetList> {
        Box::pin(async move {
            let query = AssetQuery { at_most: query.at_most.min(MOST), ..query };
            Ok(self.core.store.read_long(move |db| assets::list(db, &query)).await?)
        })
    }

    fn put_check(&self, dataset: Did, check: LastCheck) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let put = move |write: &mut Write<'_>| assets::put_check(write, &dataset, &check);
            self.core.store.write(Durability::Process, put).await
        })
    }

    fn last_check(&self, dataset: Did) -> StoreFuture<'_, Option<LastCheck>> {
        Box::pin(async move { Ok(self.core.store.read(|db| assets::last_check(db, &dataset))?) })
    }
}
