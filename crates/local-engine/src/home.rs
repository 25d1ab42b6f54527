//! The folder of one service: its layout, and the lock that lets one service at a time use it.

use crate::OpenError;
use cloister_model::{JobId, Sha256};
use rustix::fs::{FlockOperation, IFlags, flock, ioctl_getflags, ioctl_setflags};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The name of the database in the folder.
pub(crate) const DATABASE: &str = "cloister.db";

/// Bytes that are set aside for a start on a full disk.
const SET_ASIDE: u64 = 8 * 1024 * 1024;

/// How long to wait for the lock of another process.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried.
const PAUSE: Duration = Duration::from_millis(20);

/// The folder, locked. The kernel releases the lock when the process ends.
#[derive(Debug)]
pub(crate) struct Home {
    root: PathBuf,
    sandbox: PathBuf,
    _lock: File,
}

impl Home {
    /// Creates the folder if it does not exist, makes it private to this user, and locks it. `sandbox` is where the sandbox
    /// program keeps compiled code and interpreters; none: below the folder.
    pub(crate) fn open(root: &Path, sandbox: Option<&Path>) -> Result<Self, OpenError> {
        let fault = |error| OpenError::Home { path: root.to_owned(), error };
        directory(root).map_err(fault)?;
        // Absolute, because the sandbox program runs in another working directory.
        let root = root.canonicalize().map_err(fault)?;
        if fs::metadata(&root).map_err(fault)?.uid() != rustix::process::geteuid().as_raw() {
            // Its owner could open it to others again at any time.
            let problem = "it belongs to another user; give this service a folder of its own";
            return Err(fault(io::Error::new(io::ErrorKind::PermissionDenied, problem)));
        }
        fs::set_permissions(&root, Permissions::from_mode(0o700)).map_err(fault)?;
        let lock = lock(&root, PATIENCE)?;
        if let Err(error) = set_aside(&root) {
            tracing::debug!(%error, "nothing is set aside for a full disk");
        }
        let parts = ["cache", "uploads", "jobs", "results", "logs"].map(|part| root.join(part));
        let own = root.join("sandbox");
        let sandbox = sandbox.unwrap_or(&own);
        for path in parts.iter().map(PathBuf::as_path).chain([sandbox]) {
            directory(path).map_err(|error| OpenError::Home { path: path.to_owned(), error })?;
        }
        for folder in ["jobs", "results"].map(|part| root.join(part)) {
            if let Err(error) = spread(&folder) {
                tracing::debug!(%error, folder = %folder.display(), "the file system does not spread the folders in it");
            }
        }
        // Absolute, as above.
        let place = sandbox.canonicalize();
        let sandbox = place.map_err(|error| OpenError::Home { path: sandbox.to_owned(), error })?;
        Ok(Self { root, sandbox, _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join(DATABASE)
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(crate) fn upload(&self, sha256: &Sha256) -> PathBuf {
        self.uploads().join(sha256.to_string())
    }

    pub(crate) fn results(&self) -> PathBuf {
        self.root.join("results")
    }

    pub(crate) fn sandbox(&self) -> PathBuf {
        self.sandbox.clone()
    }

    pub(crate) fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log of a job that has ended.
    pub(crate) fn log(&self, job: JobId) -> PathBuf {
        self.logs().join(job.to_string())
    }

    /// The work folder of a job.
    pub(crate) fn job(&self, job: JobId) -> PathBuf {
        self.jobs().join(job.to_string())
    }
}

/// Creates a directory that only this user can read.
pub(crate) fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates a folder, private to this user, in one that is there. It may be there already.
pub(crate) fn subdirectory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Asks the file system to place the folders in a folder far from each other, as `chattr +T` does.
///
/// ext4 looks for a free inode in the block group of the folder, and passes over every inode that was freed in the last minutes, one
/// by one. Jobs make and remove about twenty files each. Side by side, each file took the longer to make the more jobs had just ended.
///
/// # Errors
/// If the file system has no such mark. Then nothing has changed.
fn spread(folder: &Path) -> io::Result<()> {
    let folder = File::open(folder)?;
    let marks = ioctl_getflags(&folder)?;
    if !marks.contains(IFlags::TOPDIR) {
        ioctl_setflags(&folder, marks | IFlags::TOPDIR)?;
    }
    Ok(())
}

/// Removes a folder with everything in it, read-only directories included. A missing folder is not an error.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) => Err(error),
    }
}

/// Makes every directory of a tree writable for this user. Follows no link.
fn open_up(root: &Path) -> io::Result<()> {
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        if !fs::symlink_metadata(&path)?.is_dir() {
            continue;
        }
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(())
}

fn lock(root: &Path, patience: Duration) -> Result<File, OpenError> {
    let path = root.join("lock");
    let fault = |error| OpenError::Home { path: path.clone(), error };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(fault)?;
    let since = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            // A service was killed between the fork and the exec of a sandbox: until the exec, the child holds the lock.
            Err(rustix::io::Errno::WOULDBLOCK) if since.elapsed() < patience => thread::sleep(PAUSE),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = (&file).take(32).read_to_string(&mut text);
                return Err(OpenError::InUse { home: root.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(error) => return Err(fault(error.into())),
        }
    }
    // The number is for messages only, and a full disk does not keep the service from starting.
    let note = file.set_len(0).and_then(|()| file.rewind());
    let note = note.and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    if let Err(error) = note {
        tracing::debug!(%error, "the lock does not name its process");
    }
    Ok(file)
}

/// Free bytes of the file system of a folder, as far as this user may use them.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Sets a few megabytes aside, and gives them back if the disk is full when the service starts: the database needs some to
/// open, and its operator needs the service to remove jobs and make room.
fn set_aside(root: &Path) -> io::Result<()> {
    let (path, free) = (root.join("reserve"), free_bytes(root)?);
    if free < SET_ASIDE {
        match fs::remove_file(&path) {
            Ok(()) => tracing::warn!(
                "the disk is full; what was set aside for this is used to start. Remove jobs to make room"
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    } else if free >= SET_ASIDE * 16 && !path.exists() {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SET_ASIDE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As when a service is killed while it starts a sandbox, and started again at once.
    #[test]
    fn a_lock_that_is_released_in_a_moment_is_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("home");
        let first = Home::open(&root, None).expect("a home");
        let held = thread::spawn(move || {
            thread::sleep(PAUSE * 5);
            drop(first);
        });
        // On a busy machine, this moment may be longer than a service waits.
        lock(&root, PATIENCE * 24).expect("free in a moment");
        held.join().expect("released");
    }

    #[test]
    fn one_service_at_a_time_uses_the_folder() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("home");
        let first = Home::open(&root, None).expect("a home");
        assert_eq!(fs::metadata(&root).expect("made").permissions().mode() & 0o777, 0o700);
        let error = Home::open(&root, None).expect_err("in use").to_string();
        assert!(error.contains(&std::process::id().to_string()) && error.contains("/home"), "{error}");
        drop(first);
        Home::open(&root, None).expect("free again");
    }

    /// ext4 has the mark; where the file system of temporary files has none, a home without it is as good.
    #[test]
    fn folders_of_jobs_are_spread_over_the_disk_where_the_file_system_can() {
        let directory = tempfile::tempdir().expect("a directory");
        let trial = directory.path().join("trial");
        fs::create_dir(&trial).expect("a folder");
        let spreads = spread(&trial).is_ok();
        let home = Home::open(&directory.path().join("home"), None).expect("a home");
        for folder in [home.jobs(), home.results()] {
            let marks = File::open(folder).map(|folder| ioctl_getflags(folder).unwrap_or(IFlags::empty()));
            assert_eq!(marks.expect("a folder").contains(IFlags::TOPDIR), spreads);
        }
    }

    /// Another user creates the folder first, in a place where every user may create one.
    #[test]
    fn a_folder_of_another_user_is_not_taken() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut root = directory.path().join("home");
        fs::create_dir(&root).expect("a folder");
        // Only root can give a folder away; other users find one that belongs to root.
        if std::os::unix::fs::chown(&root, Some(65_534), None).is_err() {
            root = PathBuf::from("/usr");
        }
        let error = Home::open(&root, None).expect_err("not ours").to_string();
        assert!(error.contains("another user"), "{error}");
        assert!(!root.join("lock").exists());
    }

    #[test]
    fn read_only_trees_are_removed_and_the_targets_of_links_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).expect("made");
        fs::write(tree.join("a/b/file"), "x").expect("written");
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).expect("made");
        fs::write(outside.join("file"), "x").expect("written");
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).expect("a link");
        fs::set_permissions(tree.join("a/b"), Permissions::from_mode(0o500)).expect("read-only");
        fs::set_permissions(tree.join("a"), Permissions::from_mode(0o500)).expect("read-only");
        remove_tree(&tree).expect("gone");
        assert!(!tree.exists() && outside.join("file").exists());
        remove_tree(&tree).expect("nothing to do");
    }
}
