//! Digests of files.

use blake3::hazmat::{
    ChainingValue, HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use cloister_model::Sha256;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::{
    fs::File,
    io,
    num::NonZero,
    os::unix::fs::FileExt as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

/// Bytes per read: large enough to make the cost of system calls negligible, small enough to stay in the processor's
/// cache and to need no fresh pages from the kernel. A larger buffer costs a short run 0.2 ms.
const CHUNK: usize = 64 * 1024;

/// A BLAKE3 digest or code, in text 64 hexadecimal digits. Two are compared in constant time.
///
/// For files that only this program reads and that every run reads, because it is about three times as fast as SHA-256 on processors
/// with SHA extensions (measured: 5.2 and 1.8 GB/s). What others are to check has SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Blake3(pub(crate) blake3::Hash);

impl TryFrom<String> for Blake3 {
    type Error = blake3::HexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        blake3::Hash::from_hex(text).map(Self)
    }
}

impl From<Blake3> for String {
    fn from(digest: Blake3) -> Self {
        digest.0.to_hex().to_string()
    }
}

impl std::fmt::Display for Blake3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

/// The pieces of a file that threads digest: subtrees of BLAKE3's tree, so a power of two.
const PIECE: u64 = 4 * 1024 * 1024;
/// Files with fewer pieces are digested by one thread: starting another takes longer.
const FEW_PIECES: u64 = 4;
/// The most threads. More of them wait for the memory.
const MOST_THREADS: usize = 4;

/// BLAKE3 digest and length of a file. Several threads digest a large one, because an interpreter's machine code has hundreds of
/// megabytes and nothing else can happen before it is verified.
///
/// # Errors
/// If reading fails, or the file gets shorter meanwhile.
pub(crate) fn blake3(file: &File) -> io::Result<(Blake3, u64)> {
    let length = file.metadata()?.len();
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    if threads < 2 || length.div_ceil(PIECE) < FEW_PIECES {
        let mut digest = blake3::Hasher::new();
        let length = feed(file, |bytes| {
            digest.update(bytes);
        })?;
        return Ok((Blake3(digest.finalize()), length));
    }
    Ok((Blake3(by_threads(file, length, threads)?), length))
}

/// The digest of the first `length` bytes, which are more than one piece.
fn by_threads(file: &File, length: u64, threads: usize) -> io::Result<blake3::Hash> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut digested = Vec::new();
        let mut buffer = vec![0; CHUNK];
        loop {
            let start = next.fetch_add(1, Relaxed).saturating_mul(PIECE);
            if start >= length {
                return Ok::<_, io::Error>(digested);
            }
            digested.push((start, piece(file, start, PIECE.min(length - start), &mut buffer)?));
        }
    };
    let mut pieces = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut digested = work()?;
        for other in others {
            digested.extend(other.join().map_err(|_| io::Error::other("a thread that digests a file failed"))??);
        }
        Ok::<_, io::Error>(digested)
    })?;
    pieces.sort_unstable_by_key(|(start, _)| *start);
    let pieces: Vec<ChainingValue> = pieces.into_iter().map(|(_, value)| value).collect();
    let (left, right) = halves(&pieces);
    Ok(merge_subtrees_root(&merged(left), &merged(right), Mode::Hash))
}

/// The value of one piece in the tree.
fn piece(file: &File, start: u64, length: u64, buffer: &mut [u8]) -> io::Result<ChainingValue> {
    let mut digest = blake3::Hasher::new();
    digest.set_input_offset(start);
    let (mut at, end) = (start, start + length);
    while at < end {
        let room = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(&mut buffer[..room], at)?;
        digest.update(&buffer[..room]);
        at += room as u64;
    }
    Ok(digest.finalize_non_root())
}

/// Where BLAKE3's tree parts: the left half is a power of two.
fn halves(pieces: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    let left = left_subtree_len(pieces.len() as u64 * 1024) / 1024;
    pieces.split_at(usize::try_from(left).unwrap_or(pieces.len()))
}

/// The value of the tree above these pieces.
fn merged(pieces: &[ChainingValue]) -> ChainingValue {
    match pieces {
        [one] => *one,
        several => {
            let (left, right) = halves(several);
            merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn threads_come_to_the_digest_that_one_comes_to() {
        let mut bytes = Vec::new();
        let pattern: Vec<u8> = (0..=250).collect();
        while (bytes.len() as u64) < 7 * PIECE + 5 {
            bytes.extend_from_slice(&pattern);
        }
        for length in [PIECE + 1, 2 * PIECE, 3 * PIECE - 1, 4 * PIECE, 5 * PIECE + 1000, 7 * PIECE + 1] {
            let part = &bytes[..usize::try_from(length).expect("small")];
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(part).expect("written");
            let expected = blake3::hash(part);
            assert_eq!(by_threads(&file, length, 3).expect("read"), expected, "{length}");
            assert_eq!(blake3(&file).expect("read"), (Blake3(expected), length));
        }
    }

    #[test]
    fn a_file_that_gets_shorter_is_an_error() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(2 * PIECE).expect("a length");
        assert!(by_threads(&file, 2 * PIECE + 1, 2).is_err());
    }
}
