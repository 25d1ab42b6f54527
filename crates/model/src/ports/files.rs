use super::StoreFuture;
use crate::{Account, ByteRange, Sha256, Sources, Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

/// The digest and the size of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDigest {
    /// Its content.
    pub sha256: Sha256,
    /// Its size.
    pub bytes: u64,
}

/// A file that an account sent, to be named by its digest in a job or an asset (`{"type": "upload", "sha256": ...}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upload {
    /// What it is.
    #[serde(flatten)]
    pub file: FileDigest,
    /// Who sent it.
    pub owner: Account,
    /// When; the last time, if it was sent more than once.
    pub created: Timestamp,
}

/// Which uploads are asked for, in an order that stays the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadQuery {
    /// Those of this account; none: of all accounts, all of one together.
    pub owner: Option<Account>,
    /// Those that were sent before this moment; none: all.
    pub sent_before: Option<Timestamp>,
    /// Those after this one; none: from the first on. It may be gone.
    pub after: Option<(Account, Sha256)>,
    /// At most so many. Fewer only at the end.
    pub at_most: u32,
}

/// How much may be kept of what accounts send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// Bytes of all uploads of the account.
    pub account: u64,
    /// For a stranger, how much all strangers may have together; none: the account is known.
    pub strangers: Option<StrangerLimit>,
}

/// How much strangers may have together: the Ethereum accounts, which anyone can make, that the operator has not named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrangerLimit {
    /// Bytes of all their uploads. A file counts as [`StrangerLimit::LEAST_FILE`] bytes at least.
    pub bytes: u64,
    /// The keys of the Ethereum accounts that are no strangers.
    pub known: Arc<BTreeSet<String>>,
}

impl StrangerLimit {
    /// What a file takes of a disk, however small it is, in bytes.
    pub const LEAST_FILE: u64 = 4096;
}

impl From<u64> for UploadLimits {
    /// The limit of a known account.
    fn from(account: u64) -> Self {
        Self { account, strangers: None }
    }
}

/// Files that accounts send, to be named by their digest in a job or an asset.
pub trait Uploads: fmt::Debug + Send + Sync {
    /// Starts an upload. The number is good for the next calls to the same process, and forgotten when it ends.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](super::StoreError::Unavailable).
    fn begin_upload(&self) -> StoreFuture<'_, u64>;

    /// Appends to an upload.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing), [`StoreError::Full`](super::StoreError::Full).
    fn append_upload(&self, upload: u64, bytes: Vec<u8>) -> StoreFuture<'_, ()>;

    /// Ends an upload of an account, unless the limits do not permit it: from now on it can name the file. The same file again
    /// costs nothing, and counts as sent now. However many uploads end at once, no limit is exceeded.
    ///
    /// # Errors
    /// As [`Uploads::append_upload`], and [`StoreError::Quota`](super::StoreError::Quota).
    fn finish_upload(
        &self,
        upload: u64,
        owner: Account,
        at: Timestamp,
        limits: UploadLimits,
    ) -> StoreFuture<'_, Upload>;

    /// Forgets an upload that was begun.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](super::StoreError::Unavailable).
    fn drop_upload(&self, upload: u64) -> StoreFuture<'_, ()>;

    /// An account's upload of these bytes; none if the account sent no such file.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](super::StoreError::Unavailable).
    fn upload(&self, sha256: Sha256, owner: Account) -> StoreFuture<'_, Option<Upload>>;

    /// The uploads that are asked for.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](super::StoreError::Unavailable).
    fn uploads(&self, query: UploadQuery) -> StoreFuture<'_, Vec<Upload>>;

    /// The bytes of all uploads of an account together.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](super::StoreError::Unavailable).
    fn upload_bytes(&self, owner: Account) -> StoreFuture<'_, u64>;

    /// Deletes an account's upload: the account can name it no more, and may store as many bytes again. Uploads of the same
    /// file by other accounts stay. The bytes go when no account has the file. With `sent_before`, an upload that was sent again
    /// since then stays, and is as good as missing.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing), [`StoreError::Unavailable`](super::StoreError::Unavailable).
    fn remove_upload(&self, sha256: Sha256, owner: Account, sent_before: Option<Timestamp>) -> StoreFuture<'_, ()>;
}

/// The state of an inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// The files are still being fetched. Asking again with the same sources continues the same inspection.
    Pending,
    /// Every file was fetched: digests and sizes in order. The bytes can be read for a while
    /// ([`Inspections::read_inspected`]).
    Ready(Vec<FileDigest>),
    /// A source could not be read. The text is safe to show and holds no secret of the source. Asking again starts over.
    Failed(String),
}

