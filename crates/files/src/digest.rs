use cloister_model::{FileDigest, Sha256};
use sha2::Digest as _;
use std::io::{self, Read};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Reads to the end and says what was read. Memory does not grow with it. Blocking.
///
/// # Errors
/// If it cannot be read.
pub fn hash_reader(reader: &mut impl Read) -> io::Result<FileDigest> {
    hash_chunks(reader, |_| {})
}

/// Reads to the end, shows every part as it comes, and says what was read. A part has at most 256 KiB, so that memory does not grow with
/// what is read. Blocking.
///
/// # Errors
/// If it cannot be read.
pub fn hash_chunks(reader: &mut impl Read, mut show: impl FnMut(&[u8])) -> io::Result<FileDigest> {
    let (mut hash, mut bytes, mut buffer) = (sha2::Sha256::new(), 0_u64, vec![0; CHUNK_BYTES]);
    loop {
        let read = match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if read == 0 {
            return Ok(FileDigest { sha256: Sha256::from_bytes(hash.finalize().into()), bytes });
        }
        let chunk = &buffer[..read];
        hash.update(chunk);
        show(chunk);
        bytes += u64::try_from(read).map_err(io::Error::other)?;
    }
}

/// What these bytes are, as a file.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> FileDigest {
    let sha256 = Sha256::of(bytes);
    FileDigest { sha256, bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives a few bytes at a time, and is interrupted in between.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let most = buffer.len().min(7);
            self.0.read(&mut buffer[..most])
        }
    }

    proptest! {
        #[test]
        fn pieces_have_the_digest_of_the_whole(bytes: Vec<u8>) {
            prop_assert_eq!(hash_reader(&mut Slow(&bytes, false)).expect("read"), digest_of(&bytes));
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        // printf 'hello\n' | sha256sum
        let file = digest_of(b"hello\n");
        assert_eq!(file.sha256.to_string(), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert_eq!(file.bytes, 6);
    }
}
