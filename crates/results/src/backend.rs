use super::{Outgoing, PublishError, folder::Folder, objects::Objects};
use age::x25519::Recipient;
use cloister_files::ProgressCounter;
use cloister_model::{FileDigest, JobId};
use std::{fmt, sync::Arc};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// Bytes of a thing that is read as a whole: a list, a report, jobs that were archived together. None that this program writes has as many,
/// so that one that has was put there by another, to fill the memory of its readers.
pub(super) const MOST_WHOLE_BYTES: u64 = 64 << 20;

/// Where one thing of a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    File(u32),
    Part(u32),
    Manifest,
    Report,
    Log,
    Held(u32),
    HeldManifest,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(index) => write!(f, "files/{index}"),
            Self::Part(index) => write!(f, "parts/{index}"),
            Self::Manifest => f.write_str("manifest.json"),
            Self::Report => f.write_str("report.json"),
            Self::Log => f.write_str("log"),
            Self::Held(index) => write!(f, "held/{index}"),
            Self::HeldManifest => f.write_str("held.json"),
        }
    }
}

/// One file on its way.
pub(super) struct Shipment {
    pub(super) file: Outgoing,
    pub(super) recipient: Option<Recipient>,
    pub(super) progress: Arc<ProgressCounter>,
    pub(super) cancel: CancellationToken,
    /// The job's lock: no other call publishes this job while the file is under way.
    pub(super) alone: Arc<OwnedMutexGuard<()>>,
}

/// What can hold results. Both write a thing completely or not at all.
#[derive(Debug)]
pub(super) enum Backend {
    Folder(Folder),
    Objects(Objects),
}

impl Backend {
    pub(super) async fn send(&self, job: JobId, key: Key, shipment: Shipment) -> Result<FileDigest, PublishError> {
        match self {
            Self::Folder(folder) => folder.send(job, key, shipment).await,
            Self::Objects(objects) => objects.send(job, key, shipment).await,
        }
    }

    /// A small thing.
    pub(super) async fn put(&self, job: JobId, key: Key, content: Vec<u8>) -> Result<(), PublishError> {
        match self {
            Self::Folder(folder) => folder.put(job, key, content).await,
            Self::Objects(objects) => objects.put(job, key, content).await,
        }
    }

    /// A small thing; none if it is not there.
    pub(super) async fn get(&self, job: JobId, key: Key) -> Result<Option<Vec<u8>>, PublishError> {
        match self {
            Self::Folder(folder) => folder.get(job, key).await,
            Self::Objects(objects) => objects.get(job, key).await,
        }
    }

    /// How large a thing is; none if it is not there.
    pub(super) async fn size(&self, job: JobId, key: Key) -> Result<Option<u64>, PublishError> {
        match self {
            Self::Folder(folder) => folder.size(job, key).await,
            Self::Objects(objects) => objects.size(job, key).await,
        }
    }

    /// Bytes of a thing: exactly so many, all of them inside it.
    pub(super) async fn read(&self, job: JobId, key: Key, offset: u64, length: u32) -> Result<Vec<u8>, PublishError> {
        match self {
            Self::Folder(folder) => folder.read(job, key, offset, length).await,
            Self::Objects(objects) => objects.read(job, key, offset, length).await,
        }
    }

    /// Removes one thing; it may be gone already.
    pub(super) async fn remove(&self, job: JobId, key: Key) -> Result<(), PublishError> {
        match self {
            Self::Folder(folder) => folder.remove(job, key).await,
            Self::Objects(objects) => objects.remove(job, key).await,
        }
    }

    /// Removes everything in one folder of a job; in all of them, if its name is empty.
    pub(super) async fn remove_below(&self, job: JobId, folder: &str) -> Result<(), PublishError> {
        match self {
            Self::Folder(store) => store.remove_below(job, folder).await,
            Self::Objects(store) => store.remove_below(job, folder).await,
        }
    }

    pub(super) async fn jobs(&self) -> Result<Vec<JobId>, PublishError> {
        match self {
            Self::Folder(folder) => folder.jobs().await,
            Self::Objects(objects) => objects.jobs().await,
        }
    }
}
