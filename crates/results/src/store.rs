use super::{
    PublishError,
    backend::{Backend, Key},
    folder::Folder,
    manifest::Manifest,
    objects::Objects,
    sealed::MOST_UNSEALED,
};
use cloister_model::{
    ByteRange, JobId, ListDigest, ResultFile, Sha256, StoredResults, StoredResultsError, StoredResultsFuture,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::sync::Semaphore;
use url::Url;

/// Manifests that are kept in memory. A download asks for one with every chunk.
const MOST_MANIFESTS: usize = 256;

/// Where results are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// `file:///folder` or `s3://bucket/prefix`.
    pub url: String,
    /// Options of an S3 store, by object_store's names (`endpoint`, `region`, `access_key_id`, `secret_access_key`,
    /// `virtual_hosted_style_request`, ...). Nothing is taken from the environment; without keys, nothing is signed.
    pub options: BTreeMap<String, String>,
}

impl fmt::Debug for StoreConfig {
    /// Options hold keys, so only their names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").field("options", &self.options.keys()).finish_non_exhaustive()
    }
}

/// The results of jobs. Safe to use from many tasks at once; one service at a time publishes to a store.
#[derive(Debug)]
pub struct ResultStore {
    pub(super) backend: Backend,
    manifests: Mutex<Manifests>,
    /// What is archived and may be unpacked at once.
    pub(super) unsealing: Arc<Semaphore>,
    /// Jobs that are being published or removed: one at a time each.
    under_way: Mutex<HashMap<JobId, Weak<tokio::sync::Mutex<()>>>>,
}

/// Manifests in memory.
#[derive(Debug, Default)]
struct Manifests {
    known: HashMap<JobId, Arc<Vec<ResultFile>>>,
    /// Those that this process has written.
    written: HashMap<JobId, ListDigest>,
    /// Counts removals: what was read before one is not kept after it.
    removals: u64,
}

impl ResultStore {
    /// Opens a store. A local folder is made if it is missing; an S3 store is not asked for anything yet.
    ///
    /// # Errors
    /// [`PublishError::Config`] if the configuration is not one, or the folder cannot be made.
    pub fn open(config: &StoreConfig) -> Result<Self, PublishError> {
        let wrong = |text: &str| PublishError::Config(text.to_owned());
        let StoreConfig { url, options } = config;
        let url = Url::parse(url).map_err(|_| wrong("the URL is `file:///folder` or `s3://bucket/prefix`"))?;
        let backend = match url.scheme() {
            "file" => {
                if !options.is_empty() {
                    return Err(wrong("a folder has no options"));
                }
                let path: PathBuf =
                    url.to_file_path().map_err(|()| wrong("the URL of a folder is `file:///folder`"))?;
                let unusable = |error: std::io::Error| wrong(&format!("the folder cannot be used ({})", error.kind()));
                Backend::Folder(Folder::open(&path).map_err(unusable)?)
            }
            "s3" => {
                let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
                let bucket = url.host_str().filter(|bucket| !bucket.is_empty() && plain);
                let bucket =
                    bucket.ok_or_else(|| wrong("the URL of an S3 store is `s3://bucket/prefix`, keys are options"))?;
                Backend::Objects(Objects::open(bucket, url.path().trim_matches('/'), options)?)
            }
            _ => return Err(wrong("the URL is `file:///folder` or `s3://bucket/prefix`")),
        };
        let unsealing = Arc::new(Semaphore::new(MOST_UNSEALED));
        Ok(Self { backend, manifests: Mutex::default(), unsealing, under_way: Mutex::default() })
    }

