//! Files that accounts sent, for engines that keep them in the store of results, where every process finds them.
//!
//! The content is at `uploads/<sha256>`, once for all accounts. That an account may name it is a small marker in the folder of
//! that account, written after the content: wherever storing is cut short, nothing can be named that is not there.
//!
//! What an account may store is limited across all processes without a lock: a process first writes a reservation, then adds
//! up what the account has and what is being stored for it, and only then stores the content. Of two processes, the one that
//! adds up last sees the reservation of the other. Both may be refused where one of them would have fitted; too much is never
//! stored. What strangers may store together is limited in the same way: the name of each is written down before its reservation.
//!
//! An account that deletes an upload loses its marker. The content goes later ([`ResultStore::remove_unnamed_uploads`]), when no
//! account has a marker or a reservation. Again without a lock: a process that removes content first writes a note, and then
//! looks for reservations; a process that stores content first writes a reservation, and then looks for notes. At least one of the
//! two sees the other and gives way.

use super::{
    Outgoing, PublishError, ResultStore,
    backend::Shipment,
    upload_names::{self as names, CONTENT, LEAVING, Name, STRANGERS, UPLOADERS, Uploader},
};
use cloister_files::{ProgressCounter, Watch};
use cloister_model::{
    Account, ByteRange, FileDigest, Quota, QuotaExceeded, ResultKind, Sha256, StoreError, StrangerLimit, Timestamp,
    Upload, UploadLimits, UploadQuery,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, path::Path, sync::Arc};
use tokio::sync::Mutex;

/// The version of markers that this code writes. Readers refuse versions that they do not know.
const VERSION: &str = "cloister.dev/upload/v1";

/// Files that one account may have, however small: they are listed with every upload.
const MOST_FILES: usize = 100_000;

/// Uploads whose content is removed at once.
const MOST_LEAVING: usize = 1000;

