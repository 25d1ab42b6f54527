//! Files that accounts sent, for engines that keep them in the store of results, where every process finds them.
//!
//! The content is at `uploads/<sha256>`, once for all accounts. That an account may name it is a small marker in the folder of
//! that account, written after the content: wherever storing is cut short, nothing can be named that is not there.
//!
//! What an account may store is limited across all processes without a lock: a process first writes a reservation, then adds
//! up what the account has and what is being stored for it, and only then stores the content. Of two processes, the one that
//! adds up last sees the reservation of the other. Both may be refused where one of them would have fitted; too much is never
//! stored.

use super::{
    Outgoing, PublishError, ResultStore,
    backend::Shipment,
    upload_names::{self as names, Name, Uploader},
};
use cloister_files::{ProgressCounter, Watch};
use cloister_model::{Account, ByteRange, FileDigest, ResultKind, Sha256, StoreError, Timestamp, Upload};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};
use tokio::sync::Mutex;

/// The version of markers that this code writes. Readers refuse versions that they do not know.
const VERSION: &str = "cloister.dev/upload/v1";

/// Files that one account may have, however small: they are listed with every upload.
const MOST_FILES: usize = 100_000;

/// Why an upload was not kept. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The account has as much as it may. Nothing was stored.
    #[error("{0}")]
    Full(String),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] PublishError),
}

impl From<UploadError> for StoreError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Full(text) => Self::Full(text),
            UploadError::Store(error) => Self::Unavailable(error.to_string()),
        }
    }
}

/// What a marker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Marker {
    version: String,
    owner: Account,
    created: Timestamp,
}

impl Marker {
    fn read(text: &[u8], owner: &Account) -> Result<Self, PublishError> {
        let marker: Option<Self> = serde_json::from_slice(text).ok();
        let known = marker.filter(|marker| marker.version == VERSION && marker.owner == *owner);
        known.ok_or_else(|| PublishError::Store("the marker of an upload is not one, or of another version".to_owned()))
    }

    fn write(&self) -> Result<Vec<u8>, PublishError> {
        serde_json::to_vec(self)
            .map_err(|_| PublishError::Store("the marker of an upload cannot be written".to_owned()))
    }
}

impl ResultStore {
    /// Keeps the file at `path`, which is `file`, for an account that may have so many bytes in all. From now on the account
    /// can name it. The same file again changes nothing. `at` is the present time.
    ///
    /// Any number of processes may do this at once. Let it run to its end: if it is dropped, what it reserved counts for a
    /// day, and content may stay that nobody can name.
    ///
    /// # Errors
    /// [`UploadError::Full`], before anything is stored; [`UploadError::Store`] if the store fails, or the file is not what
    /// it should be.
    pub async fn put_upload(
        &self,
        path: &Path,
        file: FileDigest,
        owner: &Account,
        at: Timestamp,
        most_bytes_of_account: u64,
    ) -> Result<Upload, UploadError> {
        if let Some(before) = self.upload(file.sha256, owner).await? {
            return Ok(before);
        }
        let uploader = Uploader::of(owner);
        let reservation = uploader.path(&Name::Reservation(file, at, random()?));
        self.backend.put_new(&reservation, Vec::new()).await?;
        let fits = self.check_fits(uploader, file, at, most_bytes_of_account).await;
        let stored = match fits {
            Ok(()) => self.send_content(path, file).await.map_err(UploadError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = stored {
            // If it cannot be removed, it counts for a day.
            let _ = self.backend.remove_at(&reservation).await;
            return Err(error);
        }
        // If this fails, the reservation stays and counts: the content is there.
        let upload = self.mark(uploader, Upload { file, owner: owner.clone(), created: at }).await?;
        let _ = self.backend.remove_at(&reservation).await;
        Ok(upload)
    }

    /// An account's upload of these bytes; none if the account sent no such file, or the store does not have it whole.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn upload(&self, sha256: Sha256, owner: &Account) -> Result<Option<Upload>, PublishError> {
        let Some(bytes) = self.upload_size(sha256).await? else { return Ok(None) };
        let file = FileDigest { sha256, bytes };
        let marker = Uploader::of(owner).path(&Name::Marker(file));
        let Some(marker) = self.backend.get_at(&marker).await? else { return Ok(None) };
        let Marker { version: _, owner, created } = Marker::read(&marker, owner)?;
        Ok(Some(Upload { file, owner, created }))
    }

    /// The size of an upload of whatever account, in bytes; none if there is no such upload.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn upload_size(&self, sha256: Sha256) -> Result<Option<u64>, PublishError> {
        self.backend.size_at(&names::content(sha256)).await
    }

