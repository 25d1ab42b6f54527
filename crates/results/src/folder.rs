use super::{
    PublishError,
    backend::{Key, Shipment},
    opening::{in_the_way, part, whole},
    place::{Missing, Place, is_none},
};
use cloister_files::{if_there, random_name};
use cloister_model::{FileDigest, JobId};
use std::{
    fs::{self, DirBuilder, File, Metadata},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
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
    /// Where it is; none once it has its place.
    at: Option<Place>,
    /// Where it belongs.
    target: Place,
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
        let (root, path) = (self.root.clone(), path_of(job, key));
        blocking(move || ship(Draft::begin(&root, &path), shipment)).await
    }

    pub(super) async fn put(&self, job: JobId, key: Key, content: Vec<u8>) -> Result<(), PublishError> {
        let (root, path) = (self.root.clone(), path_of(job, key));
        disk(move || {
            let mut draft = Draft::begin(&root, &path)?;
            draft.write_all(&content)?;
            draft.finish()
        })
        .await
    }

    pub(super) async fn get(&self, job: JobId, key: Key) -> Result<Option<Vec<u8>>, PublishError> {
        let (root, path) = (self.root.clone(), path_of(job, key));
        blocking(move || whole(&root, &path)).await
    }

    pub(super) async fn size(&self, job: JobId, key: Key) -> Result<Option<u64>, PublishError> {
        let (root, path) = (self.root.clone(), path_of(job, key));
        disk(move || size(&root, &path)).await
    }

    pub(super) async fn read(&self, job: JobId, key: Key, offset: u64, length: u32) -> Result<Vec<u8>, PublishError> {
        let (root, path) = (self.root.clone(), path_of(job, key));
        blocking(move || part(&root, &path, offset, length)).await?.ok_or(PublishError::Missing(job))
    }

    pub(super) async fn remove(&self, job: JobId, key: Key) -> Result<(), PublishError> {
        let (root, path) = (self.root.clone(), path_of(job, key));
        disk(move || {
            let Some(place) = found(&root, &path)? else { return Ok(()) };
            match place.remove() {
                Ok(false) => Ok(()),
                Ok(true) => place.sync(),
                // Another program has put a folder in its place.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                    place.remove_all()?;
                    place.sync()
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    pub(super) async fn remove_below(&self, job: JobId, folder: &str) -> Result<(), PublishError> {
        let (root, mut path) = (self.root.clone(), PathBuf::from(job.to_string()));
        // Joined with nothing, it would end in a slash.
        if !folder.is_empty() {
            path.push(folder);
        }
        disk(move || found(&root, &path)?.map_or(Ok(()), |place| place.remove_all())).await
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
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        blocking(move || ship(Draft::apart(&root, &path), shipment)).await
    }

    /// Stores a small thing, unless there is one: then it answers false.
    pub(super) async fn put_new(&self, path: &str, content: Vec<u8>) -> Result<bool, PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        disk(move || {
            let mut draft = Draft::apart(&root, &path)?;
            draft.write_all(&content)?;
            draft.finish_new()
        })
        .await
    }

    /// Stores a small thing. It takes the place of the one that is there.
    pub(super) async fn put_over(&self, path: &str, content: Vec<u8>) -> Result<(), PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        disk(move || {
            let mut draft = Draft::apart(&root, &path)?;
            draft.write_all(&content)?;
            draft.finish()
        })
        .await
    }

    pub(super) async fn get_at(&self, path: &str) -> Result<Option<Vec<u8>>, PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        blocking(move || whole(&root, &path)).await
    }

    pub(super) async fn size_at(&self, path: &str) -> Result<Option<u64>, PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        disk(move || size(&root, &path)).await
    }

    pub(super) async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Option<Vec<u8>>, PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        blocking(move || part(&root, &path, offset, length)).await
    }

    pub(super) async fn remove_at(&self, path: &str) -> Result<(), PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        disk(move || found(&root, &path)?.map_or(Ok(()), |place| place.remove().map(drop))).await
    }

    /// Names of the things in one of its folders, so many at most; none if the folder is not there.
    pub(super) async fn names(&self, path: &str, at_most: usize) -> Result<Vec<String>, PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        disk(move || listed(&root, &path, at_most)).await
    }

    /// All things in the folders of a folder: the name of the folder, and the name of the thing in it.
    pub(super) async fn names_below(&self, path: &str) -> Result<Vec<(String, String)>, PublishError> {
        let (root, path) = (self.root.clone(), PathBuf::from(path));
        disk(move || {
            let mut found = Vec::new();
            for name in listed(&root, &path, usize::MAX)? {
                let inner = listed(&root, &path.join(&name), usize::MAX)?;
                found.extend(inner.into_iter().map(|entry| (name.clone(), entry)));
            }
            Ok(found)
        })
        .await
    }
}

/// Where a thing of a job is, below the folder of the store.
fn path_of(job: JobId, key: Key) -> PathBuf {
    Path::new(&job.to_string()).join(key.to_string())
}

