//! Directories of the host that the guest may read: datasets and DDOs.

use super::{Errno, FileKind, file_system::join};
use crate::account::Account;
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::{fs::File, io, sync::Arc};

/// One directory tree of the host, read-only. A symbolic link is followed only if it stays inside the tree (`openat2`
/// with `RESOLVE_BENEATH`).
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) root: Dir,
}

/// A file opened for reading.
#[derive(Clone, Debug)]
pub(super) struct ReadFile {
    pub(super) content: Content,
    pub(super) size: u64,
    /// Whether reading it counts as reading an input. An interpreter's library does not count.
    pub(super) is_input: bool,
}

/// Where the bytes of a read-only file are.
#[derive(Clone, Debug)]
pub enum Content {
    /// A whole file of the host.
    File(Arc<File>),
    /// So many bytes of a file of the host, from an offset.
    Range {
        /// The file.
        file: Arc<File>,
        /// Where the bytes begin.
        start: u64,
        /// How many there are.
        length: u64,
    },
    /// Bytes in memory, already charged.
    Memory(Arc<[u8]>),
}

impl Content {
    /// Fills the buffer from `offset`, with one call to the host at most. 0 at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        match self {
            Self::File(file) => file.read_at(buffer, offset),
            Self::Range { file, start, length } => {
                let rest = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
                // Within the length, so the sum is an offset in the file.
                if rest == 0 { Ok(0) } else { file.read_at(&mut buffer[..rest], start + offset) }
            }
            Self::Memory(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
        }
    }
}

/// The bytes charged for one entry of a listing, in addition to its name.
const ENTRY_BYTES: u64 = 64;

impl Mount {
    /// The kind of the object at a path. Follows a link at the end of the path.
    pub(super) fn kind(&self, path: &str) -> Result<FileKind, Errno> {
        let metadata = if path.is_empty() { self.root.dir_metadata() } else { self.root.metadata(path) }?;
        Self::kind_of(&metadata)
    }

    /// The kind of the object at a path. Does not follow a link at the end of the path.
    pub(super) fn kind_of_link(&self, path: &str) -> Result<FileKind, Errno> {
        if path.is_empty() {
            return self.kind(path);
        }
        let metadata = self.root.symlink_metadata(path)?;
        if metadata.is_symlink() {
            return Ok(FileKind::Link { size: metadata.size() });
        }
        Self::kind_of(&metadata)
    }

    fn kind_of(metadata: &cap_std::fs::Metadata) -> Result<FileKind, Errno> {
        if metadata.is_dir() {
            Ok(FileKind::Directory)
        } else if metadata.is_file() {
            Ok(FileKind::File { size: metadata.size() })
        } else {
            // Pipes, sockets and devices do not belong in a dataset, and opening one can block or have side effects.
            Err(Errno::Access)
        }
    }

    /// Opens a regular file for reading. `O_NONBLOCK` prevents blocking if the path turns out to be a pipe.
    pub(super) fn open(&self, path: &str, follow: bool) -> Result<ReadFile, Errno> {
        if !follow && matches!(self.kind_of_link(path)?, FileKind::Link { .. }) {
            return Err(Errno::Loop);
        }
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = self.root.open_with(path, OpenOptions::new().read(true).custom_flags(nonblocking))?;
        let metadata = file.metadata()?;
        match Self::kind_of(&metadata)? {
            FileKind::File { size } => {
                Ok(ReadFile { content: Content::File(Arc::new(file.into_std())), size, is_input: true })
            }
            FileKind::Directory => Err(Errno::IsDirectory),
            FileKind::Link { .. } => Err(Errno::Loop),
            FileKind::Device => Err(Errno::Access),
        }
    }

    pub(super) fn read_link(&self, path: &str) -> Result<String, Errno> {
        let target = self.root.read_link(path)?;
        target.into_os_string().into_string().map_err(|_| Errno::IllegalByteSequence)
    }

    /// The names and kinds in a directory, sorted by bytes, and their charged size. The account is charged while reading,
    /// so that a directory with millions of names exceeds the guest's memory limit before the host runs out of memory.
    pub(super) fn list(&self, path: &str, account: &Account) -> Result<(Vec<(String, FileKind)>, u64), Errno> {
        // Not with cap-std: it would open the directory a second time with `openat`, which the seccomp filter refuses.
        let directory = rustix::fs::openat2(
            &self.root,
            if path.is_empty() { "." } else { path },
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        )
        .map_err(io::Error::from)?;
        let entries = rustix::fs::Dir::new(directory).map_err(io::Error::from)?;
        let mut names = Vec::new();
        let mut taken = 0;
        let read = || {
            for entry in entries {
                let entry = entry.map_err(io::Error::from)?;
                let Ok(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
                if matches!(name.as_str(), "." | "..") {
                    continue;
                }
                let kind = match entry.file_type() {
                    FileType::Directory => FileKind::Directory,
                    FileType::Symlink => FileKind::Link { size: 0 },
                    FileType::RegularFile => FileKind::File { size: 0 },
                    // Some file systems do not give the type in listings.
                    FileType::Unknown => match self.kind_of_link(&join(path, &name)) {
                        Ok(FileKind::File { .. }) => FileKind::File { size: 0 },
                        Ok(FileKind::Link { .. }) => FileKind::Link { size: 0 },
                        Ok(FileKind::Directory) => FileKind::Directory,
                        Ok(FileKind::Device) | Err(_) => continue,
                    },
                    _ => continue,
                };
                let cost = ENTRY_BYTES + name.len() as u64;
                account.take_memory(cost).map_err(|_| Errno::NoMemory)?;
                taken += cost;
                names.push((name, kind));
            }
            Ok(())
        };
        if let Err(errno) = read() {
            account.give_memory(taken);
            return Err(errno);
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok((names, taken))
    }
}