    /// A part of an upload of whatever account, shorter than asked for only at its end; none if there is no such upload. The
    /// bytes are as the store has them: who needs to be sure checks the digest of the whole.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read_upload(&self, sha256: Sha256, range: ByteRange) -> Result<Option<Vec<u8>>, PublishError> {
        let Some(bytes) = self.upload_size(sha256).await? else { return Ok(None) };
        let length = range.length_in(bytes);
        if length == 0 {
            return Ok(Some(Vec::new()));
        }
        self.backend.read_at(&names::content(sha256), range.offset, length).await
    }

    /// The bytes of all uploads of an account together.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn upload_bytes(&self, owner: &Account) -> Result<u64, PublishError> {
        let found = self.names_of(Uploader::of(owner)).await?;
        Ok(names::bytes(found.iter().filter(|name| matches!(name, Name::Marker(_))), None))
    }

    async fn names_of(&self, uploader: Uploader) -> Result<Vec<Name>, PublishError> {
        // Twice as many, because a file can have a marker and a reservation.
        let found = self.backend.names(&uploader.folder(), MOST_FILES * 2).await?;
        Ok(found.iter().filter_map(|name| Name::read(name)).collect())
    }

    /// Whether the account may store this file too, which is reserved for it.
    async fn check_fits(
        &self,
        uploader: Uploader,
        file: FileDigest,
        now: Timestamp,
        most_bytes: u64,
    ) -> Result<(), UploadError> {
        let (left_behind, counted): (Vec<Name>, Vec<Name>) =
            self.names_of(uploader).await?.into_iter().partition(|name| name.is_left_behind(now));
        for name in left_behind {
            self.backend.remove_at(&uploader.path(&name)).await?;
        }
        if counted.len() > MOST_FILES {
            return Err(UploadError::Full(format!("one account may upload {MOST_FILES} files")));
        }
        let used = names::bytes(&counted, Some(file));
        if used.saturating_add(file.bytes) > most_bytes {
            return Err(UploadError::Full(format!("one account may upload {most_bytes} bytes, and {used} are used")));
        }
        Ok(())
    }

    /// Stores the content, also if there is some: content that was damaged becomes whole.
    async fn send_content(&self, path: &Path, file: FileDigest) -> Result<(), PublishError> {
        let outgoing =
            Outgoing { name: file.sha256.to_string(), kind: ResultKind::Output, path: path.to_owned(), expected: file };
        let watch = Watch::unwatched();
        // If this is dropped, the thread that reads and writes ends, too.
        let _ended = watch.cancel.clone().drop_guard();
        let shipment = Shipment {
            file: outgoing,
            recipient: None,
            progress: Arc::new(ProgressCounter::new(&watch)),
            cancel: watch.cancel.clone(),
            // Nothing else writes the draft, so there is nothing to lock.
            alone: Arc::new(Arc::new(Mutex::new(())).lock_owned().await),
        };
        let content = names::content(file.sha256);
        let stored = self.backend.send_to(&content, shipment).await?;
        if self.backend.size_at(&content).await? == Some(stored.bytes) {
            return Ok(());
        }
        Err(PublishError::Store("it holds another size than was sent".to_owned()))
    }

    /// Writes the marker of an upload. Of two at once, the first one stays.
    async fn mark(&self, uploader: Uploader, upload: Upload) -> Result<Upload, PublishError> {
        let path = uploader.path(&Name::Marker(upload.file));
        let Upload { owner, created, .. } = upload.clone();
        let marker = Marker { version: VERSION.to_owned(), owner, created };
        if self.backend.put_new(&path, marker.write()?).await? {
            return Ok(upload);
        }
        let Some(found) = self.backend.get_at(&path).await? else { return Ok(upload) };
        let Marker { version: _, owner, created } = Marker::read(&found, &upload.owner)?;
        Ok(Upload { file: upload.file, owner, created })
    }
}

fn random() -> Result<u64, PublishError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| PublishError::Store("this machine gives no random bytes".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}
