use super::MOST;
use crate::{
    LocalEngine,
    store::{Durability, Write, audit},
};
use cloister_model::{Archived, AuditEvent, AuditLog, AuditRecord, StoreFuture};

impl AuditLog for LocalEngine {
    fn record(&self, events: Vec<AuditEvent>) -> StoreFuture<'_, ()> {
        let record = move |write: &mut Write<'_>| {
            for event in events {
                audit::record(write, event)?;
            }
            Ok(())
        };
        Box::pin(self.core.store.write(Durability::Disk, record))
    }

    fn records(&self, after: u64, at_most: u32) -> StoreFuture<'_, Vec<AuditRecord>> {
        Box::pin(async move {
            let at_most = at_most.min(10 * MOST);
            Ok(self.core.store.read_long(move |db| audit::records(db, after, at_most)).await?)
        })
    }

    fn archive(&self, archived: Archived, event: AuditEvent) -> StoreFuture<'_, ()> {
        let archive = move |write: &mut Write<'_>| audit::archive(write, archived, event);
        Box::pin(self.core.store.write(Durability::Disk, archive))
    }
}
