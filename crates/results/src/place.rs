//! Where things are in a folder that is a store. On a cluster, the programs that publish share it with the service, by way of a claim. So
//! what is found under a name may be a link to a file or a folder of this program's own. Every folder on the way is opened from the one
//! above it, and no link is followed: neither to read, nor to write, nor to remove.

use cloister_files::if_there;
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, linkat, mkdirat, open, openat, renameat, unlinkat},
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Component, Path},
    sync::Arc,
};

/// A name in a folder of the store, whatever is there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    folder: Arc<OwnedFd>,
    name: OsString,
}

/// What becomes of folders on the way that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// They are missing.
    Left,
    /// They are made. Only this user can read them.
    Made,
    /// They are made, and are there after a crash.
    MadeDurably,
}

impl Place {
    /// Below the folder of a store.
    ///
    /// # Errors
    /// [`is_none`] says of some that nothing of the store can be there.
    pub(super) fn find(root: &Path, path: &Path, missing: Missing) -> io::Result<Self> {
        // The folder itself is where the operator says; links on the way to it are the operator's.
        let mut folder = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        for above in path.parent().into_iter().flat_map(Path::components) {
            let Component::Normal(above) = above else { return Err(io::ErrorKind::InvalidInput.into()) };
            folder = match below(&folder, above) {
                Err(Errno::NOENT) if missing != Missing::Left => {
                    make(&folder, above, missing)?;
                    below(&folder, above)?
                }
                found => found?,
            };
        }
        Ok(Self { folder: Arc::new(folder), name })
    }

    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Another name in the same folder.
    pub(super) fn beside(&self, name: OsString) -> Self {
        Self { folder: Arc::clone(&self.folder), name }
    }

    /// Opens a regular file.
    pub(super) fn open(&self) -> io::Result<File> {
        // A pipe is opened at once, and found out below.
        let file = self.open_with(OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Makes a file that only this user can read. Nothing may be there.
    pub(super) fn create(&self) -> io::Result<File> {
        self.open_with(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)
    }

    /// Of what is there; of a link, its own.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.open_with(OFlags::PATH, Mode::empty())?.metadata()
    }

    /// Removes what is there, which is no folder. Whether there was anything.
    pub(super) fn remove(&self) -> io::Result<bool> {
        match unlinkat(&self.folder, self.name(), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a folder and everything in it. A link in its place is removed, and what it leads to stays.
    pub(super) fn remove_all(&self) -> io::Result<()> {
        let Some(found) = if_there(self.metadata())? else { return Ok(()) };
        if found.is_symlink() {
            return self.remove().map(drop);
        }
        let folder = Arc::new(below(&self.folder, self.name())?);
        for name in names(&folder)? {
            let inner = Self { folder: Arc::clone(&folder), name };
            match inner.metadata() {
                Ok(found) if found.is_dir() => inner.remove_all()?,
                _ => {
                    inner.remove()?;
                }
            }
        }
        match unlinkat(&self.folder, self.name(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// All that is in the same folder.
    pub(super) fn siblings(&self) -> io::Result<Vec<Self>> {
        Ok(names(&self.folder)?.into_iter().map(|name| self.beside(name)).collect())
    }

    /// Moves what is there. It takes the place of what is there.
    pub(super) fn rename_to(&self, target: &Self) -> io::Result<()> {
        Ok(renameat(&self.folder, self.name(), &target.folder, target.name())?)
    }

    /// Gives what is there another name. Nothing may have that name.
    pub(super) fn link_to(&self, target: &Self) -> io::Result<()> {
        Ok(linkat(&self.folder, self.name(), &target.folder, target.name(), AtFlags::empty())?)
    }

    /// A name is there after a crash only if its folder was written, too.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync(&self.folder)
    }

    fn open_with(&self, flags: OFlags, mode: Mode) -> io::Result<File> {
        Ok(File::from(openat(&self.folder, self.name(), flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, mode)?))
    }
}

/// Whether nothing of the store can be in a place that was not found: a folder on the way is missing, or is something else, such as a link.
pub(super) fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) || is_link(error)
}

/// Whether something was not opened because it is a link.
pub(super) fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

fn below(folder: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    openat(folder, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn make(folder: &OwnedFd, name: &OsStr, missing: Missing) -> io::Result<()> {
    match mkdirat(folder, name, Mode::RWXU) {
        // Another process may have made it.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    if missing == Missing::MadeDurably { sync(folder) } else { Ok(()) }
}

fn sync(folder: &OwnedFd) -> io::Result<()> {
    File::from(readable(folder)?).sync_all()
}

fn names(folder: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::new(readable(folder)?)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The same folder, so that it can be listed and written to the disk.
fn readable(folder: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
