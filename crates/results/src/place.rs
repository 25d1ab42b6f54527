//! Where things are in a folder that is a store. On a cluster, the programs that publish share it with the service, by way of a claim. So
//! what is found under a name may be a link to a file or a folder of this program's own. Every folder on the way is opened from the one
//! above it, and no link is followed: neither to read, nor to write, nor to remove.

use cloister_files::{if_there, random_name};
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

    /// Removes a folder and everything in it. Anything else in its place is removed as well; what a link leads to stays.
    pub(super) fn remove_all(&self) -> io::Result<()> {
        let Some(found) = if_there(self.metadata())? else { return Ok(()) };
        if !found.is_dir() {
            return self.remove().map(drop);
        }
        let Some(folder) = if_there(below(&self.folder, self.name()).map_err(io::Error::from))? else { return Ok(()) };
        while flatten(&folder)? {}
        match unlinkat(&self.folder, self.name(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Names of what is in the folder that is there, so many at most.
    ///
    /// # Errors
    /// As of [`Place::find`], also if what is there is no folder.
    pub(super) fn names(&self, at_most: usize) -> io::Result<Vec<OsString>> {
        names(&below(&self.folder, self.name())?, at_most)
    }

    /// All that is in the same folder.
    pub(super) fn siblings(&self) -> io::Result<Vec<Self>> {
        Ok(names(&self.folder, usize::MAX)?.into_iter().map(|name| self.beside(name)).collect())
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

/// Names of what is in a folder, so many at most.
fn names(folder: &OwnedFd, at_most: usize) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::new(readable(folder)?)? {
        if names.len() >= at_most {
            break;
        }
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Removes the files and folders in a folder; folders in these move up to their place. Whether there were any. However deep folders lie in
/// each other, this takes no more stack and no more open files.
fn flatten(folder: &OwnedFd) -> io::Result<bool> {
    let mut moved = false;
    for name in if_there(names(folder, usize::MAX))?.unwrap_or_default() {
        if !is_left(folder, &name)? {
            continue;
        }
        // Another process may remove the same.
        let Some(inner) = if_there(below(folder, &name).map_err(io::Error::from))? else { continue };
        for name in if_there(names(&inner, usize::MAX))?.unwrap_or_default() {
            if is_left(&inner, &name)? {
                match renameat(&inner, name.as_os_str(), folder, random_name()?) {
                    Ok(()) => moved = true,
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        match unlinkat(folder, name.as_os_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(moved)
}

/// Removes what has this name unless it is a folder. Whether it is one.
fn is_left(folder: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(false),
        Err(Errno::ISDIR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The same folder, so that it can be listed and written to the disk.
fn readable(folder: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, thread};

    #[test]
    fn folders_are_removed_however_deep_they_lie_in_each_other() {
        let root = tempfile::tempdir().expect("a folder");
        let mut folder = open(root.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("opened");
        for name in ["job"].into_iter().chain(std::iter::repeat_n("inner", 3000)) {
            mkdirat(&folder, name, Mode::RWXU).expect("made");
            folder = below(&folder, OsStr::new(name)).expect("opened");
            mkdirat(&folder, "beside", Mode::RWXU).expect("made");
            openat(&folder, "file", OFlags::WRONLY | OFlags::CREATE, Mode::RUSR).expect("made");
        }
        let place = Place::find(root.path(), Path::new("job"), Missing::Left).expect("found");
        // A level of calls for each of the folders would not fit.
        let remover = thread::Builder::new().stack_size(256 * 1024).spawn(move || place.remove_all());
        remover.expect("started").join().expect("no panic").expect("removed");
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 0);
    }
}
