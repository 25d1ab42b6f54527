//! Parsing guest paths. All other code works on the parsed segments.

use super::Errno;

/// The longest guest path, in bytes (Linux's `PATH_MAX`).
const MAX_PATH_BYTES: usize = 4096;
/// The longest segment, in bytes (Linux's `NAME_MAX`).
const MAX_SEGMENT_BYTES: usize = 255;

/// A well-formed relative path. It may contain `..`; the walk decides whether that leaves the directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GuestPath<'a> {
    /// The segments, except empty ones and `.`.
    pub(super) segments: Vec<&'a str>,
    /// Whether the path ended in `/`, `.` or `..` and can only refer to a directory.
    pub(super) must_be_directory: bool,
}

impl<'a> GuestPath<'a> {
    /// Parses a WASI path: relative to a directory handle, UTF-8, without NUL.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Errno> {
        if bytes.len() > MAX_PATH_BYTES {
            return Err(Errno::NameTooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Errno::IllegalByteSequence)?;
        if text.is_empty() {
            return Err(Errno::NoEntry);
        }
        if text.starts_with('/') {
            return Err(Errno::NotPermitted);
        }
        if text.contains('\0') {
            return Err(Errno::Invalid);
        }
        let must_be_directory = matches!(text.rsplit('/').next(), Some("" | "." | ".."));
        let segments: Vec<&str> = text.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
        if segments.iter().any(|segment| segment.len() > MAX_SEGMENT_BYTES) {
            return Err(Errno::NameTooLong);
        }
        Ok(Self { segments, must_be_directory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_paths() {
        for (text, segments, directory) in [
            ("a", vec!["a"], false),
            ("a//b/./c", vec!["a", "b", "c"], false),
            ("a/", vec!["a"], true),
            ("./a/..", vec!["a", ".."], true),
            (".", vec![], true),
        ] {
            let path = GuestPath::parse(text.as_bytes()).expect("well formed");
            assert_eq!((path.segments, path.must_be_directory), (segments, directory), "{text}");
        }
    }

    #[test]
    fn malformed_paths() {
        for (bytes, errno) in [
            (b"".to_vec(), Errno::NoEntry),
            (b"/etc/passwd".to_vec(), Errno::NotPermitted),
            (b"a\0b".to_vec(), Errno::Invalid),
            (b"\xff".to_vec(), Errno::IllegalByteSequence),
            (vec![b'a'; 256], Errno::NameTooLong),
            ([b"a/".repeat(2049)].concat(), Errno::NameTooLong),
        ] {
            assert_eq!(GuestPath::parse(&bytes), Err(errno));
        }
    }
}
