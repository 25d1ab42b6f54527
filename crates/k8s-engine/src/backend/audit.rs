use super::ClusterStore;
use crate::store::Entry;
use cloister_model::{Archived, AuditEvent, AuditLog, AuditRecord, StoreFuture};

/// The most records in one answer.
const MOST: u32 = 10_000;

impl AuditLog for ClusterStore {
    fn record(&self, events: Vec<AuditEvent>) -> StoreFuture<'_, ()> {
        let entries = events.into_iter().map(|event| Entry { event, id: None }).collect();
        Box::pin(async { Ok(self.inner.audit.append(entries).await?) })
    }

    fn records(&self, after: u64, at_most: u32) -> StoreFuture<'_, Vec<AuditRecord>> {
        Box::pin(async move {
            let at_most = usize::try_from(at_most.min(MOST)).unwrap_or(usize::MAX);
            Ok(self.inner.audit.records(after, at_most).await?)
        })
    }

    fn archive(&self, archived: Archived, event: AuditEvent) -> StoreFuture<'_, ()> {
        Box::pin(async move { Ok(self.inner.audit.archive(archived, event).await?) })
    }
}
