//! The directories that exist only for the guest: `/`, `/data` and the directories of a runtime's files.

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
    /// `/tmp`.
    Scratch,
}

#[derive(Debug)]
pub(super) struct Tree {
    directories: Vec<BTreeMap<String, Branch>>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { directories: vec![BTreeMap::new()] }
    }
}

impl Tree {
    pub(super) fn child(&self, directory: DirectoryId, name: &str) -> Option<Branch> {
        self.directories[directory].get(name).copied()
    }

    pub(super) fn children(&self, directory: DirectoryId) -> &BTreeMap<String, Branch> {
        &self.directories[directory]
    }

    /// The directory at an absolute path. Creates missing directories. `None` if a file or mount is in the way.
    pub(super) fn directory(&mut self, path: &str) -> Option<DirectoryId> {
        let mut at = ROOT;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
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
