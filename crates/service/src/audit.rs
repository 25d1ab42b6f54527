use crate::{NeedsRole, Principal, UseCases};
use cloister_model::{Archived, AuditAction, AuditEvent, AuditRecord, EngineError, Role, Sha256, StoreError};

/// A part of the audit log.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The records, the oldest first.
    pub records: Vec<AuditRecord>,
    /// Whether there are more after them.
    pub more: bool,
}

/// Why the audit log was not shown, or nothing was taken out of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Only operators see all of it, and publishers what is about their assets.
    #[error(transparent)]
    Role(#[from] NeedsRole),
    /// The log does not have that record.
    #[error("the log has no record {0} with this hash; verify what you archived, and archive again")]
    NoSuchRecord(u64),
    /// The record is to stay in the log.
    #[error(
        "record {0} is younger than the {1} days that records stay in the log; archive older ones, or ask for a shorter `audit.keep`"
    )]
    TooYoung(u64, u64),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
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

    /// Takes the records up to this one out of the log: the caller has archived them, and names the hash of the last one to show
    /// that it has the same. That they were archived stays on record.
    ///
    /// # Errors
    /// If the caller is not an operator, the log has no such record, the record is younger than
    /// [`Options::audit_keep`](crate::Options::audit_keep), or the store cannot be reached.
    pub async fn archive_audit(&self, who: &Principal, through: u64, hash: Sha256) -> Result<(), AuditError> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        who.must_be(Role::Operator)?;
        let found = self.backend().records(through.saturating_sub(1), 1).await?;
        let record = found.into_iter().find(|record| (record.sequence, record.hash) == (through, hash));
        let record = record.ok_or(AuditError::NoSuchRecord(through))?;
        let keep = u64::try_from(self.options().audit_keep.as_millis()).unwrap_or(u64::MAX);
        if record.event.at.unix_ms().saturating_add(keep) > self.now().unix_ms() {
            return Err(AuditError::TooYoung(through, keep / DAY_MS));
        }
        let archived = Archived { through, hash };
        let event = AuditEvent {
            at: self.now(),
            actor: who.account.key().to_owned(),
            action: AuditAction::AuditArchived,
            subject: "audit".to_owned(),
            detail: serde_json::to_string(&archived).unwrap_or_default(),
        };
        match self.backend().archive(archived, event).await {
            Err(StoreError::Missing) => Err(AuditError::NoSuchRecord(through)),
            archived => Ok(archived?),
        }
    }
}
