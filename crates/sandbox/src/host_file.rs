//! Opening and reading files of the host.

use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Opens a regular file for reading. Does not block if the path is a named pipe.
///
/// # Errors
/// Those of the kernel; `InvalidInput` if the path is not a regular file.
#[expect(clippy::disallowed_methods, reason = "the one place that opens a file of the host by its path")]
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::from(rustix::fs::openat(
        rustix::fs::CWD,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK,
        Mode::empty(),
    )?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Opens a regular file below a directory for reading. No link on its path is followed, so that a process that can write below the
/// directory does not reach anything else.
///
/// # Errors
/// Those of the kernel: `FilesystemLoop` for a link; `InvalidInput` if it is not a regular file.
#[expect(clippy::disallowed_methods, reason = "opens the directory that the caller names")]
pub fn open_below(root: &Path, path: &Path) -> io::Result<File> {
    let directory = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let file = File::from(rustix::fs::openat2(
        &directory,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Reads a file from its current position to its end, if that is at most `limit` bytes.
///
/// # Errors
/// `FileTooLarge` beyond the limit; otherwise the error of reading.
pub fn read_bounded(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
