//! Opening what is in a folder that is a store. On a cluster, the programs that publish share it with the service, by way of a claim. So
//! what is found under a name may be a link to a file of the reader's own, or a pipe without a writer: neither is opened.

use super::{PublishError, backend::MOST_WHOLE_BYTES};
use cloister_files::if_there;
use rustix::{
    fs::{Mode, OFlags, open, openat},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Component, Path},
};

/// All of a small thing; none if it is not there. Blocking.
pub(super) fn whole(root: &Path, path: &Path) -> Result<Option<Vec<u8>>, PublishError> {
    let read = || -> io::Result<Option<Vec<u8>>> {
        let Some(file) = if_there(open_plainly(root, path))? else { return Ok(None) };
        let bytes = file.metadata()?.len();
        if bytes > MOST_WHOLE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut content = Vec::with_capacity(usize::try_from(bytes).map_err(io::Error::other)?);
        // It may grow meanwhile.
        file.take(MOST_WHOLE_BYTES).read_to_end(&mut content)?;
        Ok(Some(content))
    };
    read().map_err(|error| unreadable(&error))
}

/// So many bytes of a thing, from a place on; fewer at its end. None if it is not there. Blocking.
pub(super) fn part(root: &Path, path: &Path, offset: u64, length: u32) -> Result<Option<Vec<u8>>, PublishError> {
    let read = || -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = if_there(open_plainly(root, path))? else { return Ok(None) };
        file.seek(SeekFrom::Start(offset))?;
        // Not filled with zeros first: at gigabytes per second that is felt.
        let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
        file.take(u64::from(length)).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    };
    read().map_err(|error| unreadable(&error))
}

/// A regular file below a folder, by a path in which no name is a link.
fn open_plainly(root: &Path, path: &Path) -> io::Result<File> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The folder itself is where the operator says; links on the way to it are the operator's.
    let mut at = open(root, folder, Mode::empty())?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    for above in path.parent().into_iter().flat_map(Path::components) {
        let Component::Normal(above) = above else { return Err(io::ErrorKind::InvalidInput.into()) };
        at = openat(&at, above, folder | OFlags::NOFOLLOW, Mode::empty())?;
    }
    // A pipe is opened at once, and found out below.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&at, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// What is in the way is told from a folder that fails.
fn unreadable(error: &io::Error) -> PublishError {
    let is_link = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::NotADirectory | io::ErrorKind::FileTooLarge => {
            PublishError::Foreign
        }
        _ if is_link => PublishError::Foreign,
        _ => PublishError::folder(error),
    }
}
