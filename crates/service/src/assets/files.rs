use super::{AssetError, may_inspect};
use crate::{
    Principal, UseCases,
    downloads::{DownloadError, ReadableFile},
};
use cloister_model::{
    Asset, AssetKind, AuditAction, AuditEvent, ByteRange, Did, FileDigest, Inspection, ServiceKind, Sha256, Source,
    StoreError,
};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a file that was fetched is not fetched again: what lies at its source may have changed.
const RECENT: Duration = Duration::from_secs(60);

/// Files that are remembered.
const MOST_RECENT: usize = 4096;

/// A file of an asset that the caller may download. It was not fetched yet.
#[derive(Clone, Debug)]
pub struct AssetFile {
    use_cases: UseCases,
    who: Principal,
    asset: Asset,
    n: u32,
    source: Source,
}

impl UseCases {
    /// A file of an asset's first `access` service. An asset that can only be computed on has no such service, and its files
    /// are not sent to its owner either, who has them. The files of an algorithm can also be read by those whom its author
    /// asks to inspect it, so that they know what they trust.
    ///
    /// # Errors
    /// [`AssetError::NotFound`], [`AssetError::Store`].
    pub async fn asset_file(
        &self,
        who: &Principal,
        kind: AssetKind,
        did: Did,
        n: u32,
    ) -> Result<AssetFile, AssetError> {
        let asset = self.asset(who, kind, did).await?;
        let source = file(&asset, who, n).filter(|_| asset.withdrawn.is_none()).ok_or(AssetError::NotFound)?;
        Ok(AssetFile { use_cases: self.clone(), who: who.clone(), asset, n, source })
    }
}

fn file(asset: &Asset, who: &Principal, n: u32) -> Option<Source> {
    let open = asset.ddo.services().iter().find(|service| service.kind == ServiceKind::Access);
    // The one whose digests publishers trust.
    let inspected = || may_inspect(asset, who).then(|| asset.ddo.service_meant(None).ok()).flatten();
    let service = open.or_else(inspected)?;
    service.open_files()?.files().get(usize::try_from(n).ok()?).cloned()
}

impl AssetFile {
    /// What is known of the file without fetching it: what its publisher has said, or what it was a moment ago.
    #[must_use]
    pub fn known(&self) -> KnownFile {
        let recent = self.use_cases.recent_files().get(&self.key());
        let (sha256, bytes) = recent.map(|file| (file.sha256, file.bytes)).unzip();
        KnownFile {
            name: format!("{}-{}", self.asset.name, self.n),
            sha256: self.source.sha256().or(sha256),
            bytes: self.source.bytes().or(bytes),
        }
    }

    /// Fetches the file from its source. A file that was fetched less than a minute ago is not fetched again, so that a client
    /// can read it in parts.
    ///
    /// # Errors
    /// [`DownloadError::Pending`] if that takes longer than this call waits; [`DownloadError::Source`] and
    /// [`DownloadError::Unavailable`] if it cannot be fetched.
    pub async fn fetch(self) -> Result<ReadableFile, DownloadError> {
        let (name, key) = (self.known().name, self.key());
        let file = match self.recent(&key).await? {
            Some(file) => file,
            None => {
                let (backend, sources) = (self.use_cases.backend(), self.source.clone().into());
                let patience = self.use_cases.options().patience;
                let file = match backend.inspect(self.who.account.clone(), sources, patience).await? {
                    Inspection::Ready(files) => files.first().copied().ok_or(DownloadError::NotFound)?,
                    Inspection::Pending => return Err(DownloadError::Pending),
                    Inspection::Failed(why) if self.who.is_or_operates(&self.asset.owner) => {
                        return Err(DownloadError::Source(why));
                    }
                    Inspection::Failed(_) => return Err(DownloadError::Unavailable),
                };
                self.use_cases.recent_files().insert(key, file);
                file
            }
        };
        let record = AuditEvent {
            at: self.use_cases.now(),
            actor: self.who.account.key().to_owned(),
            action: AuditAction::FileDownloaded,
            subject: self.asset.ddo.id().to_string(),
            detail: json!({"file": self.n, "sha256": file.sha256, "bytes": file.bytes}).to_string(),
        };
        Ok(ReadableFile::inspected(&self.use_cases, name, file, record))
    }

    /// What the file was a moment ago, if its bytes are still here.
    async fn recent(&self, key: &FileKey) -> Result<Option<FileDigest>, DownloadError> {
        let Some(file) = self.use_cases.recent_files().get(key) else { return Ok(None) };
        match self.use_cases.backend().read_inspected(file.sha256, ByteRange { offset: 0, at_most: 0 }).await {
            Ok(_) => Ok(Some(file)),
            Err(StoreError::Missing) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn key(&self) -> FileKey {
        (self.asset.ddo.id().clone(), self.asset.revision, self.n)
    }
}

/// An asset, its revision, and the number of one of its files.
type FileKey = (Did, u64, u32);

/// What is known of a file without fetching it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFile {
    /// What it is called.
    pub name: String,
    /// Its digest.
    pub sha256: Option<Sha256>,
    /// Its size, in bytes.
    pub bytes: Option<u64>,
}

/// Files of assets that were fetched a moment ago, in memory.
#[derive(Debug, Default)]
pub(crate) struct RecentFiles(Mutex<HashMap<FileKey, (FileDigest, Instant)>>);

impl RecentFiles {
    fn get(&self, key: &FileKey) -> Option<FileDigest> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(key).filter(|(_, fetched)| fetched.elapsed() < RECENT).map(|(file, _)| *file)
    }

    fn insert(&self, key: FileKey, file: FileDigest) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MOST_RECENT {
            recent.retain(|_, (_, fetched)| fetched.elapsed() < RECENT);
        }
        // The file is fetched again if there is no room to remember it.
        if recent.len() < MOST_RECENT {
            recent.insert(key, (file, Instant::now()));
        }
    }
}