/// The result of a check of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCheck {
    /// Where it is, as far as it may be shown: at most its scheme and host.
    pub place: String,
    /// What it gave.
    pub outcome: SourceOutcome,
}

/// What a source gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceOutcome {
    /// Its first bytes came, and as far as it was compared it is what was agreed.
    Found {
        /// Its size, in bytes; none if the source does not say.
        bytes: Option<u64>,
        /// The agreed digest, if the whole file was compared with it. Large files are not.
        sha256: Option<Sha256>,
    },
    /// It could not be read, or is not what was agreed. The text is safe to show and holds no secret of the source.
    Failed(String),
    /// It was not checked, because there are too many.
    Skipped,
}

/// A source of a dataset, and the result of its check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedSource {
    /// Where it stands in the description of the dataset, such as `services[0].files[1]`.
    pub field: String,
    /// Where it is, as far as it may be shown: at most its scheme and host.
    pub place: String,
    /// What it gave.
    pub outcome: SourceOutcome,
}

/// The last look at the sources of a dataset, as it is kept beside the dataset, by both engines in this form. Nothing depends on it, so
/// unknown fields are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastCheck {
    /// When the answer was there.
    pub at: Timestamp,
    /// The revision of the dataset whose sources they are.
    pub revision: u64,
    /// The sources, the first [`LastCheck::MOST_SOURCES`] at most.
    pub sources: Vec<CheckedSource>,
    /// How many more the dataset has, of which nothing is kept.
    #[serde(default)]
    pub others: u64,
}

impl LastCheck {
    /// Sources of one dataset of which something is kept.
    pub const MOST_SOURCES: usize = 100;

    /// Characters of what is wrong with one source.
    pub const MOST_PROBLEM_CHARACTERS: usize = 500;

    /// What is kept of a check: a bounded part.
    #[must_use]
    pub fn of(checked: &[CheckedSource], revision: u64, at: Timestamp) -> Self {
        let kept = |source: &CheckedSource| {
            let mut source = source.clone();
            if let SourceOutcome::Failed(problem) = &mut source.outcome
                && let Some((end, _)) = problem.char_indices().nth(Self::MOST_PROBLEM_CHARACTERS)
            {
                problem.truncate(end);
            }
            source
        };
        let others = checked.len().saturating_sub(Self::MOST_SOURCES);
        Self {
            at,
            revision,
            sources: checked.iter().take(Self::MOST_SOURCES).map(kept).collect(),
            others: u64::try_from(others).unwrap_or(u64::MAX),
        }
    }
}

/// Looking at files that lie elsewhere: those of an algorithm when it is published, those of a download.
///
/// Inspections never take resources that jobs need: an inspection that waits for a slow source holds up other inspections
/// at most.
pub trait Inspections: fmt::Debug + Send + Sync {
    /// Starts an inspection of these sources for an account, or continues the one that is under way, and returns its
    /// state: as soon as it has ended, and otherwise after `patience` as [`Inspection::Pending`]. A result is returned
    /// once; the next call looks at the sources again, because they may have changed.
    ///
    /// # Errors
    /// [`StoreError::Full`](super::StoreError::Full) if the account has too many inspections under way;
    /// [`StoreError::Unavailable`](super::StoreError::Unavailable).
    fn inspect(&self, account: Account, sources: Sources, patience: Duration) -> StoreFuture<'_, Inspection>;

    /// Looks at each of these sources for an account: whether it answers, how large it is, and, of small files with an agreed
    /// digest, whether it is what was agreed. Nothing of them is kept. None if that takes longer than `patience`; asking again
    /// with the same sources continues the same check. A result is returned once.
    ///
    /// A check asks nothing that a job on these sources would not ask, and keeps to the same rules about addresses.
    ///
    /// # Errors
    /// [`StoreError::Full`](super::StoreError::Full) if the account has too many checks under way;
    /// [`StoreError::Unavailable`](super::StoreError::Unavailable).
    fn check_sources(
        &self,
        account: Account,
        sources: Sources,
        patience: Duration,
    ) -> StoreFuture<'_, Option<Vec<SourceCheck>>>;

    /// A part of a file that an inspection fetched, or that was uploaded. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing): inspect it again.
    fn read_inspected(&self, sha256: Sha256, range: ByteRange) -> StoreFuture<'_, Vec<u8>>;
}
