//! What is in the folder of outputs. Every step is relative to a directory that is held open, and follows no link, so
//! what is checked is what is read.

use super::{
    OutputRefusal,
    refusal::{refuse, shown},
};
use cloister_model::OutputContract;
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat, statat},
    io::Errno,
};
use std::{ffi::CString, fs::File, path::Path};

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    /// The files, sorted by name.
    pub(super) files: Vec<Found>,
    /// Directories, the folder itself not counted.
    pub(super) directories: u64,
    bytes: u64,
}

/// One file, open.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path below the folder.
    pub(super) name: String,
    pub(super) bytes: u64,
    source: Source,
}

/// Files are opened one after the other: a contract may allow more than a process may hold open.
#[derive(Debug)]
struct Source {
    root: std::sync::Arc<OwnedFd>,
    identity: (u64, u64),
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Reads the folder, within the contract's budgets: it ends at the first thing beyond them.
pub(super) fn walk(outputs: &Path, contract: &OutputContract) -> Result<Outputs, OutputRefusal> {
    let root = open(outputs, FOLDER, Mode::empty()).map_err(|error| unreadable(None, error))?;
    let root = std::sync::Arc::new(root);
    let mut found = Outputs::default();
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        let directory = descend(&root, &folder).map_err(|error| unreadable(Some(&folder), error))?;
        let entries = Dir::read_from(&directory).map_err(|error| unreadable(Some(&folder), error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(Some(&folder), error))?;
            let raw = entry.file_name();
            if matches!(raw.to_bytes(), b"." | b"..") {
                continue;
            }
            let lossy = raw.to_string_lossy();
            let path = if folder.is_empty() { lossy.to_string() } else { format!("{folder}/{lossy}") };
            if raw.to_str().is_err() {
                return Err(refuse("output-path", Some(&path), "its name is not UTF-8"));
            }
            let stat =
                statat(&directory, raw, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| unreadable(Some(&path), error))?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    found.add_directory(&path, contract)?;
                    waiting.push(path);
                }
                FileType::RegularFile => found.add_file(path, &stat, &root, contract)?,
                _ => return Err(refuse("output-kind", Some(&path), "only files and directories may leave")),
            }
        }
    }
    found.files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

impl Outputs {
    fn add_directory(&mut self, path: &str, contract: &OutputContract) -> Result<(), OutputRefusal> {
        self.directories += 1;
        if self.directories > contract.max_directories {
            let text = format!("{} directories may leave, there are more", contract.max_directories);
            return Err(refuse("output-directories", None, &text));
        }
        if contract.allows_directory(path) {
            return Ok(());
        }
        Err(if contract.within_bounds(path) { no_name(path, contract) } else { beyond_bounds(path, contract) })
    }

    fn add_file(
        &mut self,
        name: String,
        stat: &Stat,
        root: &std::sync::Arc<OwnedFd>,
        contract: &OutputContract,
    ) -> Result<(), OutputRefusal> {
        if u64::try_from(self.files.len()).is_ok_and(|count| count >= contract.max_files) {
            let text = format!("{} files may leave, there are more", contract.max_files);
            return Err(refuse("output-files", None, &text));
        }
        if !contract.allows_file(&name) {
            let within = contract.within_bounds(&name);
            return Err(if within { no_name(&name, contract) } else { beyond_bounds(&name, contract) });
        }
        if stat.st_nlink > 1 {
            return Err(refuse("output-link", Some(&name), "it has another name; a file that leaves has one"));
        }
        // A negative size counts as the largest.
        let bytes = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > contract.max_bytes {
            let text = format!("{} bytes may leave, there are more", contract.max_bytes);
            return Err(refuse("output-bytes", Some(&name), &text));
        }
        let source = Source { root: root.clone(), identity: (stat.st_dev, stat.st_ino) };
        self.files.push(Found { name, bytes, source });
        Ok(())
    }
}

impl Found {
    /// Opens the file that was found, from its beginning.
    pub(super) fn open(&self) -> Result<File, OutputRefusal> {
        let (folder, name) = self.name.rsplit_once('/').unwrap_or(("", &self.name));
        let open = || {
            let directory = descend(&self.source.root, folder)?;
            let file = openat(&directory, name, FILE, Mode::empty())?;
            Ok((fstat(&file)?, file))
        };
        let (stat, file) = open().map_err(|error| unreadable(Some(&self.name), error))?;
        let same = (stat.st_dev, stat.st_ino) == self.source.identity
            && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_nlink == 1
            && u64::try_from(stat.st_size) == Ok(self.bytes);
        if same {
            Ok(file.into())
        } else {
            Err(refuse("output-changed", Some(&self.name), "it changed while it was read"))
        }
    }
}

/// A directory below the folder, link by link.
fn descend(root: &OwnedFd, folder: &str) -> Result<OwnedFd, Errno> {
    let mut at = openat(root, c".", FOLDER, Mode::empty())?;
    for segment in folder.split('/').filter(|segment| !segment.is_empty()) {
        let segment = CString::new(segment).map_err(|_| Errno::INVAL)?;
        at = openat(&at, &segment, FOLDER, Mode::empty())?;
    }
    Ok(at)
}

fn no_name(path: &str, contract: &OutputContract) -> OutputRefusal {
    let patterns: Vec<String> = contract.names.iter().take(20).map(|name| shown(&name.to_string())).collect();
    refuse("output-name", Some(path), &format!("no allowed name matches it: {}", patterns.join(", ")))
}

fn beyond_bounds(path: &str, contract: &OutputContract) -> OutputRefusal {
    let (bytes, depth) = (contract.max_path_bytes, contract.max_depth);
    let text =
        format!("a path may have {bytes} bytes and {depth} segments, and no character that hides or reorders text");
    refuse("output-path", Some(path), &text)
}

fn unreadable(path: Option<&str>, error: Errno) -> OutputRefusal {
    let text = format!("it cannot be read ({})", error.kind());
    refuse("output-unreadable", Some(path.filter(|path| !path.is_empty()).unwrap_or("outputs")), &text)
}
