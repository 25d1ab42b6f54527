use super::StoreFuture;
use crate::{Account, ByteRange, Sha256, Sources, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

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
    /// When.
    pub created: Timestamp,
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

    /// Ends an upload: from now on the account can name it. The same file again changes nothing.
    ///
    /// # Errors
    /// As [`Uploads::append_upload`].
    fn finish_upload(&self, upload: u64, owner: Account, at: Timestamp) -> StoreFuture<'_, Upload>;

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

    /// A part of a file that an inspection fetched, or that was uploaded. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing): inspect it again.
    fn read_inspected(&self, sha256: Sha256, range: ByteRange) -> StoreFuture<'_, Vec<u8>>;
}