/// Why an upload was not kept. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The account has as much as it may. Nothing was stored.
    #[error(transparent)]
    Full(#[from] QuotaExceeded),
    /// Content of the same name is being removed at this moment. Nothing was stored.
    #[error("the same file is being removed at this moment; send it again")]
    Leaving,
    /// The store fails.
    #[error(transparent)]
    Store(#[from] PublishError),
}

impl From<UploadError> for StoreError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Full(exceeded) => Self::Quota(exceeded),
            UploadError::Leaving | UploadError::Store(_) => Self::Unavailable(error.to_string()),
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
    /// Keeps the file at `path`, which is `file`, for an account, if the limits permit it. From now on the account can name it. The same file again costs nothing, and counts as sent now. `at` is the present time.
    ///
    /// Any number of processes may do this at once. Let it run to its end: if it is dropped, what it reserved counts for a
    /// day, and content may stay that no account can name.
    ///
    /// # Errors
    /// [`UploadError::Full`] and [`UploadError::Leaving`], before anything is stored; [`UploadError::Store`] if the store fails, or the file is not what
    /// it should be.
    pub async fn put_upload(
        &self,
        path: &Path,
        file: FileDigest,
        owner: &Account,
        at: Timestamp,
        limits: impl Into<UploadLimits>,
    ) -> Result<Upload, UploadError> {
        let UploadLimits { account, strangers } = limits.into();
        let uploader = Uploader::of(owner);
        let upload = Upload { file, owner: owner.clone(), created: at };
        if self.upload(file.sha256, owner).await?.is_some() {
            return Ok(self.mark(uploader, upload).await?);
        }
        if strangers.is_some() {
            // Before the reservation, so that the next count sees both.
            self.backend.put_new(&uploader.as_stranger(), Vec::new()).await?;
        }
        let reservation = uploader.path(&Name::Reservation(file, at, random()?));
        self.backend.put_new(&reservation, Vec::new()).await?;
        let fits = match (self.check_fits(uploader, file, at, account).await, &strangers) {
            (Ok(()), Some(limit)) => self.check_fits_beside_strangers(uploader, file, at, limit).await,
            (fits, _) => fits,
        };
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
        let upload = self.mark(uploader, upload).await?;
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
            let (limit, used) = (MOST_FILES as u64, counted.len() as u64 - 1);
            return Err(QuotaExceeded { quota: Quota::Uploads, limit, used }.into());
        }
        let used = names::bytes(&counted, Some(file));
        if used.saturating_add(file.bytes) > most_bytes {
            return Err(QuotaExceeded { quota: Quota::UploadBytes, limit: most_bytes, used }.into());
        }
        let notes = self.leaving().await?;
        let is_leaving = notes.iter().any(|note| note.file().sha256 == file.sha256 && !note.is_left_behind(now));
        if is_leaving { Err(UploadError::Leaving) } else { Ok(()) }
    }

    /// Whether strangers may store this file too, which is reserved for one of them.
    async fn check_fits_beside_strangers(
        &self,
        uploader: Uploader,
        file: FileDigest,
        now: Timestamp,
        limit: &StrangerLimit,
    ) -> Result<(), UploadError> {
        let known = limit.known.iter().filter_map(|key| key.parse::<Account>().ok());
        let known: BTreeSet<Uploader> = known.map(|account| Uploader::of(&account)).collect();
        let all = self.backend.names(STRANGERS, usize::MAX).await?;
        let all = all.iter().filter_map(|name| Uploader::read(name));
        let strangers: BTreeSet<Uploader> = all.filter(|uploader| !known.contains(uploader)).collect();
        let names = self.all_names().await?.into_iter();
        let counted = names.filter(|(of, name)| strangers.contains(of) && !name.is_left_behind(now));
        let mut files: BTreeSet<(Uploader, FileDigest)> = counted.map(|(of, name)| (of, name.file())).collect();
        files.remove(&(uploader, file));
        let size = |file: &FileDigest| file.bytes.max(StrangerLimit::LEAST_FILE);
        let used = files.iter().fold(0_u64, |sum, (_, file)| sum.saturating_add(size(file)));
        if used.saturating_add(size(&file)) > limit.bytes {
            return Err(QuotaExceeded { quota: Quota::StrangerUploadBytes, limit: limit.bytes, used }.into());
        }
        Ok(())
    }

    /// The notes of processes that remove content.
    async fn leaving(&self) -> Result<Vec<Name>, PublishError> {
        let found = self.backend.names(LEAVING, usize::MAX).await?;
        Ok(found.iter().filter_map(|name| Name::read(name)).collect())
    }

    /// The uploads that are asked for, sorted by the digests of account and file.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn uploads(&self, query: &UploadQuery) -> Result<Vec<Upload>, PublishError> {
        let UploadQuery { owner, sent_before, after, at_most } = query;
        let mut found: Vec<(Uploader, FileDigest)> = match owner {
            Some(owner) => {
                let uploader = Uploader::of(owner);
                markers(self.names_of(uploader).await?.into_iter().map(|name| (uploader, name)))
            }
            None => markers(self.all_names().await?),
        };
        found.sort_unstable();
        let after = after.as_ref().map(|(owner, sha256)| (Uploader::of(owner), *sha256));
        let mut uploads = Vec::new();
        for (uploader, file) in found {
            if uploads.len() as u64 >= u64::from(*at_most) {
                break;
            }
            if after.is_some_and(|after| (uploader, file.sha256) <= after) {
                continue;
            }
            // It may have gone meanwhile.
            let Some(text) = self.backend.get_at(&uploader.path(&Name::Marker(file))).await? else { continue };
            let marker: Option<Marker> = serde_json::from_slice(&text).ok();
            let known = |marker: &Marker| marker.version == VERSION && Uploader::of(&marker.owner) == uploader;
            let Some(Marker { version: _, owner, created }) = marker.filter(known) else {
                // One that cannot be read does not hide the others. A request for it alone is told.
                continue;
            };
            if sent_before.is_none_or(|before| created < before) {
                uploads.push(Upload { file, owner, created });
            }
        }
        Ok(uploads)
    }

    /// All names in the folders of all accounts.
    async fn all_names(&self) -> Result<Vec<(Uploader, Name)>, PublishError> {
        let found = self.backend.names_below(UPLOADERS).await?;
        Ok(found.iter().filter_map(|(folder, name)| Some((Uploader::read(folder)?, Name::read(name)?))).collect())
    }

    /// Deletes an account's upload; false if it has none, or has sent it since `sent_before`. Its content stays for now.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove_upload(
        &self,
        sha256: Sha256,
        owner: &Account,
        sent_before: Option<Timestamp>,
    ) -> Result<bool, PublishError> {
        let uploader = Uploader::of(owner);
        let is_meant = |name: &Name| matches!(name, Name::Marker(file) if file.sha256 == sha256);
        let Some(name) = self.names_of(uploader).await?.into_iter().find(is_meant) else { return Ok(false) };
        let path = uploader.path(&name);
        if let Some(before) = sent_before {
            let Some(text) = self.backend.get_at(&path).await? else { return Ok(false) };
            if Marker::read(&text, owner)?.created >= before {
                return Ok(false);
            }
        }
        self.backend.remove_at(&path).await?;
        Ok(true)
    }

    /// Removes content that no account can name, and returns how many files went. Any number of processes may do this at once,
    /// also while others store the same content. `now` is the present time.
    ///
    /// # Errors
    /// If the store fails. What was not removed goes the next time.
    pub async fn remove_unnamed_uploads(&self, now: Timestamp) -> Result<u64, PublishError> {
        for note in self.leaving().await?.into_iter().filter(|note| note.is_left_behind(now)) {
            self.backend.remove_at(&format!("{LEAVING}/{note}")).await?;
        }
        let content = self.backend.names(CONTENT, usize::MAX).await?;
        let content: BTreeSet<Sha256> = content.iter().filter_map(|name| name.parse().ok()).collect();
        let named = self.named(now).await?;
        let mut notes = Vec::new();
        for sha256 in content.difference(&named).take(MOST_LEAVING) {
            let note = Name::Reservation(FileDigest { sha256: *sha256, bytes: 0 }, now, random()?);
            self.backend.put_new(&format!("{LEAVING}/{note}"), Vec::new()).await?;
            notes.push(note);
        }
        if notes.is_empty() {
            return Ok(0);
        }
        let removed = self.remove_noted(&notes, now).await;
        for note in notes {
            // If it cannot be removed, it counts for a day.
            let _ = self.backend.remove_at(&format!("{LEAVING}/{note}")).await;
        }
        removed
    }

    async fn remove_noted(&self, notes: &[Name], now: Timestamp) -> Result<u64, PublishError> {
        // After the notes: a process that has not reserved the content by now sees its note.
        let named = self.named(now).await?;
        let mut removed = 0;
        for note in notes.iter().map(Name::file).filter(|file| !named.contains(&file.sha256)) {
            self.backend.remove_at(&names::content(note.sha256)).await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// What some account can name, or some process is storing.
    async fn named(&self, now: Timestamp) -> Result<BTreeSet<Sha256>, PublishError> {
        let found = self.all_names().await?.into_iter().filter(|(_, name)| !name.is_left_behind(now));
        Ok(found.map(|(_, name)| name.file().sha256).collect())
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
        Err(PublishError::Refused("it holds another size than was sent".to_owned()))
    }

    /// Writes the marker of an upload. Of two at once, the last one stays.
    async fn mark(&self, uploader: Uploader, upload: Upload) -> Result<Upload, PublishError> {
        let Upload { file, owner, created } = upload.clone();
        let marker = Marker { version: VERSION.to_owned(), owner, created };
        self.backend.put_over(&uploader.path(&Name::Marker(file)), marker.write()?).await?;
        Ok(upload)
    }
}

/// The files that the accounts can name.
fn markers(names: impl IntoIterator<Item = (Uploader, Name)>) -> Vec<(Uploader, FileDigest)> {
    let is_marker = |(uploader, name)| matches!(name, Name::Marker(_)).then(|| (uploader, name.file()));
    names.into_iter().filter_map(is_marker).collect()
}

fn random() -> Result<u64, PublishError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| PublishError::Store("this machine gives no random bytes".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}
