//! `SHA256SUMS`, in the form of coreutils: a digest, two spaces, a path; a line that begins with a backslash has `\\`, `\n` and
//! `\r` written as such.

use cloister_model::Sha256;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

/// Digests of files by their paths, relative to the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums(pub(super) BTreeMap<PathBuf, Sha256>);

impl Sums {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (path, digest) in &self.0 {
            let name = path.as_os_str().as_bytes();
            if name.iter().any(|byte| b"\\\n\r".contains(byte)) {
                text.push(b'\\');
            }
            text.extend_from_slice(format!("{digest}  ").as_bytes());
            for byte in name {
                match byte {
                    b'\\' => text.extend_from_slice(b"\\\\"),
                    b'\n' => text.extend_from_slice(b"\\n"),
                    b'\r' => text.extend_from_slice(b"\\r"),
                    other => text.push(*other),
                }
            }
            text.push(b'\n');
        }
        text
    }

    /// Reads it. The error is the number of the first line that is wrong, from 1: it is cut off, has no digest, names a path
    /// that leaves the backup, or names one twice.
    pub(super) fn read(text: &[u8]) -> Result<Self, usize> {
        let mut all = BTreeMap::new();
        let lines = text.strip_suffix(b"\n").ok_or_else(|| text.split(|byte| *byte == b'\n').count())?;
        for (number, line) in (1..).zip(lines.split(|byte| *byte == b'\n')) {
            let (path, digest) = entry(line).ok_or(number)?;
            if all.insert(path, digest).is_some() {
                return Err(number);
            }
        }
        Ok(Self(all))
    }
}

fn entry(line: &[u8]) -> Option<(PathBuf, Sha256)> {
    let (line, is_escaped) = line.strip_prefix(b"\\").map_or((line, false), |rest| (rest, true));
    let (digest, rest) = line.split_at_checked(64)?;
    let digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    let name = rest.strip_prefix(b"  ")?;
    let name = if is_escaped { unescaped(name)? } else { name.to_vec() };
    let path = Path::new(OsStr::from_bytes(&name));
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_below && !name.is_empty()).then(|| (path.to_owned(), digest))
}

fn unescaped(name: &[u8]) -> Option<Vec<u8>> {
    let (mut plain, mut bytes) = (Vec::new(), name.iter());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            other => *other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(names: Vec<Vec<u8>>) {
            let is_plain = |name: &Vec<u8>| !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0);
            let paths = names.into_iter().filter(is_plain).map(|name| Path::new("home").join(OsStr::from_bytes(&name)));
            let sums = Sums(paths.map(|path| (path, Sha256::from_bytes([7; 32]))).chain([("x".into(), Sha256::from_bytes([8; 32]))]).collect());
            prop_assert_eq!(Sums::read(&sums.write()), Ok(sums));
        }

        #[test]
        fn nothing_makes_the_reader_fail(text: Vec<u8>) {
            if let Ok(sums) = Sums::read(&text) {
                prop_assert!(sums.0.keys().all(|path| path.is_relative()));
            }
        }
    }

    #[test]
    fn paths_that_leave_the_backup_are_refused() {
        let digest = "a".repeat(64);
        for name in ["../x", "/etc/passwd", "home/../../x", "", "./x", "\\home"] {
            assert_eq!(
                Sums::read(format!("{digest}  ok\n{digest}  {name}\n").as_bytes()).is_ok(),
                name == "\\home",
                "{name}"
            );
        }
        for text in
            ["", "abc  x\n", &format!("{digest}  x"), &format!("{digest}  x\n{digest}  x\n"), &format!("{digest} x\n")]
        {
            assert!(Sums::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
