//! Copying files that only this user can read, and hashing them on the way.

use cloister_files::hash_chunks;
use cloister_model::FileDigest;
use rustix::fs::{Mode, OFlags, open};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What is below a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    File,
    Folder,
    /// A link, a socket or a device.
    Other,
}

/// Copies a plain file into a new one of mode 600. None if it is gone or is not a plain file.
pub(super) fn copy_file(from: &Path, to: &Path) -> io::Result<Option<FileDigest>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut source = match open(from, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !source.metadata()?.is_file() {
        return Ok(None);
    }
    let mut copy = new_file(to)?;
    let mut written = Ok(());
    let digest = hash_chunks(&mut source, |chunk| {
        if written.is_ok() {
            written = copy.write_all(chunk);
        }
    })?;
    written?;
    copy.sync_all()?;
    Ok(Some(digest))
}

/// A new file of mode 600.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// What is directly in a folder, sorted. Nothing if it is gone.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<(OsString, Kind)>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut all = Vec::new();
    for entry in listed {
        let entry = entry?;
        let kind = match entry.file_type() {
            Ok(kind) if kind.is_file() => Kind::File,
            Ok(kind) if kind.is_dir() => Kind::Folder,
            Ok(_) => Kind::Other,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        all.push((entry.file_name(), kind));
    }
    all.sort();
    Ok(all)
}

/// The files below a folder, relative to it, and the first thing that is neither a file nor a folder.
pub(super) fn walk(root: &Path) -> io::Result<(Vec<PathBuf>, Option<PathBuf>)> {
    let (mut files, mut odd, mut open) = (Vec::new(), None, vec![PathBuf::new()]);
    while let Some(folder) = open.pop() {
        for (name, kind) in entries(&root.join(&folder))? {
            let path = folder.join(name);
            match kind {
                Kind::File => files.push(path),
                Kind::Folder => open.push(path),
                Kind::Other => odd = odd.or(Some(path)),
            }
        }
    }
    files.sort();
    Ok((files, odd))
}

/// The owner of a folder, if it is not this user.
pub(super) fn other_owner(folder: &Path) -> io::Result<Option<u32>> {
    let owner = fs::metadata(folder)?.uid();
    Ok((owner != rustix::process::geteuid().as_raw()).then_some(owner))
}

/// Makes what is in a folder durable: its entries, not the content of its files.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
