use super::StoreFuture;
use crate::{Account, ByteRange, Sha256, Sources, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDigest {
    /// Its content.
    pub sha256: Sha256,
    /// Its size.
    pub bytes: u64,
}

/// A file that somebody sent, to be named by its digest in a job or an asset (`{"type": "upload", "sha256": ...}`).
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

/// Files that the door needs to see: uploads, and those of assets.
pub trait Files: fmt::Debug + Send + Sync {
    /// Starts an upload. The number is good for the next two calls, and forgotten when the program ends.
    fn begin_upload(&self) -> StoreFuture<'_, u64>;

    /// Adds to an upload.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing), [`StoreError::Full`](super::StoreError::Full).
    fn append_upload(&self, upload: u64, bytes: Vec<u8>) -> StoreFuture<'_, ()>;

    /// Ends an upload: from now on it can be named. The same file again changes nothing.
    fn finish_upload(&self, upload: u64, owner: Account, at: Timestamp) -> StoreFuture<'_, Upload>;

    /// Forgets an upload that was begun.
    fn drop_upload(&self, upload: u64) -> StoreFuture<'_, ()>;

    /// An account's upload of these bytes; none if it sent no such file.
    fn upload(&self, sha256: Sha256, owner: Account) -> StoreFuture<'_, Option<Upload>>;

    /// Fetches files and says what they are. They stay in the cache for a while,
    /// for [`Files::read_file`].
    ///
    /// # Errors
    /// [`StoreError::Source`](super::StoreError::Source).
    fn fetch_files(&self, files: Sources) -> StoreFuture<'_, Vec<FileDigest>>;

    /// A part of a file that was fetched or uploaded. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing): fetch it again.
    fn read_file(&self, sha256: Sha256, range: ByteRange) -> StoreFuture<'_, Vec<u8>>;
}
