//! The directories that exist only for the guest: `/`, `/data` and the directories of a runtime's files.

use super::scratch::ScratchId;
use std::collections::BTreeMap;

/// The number of a directory in the tree.
pub(super) type DirectoryId = usize;

pub(super) const ROOT: DirectoryId = 0;

/// What a name in the tree refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Branch {
    /// Another directory of the tree.
    Directory(DirectoryId),
    /// A single file of the host, by its number.
    File(usize),
    /// A directory of the host, by its number.
    Mount(usize),
    /// `/data/outputs`.
    Outputs,
    /// The root of a tree in memory: `/tmp` or `/data/logs`.
    Scratch(ScratchId),
    /// A device, by its place in [`DEVICES`](super::device::DEVICES).
    Device(usize),
}

#[derive(Debug)]
pub(super) struct Tree {
    directories: Vec<BTreeMap<String, Branch>>,
    through: Vec<Through>,
}

/// A directory that is found through a file.
#[derive(Debug)]
struct Through {
    /// The directory of the file.
    from: DirectoryId,
    /// The file's name, and the rest of the path.
    segments: Vec<String>,
    leads_to: DirectoryId,
}

impl Default for Tree {
    fn default() -> Self {
        Self { directories: vec![BTreeMap::new()], through: Vec::new() }
    }
}

impl Tree {
    pub(super) fn child(&self, directory: DirectoryId, name: &str) -> Option<Branch> {
        self.directories[directory].get(name).copied()
    }

    pub(super) fn children(&self, directory: DirectoryId) -> &BTreeMap<String, Branch> {
        &self.directories[directory]
    }

    /// Makes a directory at an absolute path that leads through a file. False if no file is in the way.
    pub(super) fn through(&mut self, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut from = ROOT;
        for (index, segment) in segments.iter().enumerate() {
            match self.child(from, segment) {
                Some(Branch::Directory(next)) => from = next,
                Some(Branch::File(_)) if index + 1 < segments.len() => {
                    let segments: Vec<String> = segments[index..].iter().copied().map(str::to_owned).collect();
                    if self.through.iter().any(|other| other.from == from && other.segments == segments) {
                        return false;
                    }
                    self.directories.push(BTreeMap::new());
                    self.through.push(Through { from, segments, leads_to: self.directories.len() - 1 });
                    return true;
                }
                _ => return false,
            }
        }
        false
    }

    /// Where a path from a directory leads if it goes through a file, and how many of its segments that takes.
    pub(super) fn beyond(&self, directory: DirectoryId, segments: &[&str]) -> Option<(DirectoryId, usize)> {
        let leads = |through: &&Through| {
            through.from == directory
                && segments.len() >= through.segments.len()
                && through.segments.iter().zip(segments).all(|(one, other)| one == other)
        };
        let through = self.through.iter().find(leads)?;
        Some((through.leads_to, through.segments.len()))
    }

    /// The directory at an absolute path. Creates missing directories. `None` if a file or mount is in the way.
    pub(super) fn directory(&mut self, path: &str) -> Option<DirectoryId> {
        let mut at = ROOT;
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut index = 0;
        while let Some(segment) = segments.get(index).copied() {
            if let Some((beyond, length)) = self.beyond(at, &segments[index..]) {
                (at, index) = (beyond, index + length);
                continue;
            }
            index += 1;
            at = match self.child(at, segment) {
                Some(Branch::Directory(next)) => next,
                Some(_) => return None,
                None => {
                    self.directories.push(BTreeMap::new());
                    let next = self.directories.len() - 1;
                    self.directories[at].insert(segment.to_owned(), Branch::Directory(next));
                    next
                }
            };
        }
        Some(at)
    }

    /// Places a branch at an absolute path. Returns false if the path is taken.
    pub(super) fn place(&mut self, path: &str, branch: Branch) -> bool {
        let Some((parent, name)) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else { return false };
        let Some(parent) = self.directory(parent) else { return false };
        if self.directories[parent].contains_key(name) {
            return false;
        }
        self.directories[parent].insert(name.to_owned(), branch);
        true
    }
}
