use super::{
    PublishError,
    backend::{Key, Shipment},
};
use cloister_model::{FileDigest, JobId};
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Results in a folder of this machine: only its owner reads them.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// A file beside its place, until it is complete and on the disk. Dropped, it is removed.
struct Draft {
    path: Option<PathBuf>,
    file: File,
}

impl Folder {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        make(root)?;
        Ok(Self { root: root.to_owned() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) async fn send(&self, job: JobId, key: Key, shipment: Shipment) -> Result<FileDigest, PublishError> {
        let place = self.place(job, key);
        blocking(move || {
            let draft = Draft::begin(&place).map_err(|error| PublishError::folder(&error))?;
            let Shipment { file, recipient, progress, cancel, alone: _alone } = shipment;
            let (draft, digest) = file.pour(draft, recipient.as_ref(), &progress, &cancel)?;
            if cancel.is_cancelled() {
                return Err(PublishError::Cancelled);
            }
            draft.finish(&place).map_err(|error| PublishError::folder(&error))?;
            Ok(digest)
        })
        .await
    }

    pub(super) async fn put(&self, job: JobId, key: Key, content: Vec<u8>) -> Result<(), PublishError> {
        let place = self.place(job, key);
        disk(move || {
            let mut draft = Draft::begin(&place)?;
            draft.write_all(&content)?;
            draft.finish(&place)
        })
        .await
    }

    pub(super) async fn get(&self, job: JobId, key: Key) -> Result<Option<Vec<u8>>, PublishError> {
        let place = self.place(job, key);
        disk(move || if_there(fs::read(place))).await
    }

    pub(super) async fn size(&self, job: JobId, key: Key) -> Result<Option<u64>, PublishError> {
        let place = self.place(job, key);
        disk(move || Ok(if_there(fs::symlink_metadata(place))?.filter(fs::Metadata::is_file).map(|found| found.len())))
            .await
    }

    pub(super) async fn read(&self, job: JobId, key: Key, offset: u64, length: u32) -> Result<Vec<u8>, PublishError> {
        let place = self.place(job, key);
        let read = move || {
            let Some(mut file) = if_there(File::open(place))? else { return Ok(None) };
            file.seek(SeekFrom::Start(offset))?;
            // Not filled with zeros first: at gigabytes per second that is felt.
            let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
            file.take(u64::from(length)).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        };
        disk(read).await?.ok_or(PublishError::Missing(job))
    }

    pub(super) async fn remove(&self, job: JobId, key: Key) -> Result<(), PublishError> {
        let place = self.place(job, key);
        disk(move || {
            if if_there(fs::remove_file(&place))?.is_some() {
                sync_parent(&place)?;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn remove_below(&self, job: JobId, folder: &str) -> Result<(), PublishError> {
        let folder = self.root.join(job.to_string()).join(folder);
        disk(move || if_there(fs::remove_dir_all(folder)).map(|_| ())).await
    }

    pub(super) async fn jobs(&self) -> Result<Vec<JobId>, PublishError> {
        let root = self.root.clone();
        disk(move || {
            let mut jobs = Vec::new();
            for entry in fs::read_dir(root)? {
                jobs.extend(entry?.file_name().to_str().and_then(|name| name.parse::<JobId>().ok()));
            }
            Ok(jobs)
        })
        .await
    }

    fn place(&self, job: JobId, key: Key) -> PathBuf {
        self.root.join(job.to_string()).join(key.to_string())
    }
}

impl Draft {
    fn begin(place: &Path) -> io::Result<Self> {
        if let Some(parent) = place.parent() {
            make(parent)?;
        }
        let path = place.with_extension("draft");
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        Ok(Self { path: Some(path), file })
    }

    fn finish(mut self, place: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(path) = &self.path {
            fs::rename(path, place)?;
        }
        self.path = None;
        sync_parent(place)
    }
}

impl Write for Draft {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A name is there after a crash only if its folder was written, too.
fn sync_parent(place: &Path) -> io::Result<()> {
    place.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

async fn disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, PublishError> {
    blocking(move || work().map_err(|error| PublishError::folder(&error))).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    let broken = |_| Err(PublishError::Store("a step of publishing broke".to_owned()));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(broken)
}
