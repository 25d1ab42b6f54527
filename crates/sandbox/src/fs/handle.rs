use super::{dataset::ReadFile, outputs::OutputId, scratch::ScratchId, tree::DirectoryId};
use std::sync::Arc;

/// An open file or directory. The number means nothing to a guest: each ABI has its own names for handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandleId(pub(super) usize);

/// What something is.
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
}

/// What a file tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// A number that names it within the run, the same in every run.
    pub inode: u64,
}

/// One name in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it is and how it is numbered. Sizes are not given.
    pub stat: Stat,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Make it if it is not there (`O_CREAT`).
    pub create: bool,
    /// Fail if it is there (`O_EXCL`); only with `create`.
    pub exclusive: bool,
    /// Empty it (`O_TRUNC`); needs `write`.
    pub truncate: bool,
    /// Fail unless it is a directory (`O_DIRECTORY`).
    pub directory: bool,
    /// Follow a link at the end of the path.
    pub follow: bool,
}

/// Where a directory is.
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
}
