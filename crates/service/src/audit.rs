use crate::{NeedsRole, Principal, UseCases};
use cloister_model::{AuditRecord, Role, StoreError};

/// A part of the audit log.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The records, the oldest first.
    pub records: Vec<AuditRecord>,
    /// Whether there are more after them.
    pub more: bool,
}

/// Why the audit log was not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Only operators see it.
    #[error(transparent)]
    Role(#[from] NeedsRole),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UseCases {
    /// The audit records after this place, at most so many.
    ///
    /// # Errors
    /// If the caller is not an operator, or the store cannot be reached.
    pub async fn audit(&self, who: &Principal, after: u64, at_most: u32) -> Result<AuditPage, AuditError> {
        who.must_be(Role::Operator)?;
        let counted = self.denials().flush();
        if !counted.is_empty() {
            self.backend().record(counted).await?;
        }
        // One more, to know whether there are more.
        let mut records = self.backend().records(after, at_most.saturating_add(1)).await?;
        let more = records.len() > at_most as usize;
        records.truncate(at_most as usize);
        Ok(AuditPage { records, more })
    }
}