    /// The folder of this machine that it is; none if it is elsewhere.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.backend {
            Backend::Folder(folder) => Some(folder.root()),
            Backend::Objects(_) => None,
        }
    }

    /// A job's results, in their order; none if they were not published, or not completely.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn manifest(&self, job: JobId) -> Result<Option<Vec<ResultFile>>, PublishError> {
        Ok(self.known(job).await?.map(|files| files.to_vec()))
    }

    /// A part of one result. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// [`PublishError::Missing`] if it was not published, or if the store fails.
    pub async fn read(&self, job: JobId, index: u32, range: ByteRange) -> Result<Vec<u8>, PublishError> {
        let file = self.described(job, index).await?;
        self.part(job, Key::File(index), file.bytes, range).await
    }

    /// A part of a thing of so many bytes.
    pub(super) async fn part(
        &self,
        job: JobId,
        key: Key,
        bytes: u64,
        range: ByteRange,
    ) -> Result<Vec<u8>, PublishError> {
        let length = range.length_in(bytes);
        if length == 0 {
            return Ok(Vec::new());
        }
        let read = self.backend.read(job, key, range.offset, length).await?;
        if u32::try_from(read.len()) == Ok(length) {
            return Ok(read);
        }
        Err(PublishError::Store("a file of a job is shorter than it should be".to_owned()))
    }

    /// Removes a job's results, the manifest first: they cannot be read any more, wherever this is cut. It is not an
    /// error if there are none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove(&self, job: JobId) -> Result<(), PublishError> {
        let alone = self.alone(job);
        let _alone = alone.lock().await;
        self.manifests().known.remove(&job);
        self.backend.remove(job, Key::Manifest).await?;
        self.forget(job);
        self.backend.remove_below(job, "").await
    }

    /// Forgets a manifest that was removed.
    pub(super) fn forget(&self, job: JobId) {
        let mut manifests = self.manifests();
        manifests.removals += 1;
        manifests.known.remove(&job);
        manifests.written.remove(&job);
    }

    /// Notes the manifest that this process has written. What was read before is not it.
    pub(super) fn has_written(&self, job: JobId, files: &[ResultFile]) {
        self.forget(job);
        let mut manifests = self.manifests();
        if manifests.written.len() >= MOST_MANIFESTS {
            manifests.written.clear();
        }
        manifests.written.insert(job, ListDigest::of(files));
    }

    /// Whether this process has written this manifest. It may have forgotten that.
    pub(super) fn wrote(&self, job: JobId, files: &[ResultFile]) -> bool {
        self.manifests().written.get(&job) == Some(&ListDigest::of(files))
    }

    /// The jobs of which there is anything, complete or not.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn jobs(&self) -> Result<Vec<JobId>, PublishError> {
        let mut jobs = self.backend.jobs().await?;
        jobs.sort_unstable();
        Ok(jobs)
    }

    /// One result, by its place in the manifest.
    async fn described(&self, job: JobId, index: u32) -> Result<ResultFile, PublishError> {
        let files = self.known(job).await?.ok_or(PublishError::Missing(job))?;
        let file = usize::try_from(index).ok().and_then(|index| files.get(index));
        file.cloned().ok_or(PublishError::Missing(job))
    }

    async fn known(&self, job: JobId) -> Result<Option<Arc<Vec<ResultFile>>>, PublishError> {
        let removals = {
            let manifests = self.manifests();
            if let Some(files) = manifests.known.get(&job) {
                return Ok(Some(files.clone()));
            }
            manifests.removals
        };
        let Some(text) = self.backend.get(job, Key::Manifest).await? else { return Ok(None) };
        let files = Arc::new(Manifest::read(&text)?.files);
        let mut manifests = self.manifests();
        if manifests.removals == removals {
            if manifests.known.len() >= MOST_MANIFESTS {
                manifests.known.clear();
            }
            manifests.known.insert(job, files.clone());
        }
        Ok(Some(files))
    }

    /// The lock of one job.
    pub(super) fn alone(&self, job: JobId) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = under_way.get(&job).and_then(Weak::upgrade) {
            return lock;
        }
        under_way.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        under_way.insert(job, Arc::downgrade(&lock));
        lock
    }

    fn manifests(&self) -> MutexGuard<'_, Manifests> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoredResults for ResultStore {
    fn describe(&self, job: JobId, index: u32) -> StoredResultsFuture<'_, ResultFile> {
        Box::pin(async move { Ok(self.described(job, index).await?) })
    }

    fn read_part(&self, job: JobId, index: u32, range: ByteRange) -> StoredResultsFuture<'_, Vec<u8>> {
        Box::pin(async move { Ok(self.read(job, index, range).await?) })
    }

    fn upload_size(&self, sha256: Sha256) -> StoredResultsFuture<'_, Option<u64>> {
        Box::pin(async move { Ok(self.upload_size(sha256).await?) })
    }

    fn upload_part(&self, sha256: Sha256, range: ByteRange) -> StoredResultsFuture<'_, Vec<u8>> {
        Box::pin(async move {
            let part = self.read_upload(sha256, range).await?;
            part.ok_or(StoredResultsError::NoUpload(sha256))
        })
    }
}
