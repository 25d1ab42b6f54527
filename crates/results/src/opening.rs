//! Reading what is in a folder that is a store. What is found under a name may be a link to a file of the reader's own ([`super::place`]), or a
//! pipe without a writer: neither is opened.

use super::{
    PublishError,
    backend::MOST_WHOLE_BYTES,
    place::{Missing, Place, is_link},
};
use cloister_files::if_there;
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
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

fn open_plainly(root: &Path, path: &Path) -> io::Result<File> {
    Place::find(root, path, Missing::Left)?.open()
}

fn unreadable(error: &io::Error) -> PublishError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => PublishError::Foreign,
        _ => in_the_way(error),
    }
}

/// What is in the way is told from a folder that fails.
pub(super) fn in_the_way(error: &io::Error) -> PublishError {
    match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => PublishError::Foreign,
        // It is no regular file. What the system calls invalid is another thing.
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => PublishError::Foreign,
        _ if is_link(error) => PublishError::Foreign,
        _ => PublishError::folder(error),
    }
}
