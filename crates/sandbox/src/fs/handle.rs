use super::{dataset::ReadFile, device::Device, outputs::OutputId, scratch::ScratchId, tree::DirectoryId};
use std::sync::Arc;

/// An open file or directory. Guests never see this number: each ABI has its own numbers for handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandleId(pub(super) usize);

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file of this many bytes.
    File {
        /// Size in bytes; 0 in listings.
        size: u64,
    },
    /// A symbolic link in a dataset.
    Link {
        /// Length of its target in bytes; 0 in listings.
        size: u64,
    },
    /// A character device.
    Device,
}

/// The metadata of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its kind.
    pub kind: FileKind,
    /// A unique number, the same in every run.
    pub inode: u64,
}

/// One name in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Its metadata. The size is 0.
    pub stat: Stat,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Create it if it does not exist (`O_CREAT`).
    pub create: bool,
    /// Fail if it exists (`O_EXCL`); only with `create`.
    pub exclusive: bool,
    /// Truncate it (`O_TRUNC`); only with `write`.
    pub truncate: bool,
    /// Fail if it is not a directory (`O_DIRECTORY`).
    pub directory: bool,
    /// Follow a symbolic link at the end of the path.
    pub follow: bool,
}

/// A directory, by the part of the tree that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Directory {
    Tree(DirectoryId),
    Dataset { mount: usize, path: String },
    Outputs(OutputId),
    Scratch(ScratchId),
}

#[derive(Debug)]
pub(super) enum Open {
    Directory { place: Directory, listing: Vec<Entry>, listing_cost: u64 },
    File { source: Source, readable: bool, writable: bool },
}

#[derive(Debug)]
pub(super) enum Source {
    Read { file: ReadFile, inode: u64 },
    Output { id: OutputId, file: Arc<std::fs::File> },
    Scratch(ScratchId),
    Device { device: Device, number: usize },
}
