//! Digests of files.

use cloister_model::Sha256;
use sha2::Digest as _;
use std::{fs::File, io, os::unix::fs::FileExt as _};

/// Bytes per read: large enough to make the cost of system calls negligible, small enough to stay in the processor's
/// cache and to need no fresh pages from the kernel. A larger buffer costs a short run 0.2 ms.
const CHUNK: usize = 64 * 1024;

/// Passes the whole file to `update`, regardless of its position. Returns its length.
///
/// # Errors
/// If reading fails.
pub fn feed(file: &File, mut update: impl FnMut(&[u8])) -> io::Result<u64> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(CHUNK).clamp(1, CHUNK);
    let mut buffer = vec![0; length];
    let mut offset = 0;
    loop {
        match file.read_at(&mut buffer, offset) {
            Ok(0) => return Ok(offset),
            Ok(bytes) => {
                update(&buffer[..bytes]);
                offset += bytes as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Digest and length of a file.
///
/// # Errors
/// If reading fails.
pub fn sha256(file: &File) -> io::Result<(Sha256, u64)> {
    let mut digest = sha2::Sha256::new();
    let length = feed(file, |bytes| digest.update(bytes))?;
    Ok((Sha256::from_bytes(digest.finalize().into()), length))
}

/// Digest of bytes in memory.
#[must_use]
pub fn sha256_bytes(bytes: &[u8]) -> Sha256 {
    Sha256::of(bytes)
}
