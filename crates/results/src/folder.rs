use super::{
    PublishError,
    backend::{Key, Shipment},
    opening::{part, whole},
};
use cloister_files::{if_there, random_name};
use cloister_model::{FileDigest, JobId};
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// Where things are written that several processes may write at once.
const DRAFTS: &str = "drafts";
/// After how long without a write a draft is removed.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

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
        blocking(move || ship(&place, Draft::begin(&place), shipment)).await
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
        let (root, path) = (self.root.clone(), path_of(job, key));
        blocking(move || whole(&root, &path)).await
    }

    pub(super) async fn size(&self, job: JobId, key: Key) -> Result<Option<u64>, PublishError> {
        let place = self.place(job, key);
        disk(move || size(&place)).await
    }

    pub(super) async fn read(&self, job: JobId, key: Key, offset: u64, length: u32) -> Result<Vec<u8>, PublishError> {
        let (root, path) = (self.root.clone(), path_of(job, key));
        blocking(move || part(&root, &path, offset, length)).await?.ok_or(PublishError::Missing(job))
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
        let mut place = self.root.join(job.to_string());
        // Joined with nothing, it would end in a slash, and a link in its place would be followed.
        if !folder.is_empty() {
            place.push(folder);
        }
        disk(move || if_there(fs::remove_dir_all(place)).map(|_| ())).await
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

    /// As [`Folder::send`], of what other processes may be writing at the same time.
    pub(super) async fn send_to(&self, path: &str, shipment: Shipment) -> Result<FileDigest, PublishError> {
        let (root, place) = (self.root.clone(), self.root.join(path));
        blocking(move || ship(&place, Draft::apart(&root, &place), shipment)).await
    }

    /// Stores a small thing, unless there is one: then it answers false.
    pub(super) async fn put_new(&self, path: &str, content: Vec<u8>) -> Result<bool, PublishError> {
        let (root, place) = (self.root.clone(), self.root.join(path));
        disk(move || {
            let mut draft = Draft::apart(&root, &place)?;
            draft.write_all(&content)?;
            draft.finish_new(&place)
        })
        .await
    }

    /// Stores a small thing. It takes the place of the one that is there.
    pub(super) async fn put_over(&self, path: &str, content: Vec<u8>) -> Result<(), PublishError> {
        let (root, place) = (self.root.clone(), self.root.join(path));
        disk(move || {
            let mut draft = Draft::apart(&root, &place)?;
            draft.write_all(&content)?;
            draft.finish(&place)
        })
        .await
    }

    pub(super) async fn get_at(&self, path: &str) -> Result<Option<Vec<u8>>, PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        blocking(move || whole(&root, &path)).await
    }

    pub(super) async fn size_at(&self, path: &str) -> Result<Option<u64>, PublishError> {
        let place = self.root.join(path);
        disk(move || size(&place)).await
    }

    pub(super) async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Option<Vec<u8>>, PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        blocking(move || part(&root, &path, offset, length)).await
    }

    pub(super) async fn remove_at(&self, path: &str) -> Result<(), PublishError> {
        let place = self.root.join(path);
        disk(move || if_there(fs::remove_file(place)).map(|_| ())).await
    }

    /// Names of the things in one of its folders, so many at most; none if the folder is not there.
    pub(super) async fn names(&self, path: &str, at_most: usize) -> Result<Vec<String>, PublishError> {
        let place = self.root.join(path);
        disk(move || {
            let Some(entries) = if_there(fs::read_dir(place))? else { return Ok(Vec::new()) };
            let names = entries.take(at_most).map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
            Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
        })
        .await
    }

    /// All things in the folders of a folder: the name of the folder, and the name of the thing in it.
    pub(super) async fn names_below(&self, path: &str) -> Result<Vec<(String, String)>, PublishError> {
        let place = self.root.join(path);
        disk(move || {
            let mut found = Vec::new();
            for folder in if_there(fs::read_dir(place))?.into_iter().flatten() {
                let folder = folder?;
                let Ok(name) = folder.file_name().into_string() else { continue };
                for entry in if_there(fs::read_dir(folder.path()))?.into_iter().flatten() {
                    found.extend(entry?.file_name().into_string().ok().map(|entry| (name.clone(), entry)));
                }
            }
            Ok(found)
        })
        .await
    }

    fn place(&self, job: JobId, key: Key) -> PathBuf {
        self.root.join(path_of(job, key))
    }
}

/// Where a thing of a job is, below the folder of the store.
fn path_of(job: JobId, key: Key) -> PathBuf {
    Path::new(&job.to_string()).join(key.to_string())
}

fn size(place: &Path) -> io::Result<Option<u64>> {
    Ok(if_there(fs::symlink_metadata(place))?.filter(fs::Metadata::is_file).map(|found| found.len()))
}

/// Writes a file to its draft, and gives it its name when it is complete and what was expected.
fn ship(place: &Path, draft: io::Result<Draft>, shipment: Shipment) -> Result<FileDigest, PublishError> {
    let draft = draft.map_err(|error| PublishError::folder(&error))?;
    let Shipment { file, recipient, progress, cancel, alone: _alone } = shipment;
    let (draft, digest) = file.pour(draft, recipient.as_ref(), &progress, &cancel)?;
    if cancel.is_cancelled() {
        return Err(PublishError::Cancelled);
    }
    draft.finish(place).map_err(|error| PublishError::folder(&error))?;
    Ok(digest)
}

impl Draft {
    /// A draft under a name that no other process has, for what several processes may write at once.
    fn apart(root: &Path, place: &Path) -> io::Result<Self> {
        let drafts = root.join(DRAFTS);
        for folder in [drafts.as_path()].into_iter().chain(place.parent()) {
            make_durably(root, folder)?;
        }
        remove_abandoned(&drafts)?;
        let path = drafts.join(random_name()?);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path: Some(path), file })
    }

    /// Gives it its name unless something has that name: then it answers false.
    fn finish_new(mut self, place: &Path) -> io::Result<bool> {
        self.file.sync_all()?;
        let Some(path) = &self.path else { return Ok(false) };
        match fs::hard_link(path, place) {
            // Dropped, the draft loses its other name.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // A file system without hard links: of two at the same moment, the last one stays.
            Err(_) if place.try_exists()? => return Ok(false),
            Err(_) => {
                fs::rename(path, place)?;
                self.path = None;
            }
        }
        sync_parent(place)?;
        Ok(true)
    }

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

/// Makes a folder below the root so that it is there after a crash.
fn make_durably(root: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    make(folder)?;
    folder.ancestors().take_while(|made| *made != root).try_for_each(sync_parent)
}

/// Removes drafts of processes that were killed: they had no write for long.
fn remove_abandoned(drafts: &Path) -> io::Result<()> {
    for entry in fs::read_dir(drafts)? {
        let entry = entry?;
        let Some(found) = if_there(entry.metadata())? else { continue };
        if found.modified()?.elapsed().is_ok_and(|age| age > ABANDONED) {
            if_there(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Makes a folder that only this user can read.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A name is there after a crash only if its folder was written, too.
fn sync_parent(place: &Path) -> io::Result<()> {
    place.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
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
