use cloister_model::ByteRange;
use std::{fs::File, io, os::unix::fs::FileExt as _};

/// A part of a file, shorter than asked for only at its end. Blocking.
///
/// # Errors
/// The system's.
pub fn read_part(file: &File, range: ByteRange) -> io::Result<Vec<u8>> {
    let length = range.length_in(file.metadata()?.len());
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, range.offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}
