use super::StoreFuture;
use crate::{Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::fmt;

/// What was done: one name everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AuditAction {
    /// A submission was allowed.
    JobAllowed,
    /// A submission was denied; or, by the engine, a job that waited is not allowed any more.
    JobDenied,
    /// An account asked for a job to be stopped.
    JobStopped,
    /// An account asked for results to be stored at once that wait for the result store.
    PublishingAsked,
    /// A job was removed.
    JobRemoved,
    /// Results became readable.
    Released,
    /// Results were kept back.
    ReleaseRefused,
    /// A reviewer said yes or no.
    Reviewed,
    /// A released file was read, or a withheld log.
    ResultDownloaded,
    /// A publisher let the consumer read a withheld log.
    LogReleased,
    /// A file of an asset was read.
    FileDownloaded,
    /// An asset was published or changed.
    AssetPublished,
    /// An asset's permissions were changed.
    PermissionsChanged,
    /// An asset was withdrawn.
    AssetWithdrawn,
    /// A key was made.
    KeyCreated,
    /// A key was revoked.
    KeyRevoked,
    /// Records were taken out of the log; the detail says up to which one ([`Archived`]).
    AuditArchived,
}

impl AuditAction {
    /// The name in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobAllowed => "job-allowed",
            Self::JobDenied => "job-denied",
            Self::JobStopped => "job-stopped",
            Self::PublishingAsked => "publishing-asked",
            Self::JobRemoved => "job-removed",
            Self::Released => "released",
            Self::ReleaseRefused => "release-refused",
            Self::Reviewed => "reviewed",
            Self::ResultDownloaded => "result-downloaded",
            Self::LogReleased => "log-released",
            Self::FileDownloaded => "file-downloaded",
            Self::AssetPublished => "asset-published",
            Self::PermissionsChanged => "permissions-changed",
            Self::AssetWithdrawn => "asset-withdrawn",
            Self::KeyCreated => "key-created",
            Self::KeyRevoked => "key-revoked",
            Self::AuditArchived => "audit-archived",
        }
    }
}

/// Something to be put on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Who: an account, or `engine`.
    pub actor: String,
    /// What was done.
    pub action: AuditAction,
    /// To what: a job, a DID, a key's id.
    pub subject: String,
    /// The particulars, as JSON text: kept letter for letter, because the chain covers the letters. No secrets.
    pub detail: String,
}

/// What a record of [`AuditAction::AuditArchived`] says: all records up to this one were archived, and may be missing in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Archived {
    /// The last one of them.
    pub through: u64,
    /// Its hash.
    pub hash: Sha256,
}

impl Archived {
    /// What this record says was archived; none if it is about something else.
    #[must_use]
    pub fn of(record: &AuditRecord) -> Option<Self> {
        let AuditEvent { action, detail, .. } = &record.event;
        let said: Option<Self> = serde_json::from_str(detail).ok();
        said.filter(|said| *action == AuditAction::AuditArchived && said.through < record.sequence)
    }
}

/// An event on record, chained to the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditRecord {
    /// Its place, from 1, without gaps.
    pub sequence: u64,
    /// What happened.
    pub event: AuditEvent,
    /// The hash of the record before it; of nothing but zeros for the first.
    pub previous: Sha256,
    /// SHA-256 over all of the above: see [`AuditRecord::next`].
    pub hash: Sha256,
}

/// A record that does not follow from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditBreak {
    /// Records are missing, or were put in.
    #[error("record {0} is missing or out of order")]
    Sequence(u64),
    /// It names another record as the one before it.
    #[error("record {0} does not follow from the one before it")]
    Previous(u64),
    /// Its content is not what its hash says.
    #[error("record {0} was changed")]
    Content(u64),
}

impl AuditRecord {
    /// The record of an event after the given one; the first, after none.
    ///
    /// The hash covers, each with its length in bytes before it: sequence, hash of the record before, time in
    /// milliseconds, actor, action, subject, detail.
    #[must_use]
    pub fn next(last: Option<(u64, Sha256)>, event: AuditEvent) -> Self {
        let (sequence, previous) = last.map_or((1, Sha256::from_bytes([0; 32])), |(last, hash)| (last + 1, hash));
        let hash = Self::digest(sequence, &previous, &event);
        Self { sequence, event, previous, hash }
    }

    /// Checks that it follows from the given one.
    ///
    /// # Errors
    /// What is broken.
    pub fn verify(&self, last: Option<(u64, Sha256)>) -> Result<(), AuditBreak> {
        let Self { sequence, event, previous, hash } = self;
        let (expected, before) = last.map_or((1, Sha256::from_bytes([0; 32])), |(last, hash)| (last + 1, hash));
        if *sequence != expected {
            return Err(AuditBreak::Sequence(expected));
        }
        if *previous != before {
            return Err(AuditBreak::Previous(expected));
        }
        if *hash != Self::digest(*sequence, previous, event) { Err(AuditBreak::Content(expected)) } else { Ok(()) }
    }

    fn digest(sequence: u64, previous: &Sha256, event: &AuditEvent) -> Sha256 {
        let AuditEvent { at, actor, action, subject, detail } = event;
        let mut hash = sha2::Sha256::new();
        for part in [
            sequence.to_string().as_str(),
            &previous.to_string(),
            &at.unix_ms().to_string(),
            actor,
            action.as_str(),
            subject,
            detail,
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Sha256::from_bytes(hash.finalize().into())
    }
}

/// The record of what was decided, released and read. It only grows at its end. From its beginning, what was archived can be
/// taken out; a record of that stays.
pub trait AuditLog: fmt::Debug + Send + Sync {
    /// Puts events on record, in their order. Done when they are stored for good.
    fn record(&self, events: Vec<AuditEvent>) -> StoreFuture<'_, ()>;

    /// The records after a place, at most so many. The first ones of the log may be archived: then the answer begins with the
    /// first one that is there.
    fn records(&self, after: u64, at_most: u32) -> StoreFuture<'_, Vec<AuditRecord>>;

    /// Puts on record that the records up to a place were archived, and takes them out. That event is on record for good
    /// before any is taken out. An engine may take out fewer: those that it keeps together with later ones stay.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing) if the log does not have that record, or it has another hash: then
    /// nothing is changed.
    fn archive(&self, archived: Archived, event: AuditEvent) -> StoreFuture<'_, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(detail: &str) -> AuditEvent {
        AuditEvent {
            at: Timestamp::from_unix_ms(5),
            actor: "alice".to_owned(),
            action: AuditAction::JobDenied,
            subject: "did:op:a".to_owned(),
            detail: detail.to_owned(),
        }
    }

    #[test]
    fn a_chain_shows_every_change() {
        let first = AuditRecord::next(None, event("{}"));
        let head = Some((first.sequence, first.hash));
        let second = AuditRecord::next(head, event("[]"));
        assert_eq!((first.verify(None), second.verify(head)), (Ok(()), Ok(())));
        assert_eq!(second.verify(None), Err(AuditBreak::Sequence(1)));
        let mut other = first.clone();
        other.event.actor = "bob".to_owned();
        assert_eq!(other.verify(None), Err(AuditBreak::Content(1)));
        let rewritten = AuditRecord::next(None, event("{} "));
        assert_eq!(second.verify(Some((1, rewritten.hash))), Err(AuditBreak::Previous(2)));
    }

    #[test]
    fn names_are_those_of_the_json() {
        for action in [AuditAction::JobAllowed, AuditAction::ReleaseRefused, AuditAction::KeyRevoked] {
            assert_eq!(serde_json::to_value(action).expect("json"), action.as_str());
        }
    }
}
