use super::{ClusterStore, Inner};
use crate::store::{Entry, Place};
use cloister_model::{Archived, AuditEvent, AuditLog, AuditRecord, StoreError, StoreFuture};
use std::sync::Arc;

/// The most records in one answer.
const MOST: u32 = 10_000;

/// How often records are looked for that are moved meanwhile.
const ATTEMPTS: u32 = 3;

impl AuditLog for ClusterStore {
    fn record(&self, events: Vec<AuditEvent>) -> StoreFuture<'_, ()> {
        let entries = events.into_iter().map(|event| Entry { event, id: None }).collect();
        Box::pin(async { Ok(self.inner.audit.append(entries).await?) })
    }

    fn records(&self, after: u64, at_most: u32) -> StoreFuture<'_, Vec<AuditRecord>> {
        Box::pin(async move {
            let at_most = usize::try_from(at_most.min(MOST)).unwrap_or(usize::MAX);
            self.inner.records(after, at_most).await
        })
    }

    fn archive(&self, archived: Archived, event: AuditEvent) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.inner.take_out(archived, event).await })
    }
}

impl Inner {
    /// The records after a place, wherever they are.
    async fn records(&self, after: u64, at_most: usize) -> Result<Vec<AuditRecord>, StoreError> {
        if at_most == 0 {
            return Ok(Vec::new());
        }
        for _ in 0..ATTEMPTS {
            if let Some(records) = self.records_there(after, at_most).await? {
                return Ok(records);
            }
            // They were sealed or taken out meanwhile, by another process perhaps.
            self.audit.forget().await;
        }
        let text = format!(
            "records of the audit log after {after} are not in the result store, or are not those that were sealed; the operator can \
             restore the folder archive of the store"
        );
        Err(StoreError::Unavailable(text))
    }

    /// The same; none: records are not where this process knows them.
    async fn records_there(&self, after: u64, at_most: usize) -> Result<Option<Vec<AuditRecord>>, StoreError> {
        let mut records = Vec::new();
        for place in self.audit.places(after).await? {
            let found = match place {
                Place::Sealed(segment) => self.sealed_records(&segment).await?,
                Place::Piece(first) => self.audit.piece(first).await?.map(Arc::new),
            };
            let Some(found) = found else { return Ok(None) };
            let wanted = found.iter().filter(|record| record.sequence > after);
            records.extend(wanted.take(at_most - records.len()).cloned());
            if records.len() == at_most {
                break;
            }
        }
        Ok(Some(records))
    }

    /// Puts on record that the records up to a place were archived, and takes out the segments and pieces that hold no later ones, the
    /// first one first: whenever this is cut off, what is left is a chain, and the next call goes on.
    async fn take_out(&self, archived: Archived, event: AuditEvent) -> Result<(), StoreError> {
        let Archived { through, hash } = archived;
        let found = self.records(through.saturating_sub(1), 1).await?;
        if found.first().is_none_or(|found| (found.sequence, found.hash) != (through, hash)) {
            return Err(StoreError::Missing);
        }
        self.audit.append(vec![Entry { event, id: None }]).await?;
        for segment in self.audit.segments().await? {
            if segment.counts() && segment.form.through <= through {
                self.remove_segment(&segment).await?;
            }
        }
        self.audit.remove_pieces(through).await?;
        self.audit.forget().await;
        Ok(())
    }
}
