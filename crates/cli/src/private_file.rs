//! Files that only one user of this machine can read.

#[cfg(not(unix))]
#[path = "private_file/by_folder.rs"]
mod access;
#[cfg(unix)]
#[path = "private_file/by_mode.rs"]
mod access;

pub(crate) use access::{READERS, others_can_read, rename_for_good};

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// Options that create files which only their owner can use; on Windows, those whom the folder lets in.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    access::confine(&mut options);
    options
}

/// Creates a folder that only its owner can use, and what is missing above it; on Windows, those whom the folder above lets in.
///
/// # Errors
/// If it cannot be created.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    access::confine_folder(&mut builder);
    builder.create(path)
}

/// Reads a small file. None if it does not exist.
///
/// # Errors
/// If other users can read it as well, or it cannot be read.
#[cfg(feature = "service")]
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    read_unless(path, 0o077)
}

/// As [`read`], for a file that a group may read: the kubelet gives the files of a Secret to the group of the pod.
#[cfg(feature = "service")]
pub(crate) fn read_of_group(path: &Path) -> io::Result<Option<Vec<u8>>> {
    read_unless(path, 0o037)
}

/// Reads a file that has none of these permissions.
#[cfg(feature = "service")]
fn read_unless(path: &Path, open: u32) -> io::Result<Option<Vec<u8>>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if std::os::unix::fs::MetadataExt::mode(&metadata) & open != 0 {
        return Err(io::Error::other(
            "other users can read it: run `chmod 600`, and replace its content if they may have read it",
        ));
    }
    if !metadata.is_file() || metadata.len() > 64 * 1024 {
        return Err(io::Error::other("not a file of this service"));
    }
    fs::read(path).map(Some)
}

/// Writes a file atomically. Replaces an existing one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options().write(true).create_new(true).open(new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(new, path)
}

/// Writes a file that does not exist yet.
///
/// # Errors
/// If it exists, or cannot be written; then nothing of it is left.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = options().write(true).create_new(true).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Reads 32 secret bytes, or creates them at random if the file does not exist.
#[cfg(feature = "service")]
pub(crate) fn secret(path: &Path) -> io::Result<[u8; 32]> {
    if let Some(bytes) = read(path)? {
        return bytes.try_into().map_err(|_| io::Error::other("not written by this service: expected 32 bytes"));
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    write(path, &bytes)?;
    Ok(bytes)
}

#[cfg(all(test, feature = "service"))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_created_once_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let made = secret(&path).expect("created");
        assert_eq!(secret(&path).expect("read"), made);
        assert_ne!(secret(&folder.path().join("other")).expect("created"), made);
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("a mode");
        assert!(secret(&path).is_err());
    }

    #[test]
    fn what_is_not_ours_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        write(&path, b"short").expect("written");
        assert!(secret(&path).is_err());
    }
}
