use crate::{Container, Sha256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use std::{fmt, str::FromStr};

/// Files that one asset may have: what its `filesChecksum` may cover.
pub const MOST_FILES: usize = 1000;

/// Ocean's `filesChecksum`: the SHA-256 digests of the contents of an asset's files, in the order of the files, in
/// lower-case hexadecimal, one after the other without a separator.
///
/// Rule: Provider's and ocean-node's checksum step, which agree. This type is put together from digests; the bytes are
/// hashed by the step that holds them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilesChecksum(Vec<Sha256>);

/// The text is not a `filesChecksum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the SHA-256 digests of 1 to {MOST_FILES} files: 64 hexadecimal digits each, without a separator")]
pub struct FilesChecksumError;

impl FilesChecksum {
    /// The checksum over these files, in their order.
    ///
    /// # Errors
    /// If there is no file, or more than [`MOST_FILES`]: ocean-node gives the digest of nothing where it could read
    /// nothing, which must not become a checksum here.
    pub fn of(files: Vec<Sha256>) -> Result<Self, FilesChecksumError> {
        if (1..=MOST_FILES).contains(&files.len()) { Ok(Self(files)) } else { Err(FilesChecksumError) }
    }

    /// The SHA-256 of its text, for a place that a thousand digests do not fit in.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        Sha256::of(self.to_string().as_bytes())
    }

    /// The digest of every file, in order.
    #[must_use]
    pub fn files(&self) -> &[Sha256] {
        &self.0
    }
}

/// Ocean's `containerSectionChecksum`: the SHA-256 of the UTF-8 text `entrypoint` followed by `checksum`.
///
/// Image and tag are not covered; the image's own digest, which `checksum` is, stands for them. A container without a
/// checksum counts as one with an empty checksum.
#[must_use]
pub fn container_section_checksum(container: &Container) -> Sha256 {
    let mut hash = sha2::Sha256::new();
    hash.update(container.entrypoint.as_bytes());
    hash.update(container.checksum.as_deref().unwrap_or_default().as_bytes());
    Sha256::from_bytes(hash.finalize().into())
}

impl FromStr for FilesChecksum {
    type Err = FilesChecksumError;

    fn from_str(text: &str) -> Result<Self, FilesChecksumError> {
        if !text.is_ascii() || !text.len().is_multiple_of(64) || text.len() > MOST_FILES * 64 {
            return Err(FilesChecksumError);
        }
        let digests = (0..text.len()).step_by(64).map(|start| text[start..start + 64].parse());
        Self::of(digests.collect::<Result<_, _>>().map_err(|_| FilesChecksumError)?)
    }
}

impl fmt::Display for FilesChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digest| write!(f, "{digest}"))
    }
}

impl fmt::Debug for FilesChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilesChecksum({self})")
    }
}

impl Serialize for FilesChecksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FilesChecksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `printf 'hello\n' | sha256sum`, `printf '' | sha256sum`.
    const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn files_are_concatenated_in_order() {
        let digest = |text: &str| text.parse::<Sha256>().expect("a digest");
        let both = FilesChecksum::of(vec![digest(HELLO), digest(EMPTY)]).expect("two files");
        assert_eq!(both.to_string(), format!("{HELLO}{EMPTY}"));
        assert_eq!(both.to_string().to_uppercase().parse(), Ok(both.clone()));
        assert_ne!(format!("{EMPTY}{HELLO}").parse(), Ok(both));
    }

    #[test]
    fn nothing_is_no_checksum() {
        for text in ["", "abc", &HELLO[..63], &"é".repeat(32), &"0".repeat((MOST_FILES + 1) * 64)] {
            assert_eq!(text.parse::<FilesChecksum>(), Err(FilesChecksumError));
        }
    }

    /// Reference values from `sha256sum` over entrypoint and checksum written one after the other.
    #[test]
    fn the_container_section_is_entrypoint_and_checksum() {
        for (entrypoint, checksum, expected) in [
            (
                "python3 $ALGO",
                Some("sha256:8221d20c1c16491d7d56b9657ea09082c0ee4a8ab1a6621fa720da58b09580e4"),
                "7766a4ae3f1d2c193e974a3c85b80cd8ba03a91e269cd0bce7e35580cac3b83d",
            ),
            ("node $ALGO", Some(""), "299441d04be2b186869af2c55c5c58169962acc37918f19b668861eb2d631103"),
            ("node $ALGO", None, "299441d04be2b186869af2c55c5c58169962acc37918f19b668861eb2d631103"),
            ("", None, EMPTY),
        ] {
            let container = Container {
                image: "never counted".to_owned(),
                tag: Some("nor this".to_owned()),
                entrypoint: entrypoint.to_owned(),
                checksum: checksum.map(str::to_owned),
            };
            assert_eq!(container_section_checksum(&container).to_string(), expected, "{entrypoint}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(bytes: Vec<[u8; 32]>) {
            if let Ok(checksum) = FilesChecksum::of(bytes.into_iter().map(Sha256::from_bytes).collect()) {
                prop_assert_eq!(checksum.to_string().parse(), Ok(checksum));
            }
        }
    }
}
