//! A folder that is held open: what is below it is opened from there, one segment at a time, so that no other program can put a link in between.

use crate::{exit::Usage, output::shown};
use anyhow::Context as _;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, unlinkat},
    io::Errno,
};
use std::{fs::File, io, os::fd::OwnedFd, path::Path};

/// The folder that results are downloaded to.
#[derive(Debug)]
pub(in crate::job) struct Folder(OwnedFd);

/// Where one result goes: an open folder, and a name in it.
pub(super) struct Target {
    parent: OwnedFd,
    name: String,
}

impl Folder {
    /// Opens the folder, and creates it if it does not exist. Links in this path are followed: the caller chose it.
    pub(in crate::job) fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = openat(CWD, path, flags, Mode::empty());
        Ok(Self(folder.map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?))
    }

    /// Opens the directory that a name is in, and creates it if it does not exist. Follows no links.
    pub(super) fn target(&self, name: &str) -> anyhow::Result<Target> {
        let (above, last) = name.rsplit_once('/').unwrap_or(("", name));
        let mut parent = self.0.try_clone().context("the folder")?;
        for segment in above.split('/').filter(|segment| !segment.is_empty()) {
            match mkdirat(&parent, segment, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Usage::error(format!("`{}`: {error}", shown(name)))),
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            parent = openat(&parent, segment, flags, Mode::empty()).map_err(|error| {
                Usage::error(format!("`{}`: `{}` is a link or not a folder ({error})", shown(name), shown(segment)))
            })?;
        }
        Ok(Target { parent, name: last.to_owned() })
    }
}

impl Target {
    /// Opens the file that exists under this name, if there is one.
    pub(super) fn present(&self) -> anyhow::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.parent, self.name.as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                return Err(Usage::error(format!("`{}` exists and cannot be read: {error}", shown(&self.name))));
            }
        };
        if !file.metadata().context("reading an existing file")?.is_file() {
            return Err(Usage::error(format!("`{}` exists and is not a file", shown(&self.name))));
        }
        Ok(Some(file))
    }

    /// Opens the file that holds the download until it is complete.
    pub(super) fn part(&self, name: &str) -> anyhow::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.parent, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| Usage::error(format!("`{}` cannot be written: {error}", shown(name))))?;
        let file = File::from(file);
        let metadata = file.metadata().context("reading an interrupted download")?;
        if metadata.is_file() { Ok(file) } else { Err(Usage::error(format!("`{}` is not a file", shown(name)))) }
    }

    /// Removes the file of [`Target::part`].
    pub(super) fn remove(&self, part: &str) -> io::Result<()> {
        Ok(unlinkat(&self.parent, part, AtFlags::empty())?)
    }

    /// Gives the file of [`Target::part`] its name. Replaces an existing file.
    pub(super) fn finish(&self, part: &str) -> io::Result<()> {
        Ok(renameat(&self.parent, part, &self.parent, self.name.as_str())?)
    }
}
