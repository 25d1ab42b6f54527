//! Files that only one user of this machine can read.

#[cfg(not(unix))]
#[path = "private_file/by_folder.rs"]
mod access;
#[cfg(unix)]
#[path = "private_file/by_mode.rs"]
mod access;

pub(crate) use access::{READERS, others_can_read, rename_for_good};

#[cfg(feature = "service")]
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
#[cfg(feature = "service")]
use std::{fs::File, io::Read as _, os::unix::fs::MetadataExt as _};
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
/// If other users can read it as well, it is another user's, or it cannot be read.
#[cfg(feature = "service")]
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    read_unless(path, 0o077)
}

/// As [`read`], for a file that a group may read: the kubelet gives the files of a Secret to the group of the pod.
#[cfg(feature = "service")]
pub(crate) fn read_of_group(path: &Path) -> io::Result<Option<Vec<u8>>> {
    read_unless(path, 0o037)
}

/// Reads a file that has none of these permissions, and belongs to this user or root.
#[cfg(feature = "service")]
fn read_unless(path: &Path, open: u32) -> io::Result<Option<Vec<u8>>> {
    const MOST_BYTES: u64 = 64 * 1024;

    // What is looked at is what is read, also if another file is put in its place. A pipe does not hold the service up.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !is_trusted(metadata.uid()) {
        return Err(io::Error::other("it belongs to another user, who knows its content: remove it"));
    }
    if metadata.mode() & open != 0 {
        return Err(io::Error::other(
            "other users can read it: run `chmod 600`, and replace its content if they may have read it",
        ));
    }
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return Err(io::Error::other("not a file of this service"));
    }
    let mut content = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Refuses a folder in which other users can replace files.
///
/// # Errors
/// If it is one, or cannot be looked at.
#[cfg(feature = "service")]
pub(crate) fn check_folder(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if !is_trusted(metadata.uid()) || metadata.mode() & 0o002 != 0 {
        return Err(io::Error::other("other users can replace files in it: name a folder of your own"));
    }
    Ok(())
}

/// Whether what belongs to a user is this user's own, or root's: the kubelet writes the files of a Secret as root.
#[cfg(feature = "service")]
fn is_trusted(owner: u32) -> bool {
    is_trusted_by(rustix::process::geteuid().as_raw(), owner)
}

#[cfg(feature = "service")]
fn is_trusted_by(user: u32, owner: u32) -> bool {
    owner == user || owner == 0
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

    /// Root can read it nevertheless, and would keep what the other user made.
    #[test]
    fn what_another_user_owns_is_not_taken() {
        for (user, owner, trusted) in
            [(1000, 1000, true), (1000, 0, true), (0, 0, true), (1000, 1001, false), (0, 1001, false)]
        {
            assert_eq!(is_trusted_by(user, owner), trusted, "{user} {owner}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        secret(&path).expect("created");
        // Only root can give a file away.
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
            let error = secret(&path).expect_err("another user's").to_string();
            assert!(error.contains("another user"), "{error}");
        }
    }

    #[test]
    fn a_pipe_in_the_place_of_a_secret_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).expect("a pipe");
        assert!(secret(&path).is_err());
    }
}
