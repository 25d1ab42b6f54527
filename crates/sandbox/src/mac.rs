//! Message authentication codes of files that a home keeps: keyed BLAKE3.
//!
//! An interpreter's machine code has hundreds of megabytes and is authenticated at the start of every run, so the speed of this
//! function is the speed of the start. BLAKE3 in its keyed mode is a MAC with a key and a tag of 256 bits. It is computed over the
//! digest of the content, which several threads compute.

use crate::{
    hash::{Blake3, blake3 as digest},
    home::{Home, HomeError},
};
use std::{fs::File, io};

/// What separates these codes from anything else that is made with the key of a home. It changes with their form.
const CONTEXT: &str = "cloister.dev 2026-11-29 authentication of files in a home";

/// The key of a home.
#[derive(Clone)]
pub(crate) struct MacKey([u8; 32]);

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey(..)")
    }
}

impl MacKey {
    /// The key of this home.
    ///
    /// # Errors
    /// If it can be neither read nor created.
    pub(crate) fn of(home: &Home) -> Result<Self, HomeError> {
        Ok(Self(blake3::derive_key(CONTEXT, &home.artifact_key()?)))
    }

    /// The code of a file with what it is kept as, and the length of the file.
    ///
    /// # Errors
    /// If reading fails.
    pub(crate) fn mac(&self, parts: &[&[u8]], file: &File) -> io::Result<(Blake3, u64)> {
        let (content, bytes) = digest(file)?;
        let mut all = parts.to_vec();
        all.push(content.0.as_bytes());
        Ok((self.code(&all), bytes))
    }

    /// The code of a list of texts. Two lists never read the same.
    pub(crate) fn code(&self, parts: &[&[u8]]) -> Blake3 {
        let mut mac = blake3::Hasher::new_keyed(&self.0);
        mac.update(&(parts.len() as u64).to_le_bytes());
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        Blake3(mac.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_code_depends_on_the_key_the_parts_and_every_byte() {
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(bytes).expect("written");
            file
        };
        let mac = |key: u8, parts: &[&[u8]], bytes: &[u8]| MacKey([key; 32]).mac(parts, &file(bytes)).expect("read").0;
        let first = mac(1, &[b"a", b"b"], b"code");
        assert_eq!(first, mac(1, &[b"a", b"b"], b"code"));
        for other in [
            mac(2, &[b"a", b"b"], b"code"),
            mac(1, &[b"ab", b""], b"code"),
            mac(1, &[b"ab"], b"code"),
            mac(1, &[b"a"], b"bcode"),
            mac(1, &[b"a", b"b"], b"codf"),
        ] {
            assert_ne!(first, other);
        }
        let text = serde_json::to_string(&first).expect("written");
        assert_eq!(serde_json::from_str::<Blake3>(&text).expect("read"), first);
        assert!(serde_json::from_str::<Blake3>("\"00\"").is_err());
    }
}