/// A place to remove something from; none: nothing of the store can be there.
fn found(root: &Path, path: &Path) -> io::Result<Option<Place>> {
    match Place::find(root, path, Missing::Left) {
        Err(error) if is_none(&error) => Ok(None),
        found => found.map(Some),
    }
}

/// Names of the things in a folder, so many at most; none if nothing of the store can be there, such as behind a link.
fn listed(root: &Path, path: &Path, at_most: usize) -> io::Result<Vec<String>> {
    let Some(place) = found(root, path)? else { return Ok(Vec::new()) };
    match place.names(at_most) {
        Err(error) if is_none(&error) => Ok(Vec::new()),
        names => Ok(names?.into_iter().filter_map(|name| name.into_string().ok()).collect()),
    }
}

fn size(root: &Path, path: &Path) -> io::Result<Option<u64>> {
    let found = if_there(Place::find(root, path, Missing::Left).and_then(|place| place.metadata()))?;
    Ok(found.filter(Metadata::is_file).map(|found| found.len()))
}

/// Writes a file to its draft, and gives it its name when it is complete and what was expected.
fn ship(draft: io::Result<Draft>, shipment: Shipment) -> Result<FileDigest, PublishError> {
    let draft = draft.map_err(|error| in_the_way(&error))?;
    let Shipment { file, recipient, progress, cancel, alone: _alone } = shipment;
    let (draft, digest) = file.pour(draft, recipient.as_ref(), &progress, &cancel)?;
    if cancel.is_cancelled() {
        return Err(PublishError::Cancelled);
    }
    draft.finish().map_err(|error| in_the_way(&error))?;
    Ok(digest)
}

impl Draft {
    /// A draft under a name that no other process has, for what several processes may write at once.
    fn apart(root: &Path, path: &Path) -> io::Result<Self> {
        let target = Place::find(root, path, Missing::MadeDurably)?;
        let at = Place::find(root, &Path::new(DRAFTS).join(random_name()?), Missing::MadeDurably)?;
        remove_abandoned(&at)?;
        let file = at.create()?;
        Ok(Self { at: Some(at), target, file })
    }

    /// Gives it its name unless something has that name: then it answers false.
    fn finish_new(mut self) -> io::Result<bool> {
        self.file.sync_all()?;
        let Some(at) = &self.at else { return Ok(false) };
        match at.link_to(&self.target) {
            // Dropped, the draft loses its other name.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // A file system without hard links: of two at the same moment, the last one stays.
            Err(_) if if_there(self.target.metadata())?.is_some() => return Ok(false),
            Err(_) => {
                at.rename_to(&self.target)?;
                self.at = None;
            }
        }
        self.target.sync()?;
        Ok(true)
    }

    fn begin(root: &Path, path: &Path) -> io::Result<Self> {
        let target = Place::find(root, path, Missing::Made)?;
        let at = target.beside(Path::new(target.name()).with_extension("draft").into_os_string());
        // What a process has left that was killed, or another program.
        at.remove()?;
        let file = at.create()?;
        Ok(Self { at: Some(at), target, file })
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(at) = &self.at {
            at.rename_to(&self.target)?;
        }
        self.at = None;
        self.target.sync()
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
        if let Some(at) = &self.at {
            let _ = at.remove();
        }
    }
}

/// Removes drafts of processes that were killed: they had no write for long.
fn remove_abandoned(draft: &Place) -> io::Result<()> {
    for other in draft.siblings()? {
        let Some(found) = if_there(other.metadata())?.filter(|found| !found.is_dir()) else { continue };
        if found.modified()?.elapsed().is_ok_and(|age| age > ABANDONED) {
            other.remove()?;
        }
    }
    Ok(())
}

/// Makes a folder that only this user can read.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

async fn disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, PublishError> {
    blocking(move || work().map_err(|error| in_the_way(&error))).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    let broken = |_| Err(PublishError::Store("a step of publishing broke".to_owned()));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[tokio::test]
    async fn nothing_is_listed_through_a_link() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        for inner in ["elsewhere/inner", "store/folder/inner"] {
            fs::create_dir_all(at(inner)).expect("folders");
            fs::write(at(inner).join("file"), "").expect("a file");
        }
        symlink(at("elsewhere/inner"), at("store/folder/link")).expect("a link");
        symlink(at("elsewhere"), at("store/link")).expect("a link");
        // It is no folder, and does not end the list either.
        fs::write(at("store/folder/file"), "").expect("a file");

        let folder = Folder::open(&at("store")).expect("opened");
        assert_eq!(folder.names("folder/inner", 9).await, Ok(vec!["file".to_owned()]));
        assert_eq!(folder.names_below("folder").await, Ok(vec![("inner".to_owned(), "file".to_owned())]));
        assert_eq!(folder.names("folder", 2).await.map(|names| names.len()), Ok(2));
        for nothing in ["link", "link/inner", "folder/link", "folder/file", "folder/missing"] {
            assert_eq!(folder.names(nothing, 9).await, Ok(vec![]), "{nothing}");
            assert_eq!(folder.names_below(nothing).await, Ok(vec![]), "{nothing}");
        }
    }
}
