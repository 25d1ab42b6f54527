//! What uploads are called in the store, and what the names of an account's uploads say. Pure.

use cloister_model::{Account, FileDigest, Sha256, Timestamp};
use std::{collections::BTreeMap, fmt};

/// After how long a reservation counts no more, in milliseconds: the process that made it was killed.
const RESERVED_MS: u64 = 24 * 60 * 60 * 1000;

/// An account, as the digest of its key: a name that an account gave itself never becomes a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Uploader(Sha256);

impl Uploader {
    pub(super) fn of(account: &Account) -> Self {
        Self(Sha256::of(account.key().as_bytes()))
    }

    /// That it is a stranger, as a path.
    pub(super) fn as_stranger(self) -> String {
        format!("{STRANGERS}/{}", self.0)
    }

    /// The folder of what it may name.
    pub(super) fn folder(self) -> String {
        format!("{UPLOADERS}/{}", self.0)
    }

    /// The account of a folder, by the folder's name; none for what this program did not make.
    pub(super) fn read(folder: &str) -> Option<Self> {
        folder.parse().ok().map(Self)
    }

    /// The path of one thing in it.
    pub(super) fn path(self, name: &Name) -> String {
        format!("{}/{name}", self.folder())
    }
}

/// The folder of the folders of all accounts.
pub(super) const UPLOADERS: &str = "uploaders";

/// The folder of the content of all uploads.
pub(super) const CONTENT: &str = "uploads";

/// The folder of the names of strangers: accounts that were bounded together when they sent something.
pub(super) const STRANGERS: &str = "strangers";

/// The folder of notes, each of which says that a process removes content which no account can name any more. They are called as
/// reservations are.
pub(super) const LEAVING: &str = "leaving-uploads";

/// The path of a file that was sent.
pub(super) fn content(sha256: Sha256) -> String {
    format!("{CONTENT}/{sha256}")
}

/// The name of a thing in the folder of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The account may name this file: `<sha256>-<bytes>`.
    Marker(FileDigest),
    /// A process is storing this file for the account, since then: `<sha256>-<bytes>-<since>-<random>`.
    Reservation(FileDigest, Timestamp, u64),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marker(FileDigest { sha256, bytes }) => write!(f, "{sha256}-{bytes}"),
            Self::Reservation(FileDigest { sha256, bytes }, since, random) => {
                write!(f, "{sha256}-{bytes}-{}-{random:016x}", since.unix_ms())
            }
        }
    }
}

impl Name {
    /// None for what this program did not write.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let file = FileDigest { sha256: parts.next()?.parse().ok()?, bytes: parts.next()?.parse().ok()? };
        let name = match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => Self::Marker(file),
            (Some(since), Some(random), None) => {
                let since = Timestamp::from_unix_ms(since.parse().ok()?);
                Self::Reservation(file, since, u64::from_str_radix(random, 16).ok()?)
            }
            _ => return None,
        };
        (name.to_string() == text).then_some(name)
    }

    pub(super) fn file(&self) -> FileDigest {
        match self {
            Self::Marker(file) | Self::Reservation(file, ..) => *file,
        }
    }

    /// Whether it is a reservation of a process that was killed.
    pub(super) fn is_left_behind(&self, now: Timestamp) -> bool {
        match self {
            Self::Marker(_) => false,
            Self::Reservation(_, since, _) => now.unix_ms().saturating_sub(since.unix_ms()) > RESERVED_MS,
        }
    }
}

/// The bytes of these files together, each counted once, without `but`.
pub(super) fn bytes<'a>(names: impl IntoIterator<Item = &'a Name>, but: Option<FileDigest>) -> u64 {
    let files: BTreeMap<FileDigest, ()> = names.into_iter().map(|name| (name.file(), ())).collect();
    let others = files.into_keys().filter(|file| Some(*file) != but);
    others.fold(0, |sum, file| sum.saturating_add(file.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(byte: u8, bytes: u64) -> FileDigest {
        FileDigest { sha256: Sha256::from_bytes([byte; 32]), bytes }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    proptest! {
        #[test]
        fn names_are_read_as_they_were_written(byte: u8, bytes: u64, since in 0_u64..1 << 50, random: u64) {
            for name in [Name::Marker(file(byte, bytes)), Name::Reservation(file(byte, bytes), at(since), random)] {
                prop_assert_eq!(Name::read(&name.to_string()), Some(name));
            }
        }

        #[test]
        fn other_names_are_not_read(text in ".{0,90}") {
            prop_assert_eq!(Name::read(&text), None);
        }
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        let digest = Sha256::from_bytes([1; 32]);
        for end in
            ["", "-", "-+1", "-01", "-1-", "-1-0", "-1-0-1", "-1-0-0000000000000001-", "-1/..", "-18446744073709551616"]
        {
            assert_eq!(Name::read(&format!("{digest}{end}")), None, "{end}");
        }
        assert!(Name::read(&format!("{digest}-1")).is_some());
    }

    #[test]
    fn a_file_counts_once_for_all_that_store_it() {
        let (one, other) = (file(1, 6), file(2, 4));
        let names = [
            Name::Marker(one),
            Name::Reservation(one, at(0), 1),
            Name::Reservation(other, at(0), 2),
            Name::Reservation(other, at(0), 3),
        ];
        assert_eq!(bytes(&names, None), 10);
        assert_eq!(bytes(&names, Some(other)), 6);
        assert_eq!(bytes(&[Name::Marker(file(1, u64::MAX)), Name::Marker(other)], None), u64::MAX);
    }

    #[test]
    fn a_reservation_ends_after_a_day_and_a_marker_never() {
        let reserved = Name::Reservation(file(1, 1), at(1000), 1);
        assert!(!reserved.is_left_behind(at(1000 + RESERVED_MS)));
        assert!(reserved.is_left_behind(at(1001 + RESERVED_MS)));
        // The clock of another process may be ahead.
        assert!(!reserved.is_left_behind(at(0)));
        assert!(!Name::Marker(file(1, 1)).is_left_behind(at(u64::MAX)));
    }

    #[test]
    fn no_account_becomes_a_path() {
        for account in ["../../etc", "a/b", "..", "0xABCDEF0123456789abcdef0123456789ABCDEF01", "\u{e9}\u{200b}"] {
            let Ok(account) = account.parse::<Account>() else { continue };
            let folder = Uploader::of(&account).folder();
            let digest = folder.strip_prefix("uploaders/").expect("a folder");
            assert!(digest.parse::<Sha256>().is_ok(), "{folder}");
        }
    }
}
