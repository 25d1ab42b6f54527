//! Names of files where a path is all that there is to say.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

/// A file of IPFS: `<cid>` or `<cid>/<path>`, at most 1024 bytes. No segment is empty, `.` or `..`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IpfsPath(String);

/// An absolute path on the operator's machine without `..`, at most 4096 bytes. That it is well formed says nothing of
/// whether it may be read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LocalPath(PathBuf);

impl IpfsPath {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut segments = text.split('/');
        let cid = segments.next().unwrap_or_default();
        let plain = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains('\\');
        let is_path = text.len() <= 1024
            && (1..=128).contains(&cid.len())
            && cid.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && segments.all(plain);
        is_path.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for IpfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IpfsPath(..)")
    }
}

impl LocalPath {
    /// As a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let path = Path::new(text);
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        let is_path = text.len() <= 4096 && !text.contains('\0') && path.is_absolute() && path.components().all(plain);
        is_path.then(|| Self(path.to_owned()))
    }
}

impl fmt::Debug for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalPath(..)")
    }
}
