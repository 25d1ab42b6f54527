//! Collecting the outputs. The supervisor treats them as untrusted and checks them against the contract once more.

use crate::{clock::EPOCH_SECONDS, hash::sha256};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use cloister_model::{FileReport, OutputContract, escape};
use rustix::fs::{AtFlags, Timespec, Timestamps};
use std::io;

/// Why outputs are rejected. The worker should have prevented each of these, so each is an incident.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Neither a file nor a directory, or a name that is not UTF-8.
    #[error("`{0}` in the outputs is neither a plain file nor a directory")]
    Strange(String),
    /// More on the disk than the contract allows.
    #[error("the outputs exceed the contract ({0}), although every write was charged")]
    Exceeds(&'static str),
    /// A file whose name the contract does not allow.
    #[error("the outputs hold `{0}`, which the contract does not allow, although every name was checked")]
    Name(String),
    /// The outputs cannot be read.
    #[error("cannot read the outputs: {0}")]
    Io(#[from] io::Error),
}

/// The outputs with their digests.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) files: Vec<FileReport>,
    pub(super) directories: u64,
}

/// Digests the outputs. Follows no links, opens regular files only, and stops as soon as the contract is exceeded. Removes
/// directories that hold no file, and gives everything one fixed time: neither an empty directory nor a time may carry data out.
pub(super) fn collect(root: &Dir, contract: &OutputContract) -> Result<Collected, CollectError> {
    let mut collected = Collected::default();
    let mut bytes = 0_u64;
    let mut open = vec![String::new()];
    let mut directories = Vec::new();
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    while let Some(directory) = open.pop() {
        let entries = if directory.is_empty() { root.entries()? } else { root.read_dir(&directory)? };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let strange = || CollectError::Strange(escape(name.as_encoded_bytes(), 200).to_string());
            let name = name.to_str().ok_or_else(strange)?;
            let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                directories.push(path.clone());
                if directories.len() as u64 > contract.max_directories || !contract.allows_directory(&path) {
                    return Err(CollectError::Exceeds("directories"));
                }
                open.push(path);
            } else if kind.is_file() {
                if !contract.allows_file(&path) {
                    return Err(CollectError::Name(escape(path.as_bytes(), 200).to_string()));
                }
                let file = root.open_with(&path, OpenOptions::new().read(true).custom_flags(flags))?.into_std();
                bytes = bytes.saturating_add(file.metadata()?.len());
                if bytes > contract.max_bytes {
                    return Err(CollectError::Exceeds("bytes"));
                }
                rustix::fs::futimens(&file, &FIXED_TIMES).map_err(io::Error::from)?;
                let (sha256, bytes) = sha256(&file)?;
                collected.files.push(FileReport { path, bytes, sha256 });
                if collected.files.len() as u64 > contract.max_files {
                    return Err(CollectError::Exceeds("files"));
                }
            } else {
                return Err(strange());
            }
        }
    }
    collected.files.sort();
    // The deepest first, so that a directory is empty once those in it are gone.
    directories.sort_by_key(|path| std::cmp::Reverse(path.split('/').count()));
    for path in directories {
        let within = format!("{path}/");
        if collected.files.iter().any(|file| file.path.starts_with(&within)) {
            collected.directories += 1;
            set_times(&root.open_dir(&path)?)?;
        } else {
            root.remove_dir(&path)?;
        }
    }
    // The folder itself may belong to another user, as the volume of a pod does. It is no output, and nothing says what time it has.
    match set_times(root) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        done => done?,
    }
    Ok(collected)
}

/// The time of every output: that of the deterministic profile's clock at its start.
const FIXED_TIMES: Timestamps = {
    let time = Timespec { tv_sec: EPOCH_SECONDS.cast_signed(), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
};

fn set_times(directory: &Dir) -> io::Result<()> {
    // The descriptor only names the directory, so its times are set by a path from it.
    Ok(rustix::fs::utimensat(directory, ".", &FIXED_TIMES, AtFlags::empty())?)
}
