//! `/data/outputs`: the guest can write to it and never read it back. Every byte and file is charged before it exists.
//!
//! Memory holds a mirror of the tree, because Landlock does not let this process list or read the real one. The mirror is
//! exact: the directory was empty when the run began, and only this code writes to it.

use super::{Errno, arena::Arena};
use crate::account::Account;
use cap_std::fs::{Dir, OpenOptions};
use cloister_model::{Limit, OutputContract};
use std::{collections::BTreeMap, os::unix::fs::FileExt as _, sync::Arc};

/// A directory or file below `/data/outputs`.
pub(super) type OutputId = usize;

/// The outputs of one run.
#[derive(Debug)]
pub(super) struct Outputs {
    root: Dir,
    contract: OutputContract,
    account: Account,
    nodes: Arena<Node>,
    bytes: u64,
    files: u64,
    directories: u64,
}

#[derive(Debug)]
enum Node {
    Directory {
        /// `None` for the root and for a removed directory.
        location: Option<(OutputId, String)>,
        children: BTreeMap<String, OutputId>,
        handles: u32,
    },
    File {
        /// `None` for an unlinked file.
        location: Option<(OutputId, String)>,
        size: u64,
        handles: u32,
    },
}

/// The kind of an object in the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputKind {
    Directory,
    File { size: u64 },
}

/// The root directory, which [`Outputs::new`] creates.
pub(super) const OUTPUT_ROOT: OutputId = 0;

impl Outputs {
    pub(super) fn new(root: Dir, contract: OutputContract, account: Account) -> Self {
        let mut nodes = Arena::default();
        nodes.insert(Node::Directory { location: None, children: BTreeMap::new(), handles: 1 });
        Self { root, contract, account, nodes, bytes: 0, files: 0, directories: 0 }
    }

    pub(super) fn kind(&self, id: OutputId) -> OutputKind {
        match &self.nodes[id] {
            Node::Directory { .. } => OutputKind::Directory,
            Node::File { size, .. } => OutputKind::File { size: *size },
        }
    }

    pub(super) fn child(&self, directory: OutputId, name: &str) -> Option<OutputId> {
        self.children(directory)?.get(name).copied()
    }

    /// The names in a directory: exactly what the guest itself made there. Nothing is read from the disk.
    pub(super) fn children(&self, directory: OutputId) -> Option<&BTreeMap<String, OutputId>> {
        match &self.nodes[directory] {
            Node::Directory { children, .. } => Some(children),
            Node::File { .. } => None,
        }
    }

    /// The path below the root; empty for the root itself. `NoEntry` if the object or one of its parents was removed.
    pub(super) fn path(&self, id: OutputId) -> Result<String, Errno> {
        let mut segments = Vec::new();
        let mut at = id;
        while at != OUTPUT_ROOT {
            let (Node::Directory { location, .. } | Node::File { location, .. }) = &self.nodes[at];
            let (parent, name) = location.as_ref().ok_or(Errno::NoEntry)?;
            segments.push(name.as_str());
            at = *parent;
        }
        segments.reverse();
        Ok(segments.join("/"))
    }

    fn path_of(&self, directory: OutputId, name: &str) -> Result<String, Errno> {
        let parent = self.path(directory)?;
        Ok(if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") })
    }

    /// Opens an existing file for writing. The caller must call [`Self::release`] when it is closed.
    pub(super) fn open(&mut self, id: OutputId, truncate: bool) -> Result<Arc<std::fs::File>, Errno> {
        let path = self.path(id)?;
        let file = self.root.open_with(&path, OpenOptions::new().write(true)).map_err(|error| self.fault(error))?;
        if let Node::File { handles, .. } = &mut self.nodes[id] {
            *handles += 1;
        }
        let file = Arc::new(file.into_std());
        if truncate && let Err(errno) = self.set_size(id, &file, 0) {
            self.release(id);
            return Err(errno);
        }
        Ok(file)
    }

    /// Creates a file and opens it for writing.
    pub(super) fn create(&mut self, directory: OutputId, name: &str) -> Result<(OutputId, Arc<std::fs::File>), Errno> {
        let path = self.path_of(directory, name)?;
        if !self.contract.allows_file(&path) {
            return Err(Errno::NotPermitted);
        }
        if self.files >= self.contract.max_files {
            self.account.deny(Limit::OutputFiles, self.contract.max_files, self.files + 1);
            return Err(Errno::Quota);
        }
        let options = &mut OpenOptions::new();
        let file = self.root.open_with(&path, options.write(true).create_new(true)).map_err(|e| self.fault(e))?;
        self.files += 1;
        let id = self.nodes.insert(Node::File { location: Some((directory, name.to_owned())), size: 0, handles: 1 });
        self.link(directory, name, id);
        Ok((id, Arc::new(file.into_std())))
    }

    pub(super) fn create_directory(&mut self, directory: OutputId, name: &str) -> Result<(), Errno> {
        let path = self.path_of(directory, name)?;
        if !self.contract.allows_directory(&path) {
            return Err(Errno::NotPermitted);
        }
        if self.directories >= self.contract.max_directories {
            self.account.deny(Limit::OutputDirectories, self.contract.max_directories, self.directories + 1);
            return Err(Errno::Quota);
        }
        self.root.create_dir(&path).map_err(|error| self.fault(error))?;
        self.directories += 1;
        let location = Some((directory, name.to_owned()));
        let id = self.nodes.insert(Node::Directory { location, children: BTreeMap::new(), handles: 0 });
        self.link(directory, name, id);
        Ok(())
    }

    /// Unlinks a file. Its bytes stay charged until the last handle is closed, because they stay on the disk as long.
    pub(super) fn unlink_file(&mut self, directory: OutputId, name: &str, id: OutputId) -> Result<(), Errno> {
        let path = self.path_of(directory, name)?;
        self.root.remove_file(&path).map_err(|error| self.fault(error))?;
        self.unlink(directory, name, id);
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, directory: OutputId, name: &str, id: OutputId) -> Result<(), Errno> {
        if matches!(&self.nodes[id], Node::Directory { children, .. } if !children.is_empty()) {
            return Err(Errno::NotEmpty);
        }
        let path = self.path_of(directory, name)?;
        self.root.remove_dir(&path).map_err(|error| self.fault(error))?;
        self.unlink(directory, name, id);
        Ok(())
    }

    /// Renames a file or an empty directory within the outputs. A directory with content cannot be renamed, because the
    /// contract would have to allow every path in it again.
    pub(super) fn rename(&mut self, from: (OutputId, &str), to: (OutputId, &str)) -> Result<(), Errno> {
        let id = self.child(from.0, from.1).ok_or(Errno::NoEntry)?;
        let (from_path, to_path) = (self.path_of(from.0, from.1)?, self.path_of(to.0, to.1)?);
        let replaced = self.child(to.0, to.1);
        if replaced == Some(id) {
            return Ok(());
        }
        match (&self.nodes[id], replaced.map(|other| &self.nodes[other])) {
            (Node::Directory { .. }, Some(Node::File { .. })) => return Err(Errno::NotDirectory),
            (Node::File { .. }, Some(Node::Directory { .. })) => return Err(Errno::IsDirectory),
            (Node::Directory { children, .. }, _) if !children.is_empty() => return Err(Errno::NotEmpty),
            (_, Some(Node::Directory { children, .. })) if !children.is_empty() => return Err(Errno::NotEmpty),
            (Node::Directory { .. }, _) if to.0 == id => return Err(Errno::Invalid),
            (Node::Directory { .. }, _) if !self.contract.allows_directory(&to_path) => {
                return Err(Errno::NotPermitted);
            }
            (Node::File { .. }, _) if !self.contract.allows_file(&to_path) => return Err(Errno::NotPermitted),
            _ => {}
        }
        self.root.rename(&from_path, &self.root, &to_path).map_err(|error| self.fault(error))?;
        if let Some(other) = replaced {
            self.unlink(to.0, to.1, other);
        }
        if let Node::Directory { children, .. } = &mut self.nodes[from.0] {
            children.remove(from.1);
        }
        let (Node::Directory { location, .. } | Node::File { location, .. }) = &mut self.nodes[id];
        *location = Some((to.0, to.1.to_owned()));
        self.link(to.0, to.1, id);
        Ok(())
    }

    /// Writes either all of `bytes` at `offset` or nothing: a write that exceeds the budget does not change the disk.
    pub(super) fn write_at(
        &mut self,
        id: OutputId,
        file: &std::fs::File,
        bytes: &[u8],
        offset: u64,
    ) -> Result<usize, Errno> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::FileTooLarge)?;
        let size = self.charge_to(id, end)?;
        if let Err(error) = file.write_all_at(bytes, offset) {
            // Part of it may be on the disk. Truncate the file, so that the charged size stays correct.
            let _ = file.set_len(size);
            self.refund_to(id, size);
            return Err(self.fault(error));
        }
        self.account.count_written(bytes.len());
        Ok(bytes.len())
    }

    /// Sets the logical size. A hole counts like data, because copying the results writes the zeros.
    pub(super) fn set_size(&mut self, id: OutputId, file: &std::fs::File, size: u64) -> Result<(), Errno> {
        let before = self.charge_to(id, size)?;
        if let Err(error) = file.set_len(size) {
            self.refund_to(id, before);
            return Err(self.fault(error));
        }
        self.refund_to(id, size);
        Ok(())
    }

    /// Charges for extending a file to `end` bytes, if it is shorter. Returns its previous size.
    fn charge_to(&mut self, id: OutputId, end: u64) -> Result<u64, Errno> {
        let Node::File { size, .. } = &mut self.nodes[id] else { return Err(Errno::IsDirectory) };
        let before = *size;
        let asked = self.bytes.saturating_add(end.saturating_sub(before));
        if asked > self.contract.max_bytes {
            self.account.deny(Limit::OutputBytes, self.contract.max_bytes, asked);
            return Err(Errno::Quota);
        }
        self.bytes = asked;
        *size = before.max(end);
        Ok(before)
    }

    fn refund_to(&mut self, id: OutputId, end: u64) {
        if let Node::File { size, .. } = &mut self.nodes[id] {
            self.bytes -= *size - end;
            *size = end;
        }
    }

    /// Counts a new handle, which keeps the node in memory.
    pub(super) fn retain(&mut self, id: OutputId) {
        let (Node::Directory { handles, .. } | Node::File { handles, .. }) = &mut self.nodes[id];
        *handles += 1;
    }

    /// Counts a closed handle.
    pub(super) fn release(&mut self, id: OutputId) {
        let (Node::Directory { handles, .. } | Node::File { handles, .. }) = &mut self.nodes[id];
        *handles -= 1;
        self.forget_if_gone(id);
    }

    fn link(&mut self, directory: OutputId, name: &str, id: OutputId) {
        if let Node::Directory { children, .. } = &mut self.nodes[directory] {
            children.insert(name.to_owned(), id);
        }
    }

    fn unlink(&mut self, directory: OutputId, name: &str, id: OutputId) {
        if let Node::Directory { children, .. } = &mut self.nodes[directory] {
            children.remove(name);
        }
        let (Node::Directory { location, .. } | Node::File { location, .. }) = &mut self.nodes[id];
        *location = None;
        self.forget_if_gone(id);
    }

    /// Refunds and removes a node that has neither a name nor a handle.
    fn forget_if_gone(&mut self, id: OutputId) {
        match &self.nodes[id] {
            Node::Directory { location: None, handles: 0, .. } => self.directories -= 1,
            Node::File { location: None, handles: 0, size } => {
                self.bytes -= size;
                self.files -= 1;
            }
            _ => return,
        }
        self.nodes.remove(id);
    }

    /// Converts a host error to the guest's errno. A full or failing disk is a fault of the host, so it is recorded.
    fn fault(&self, error: std::io::Error) -> Errno {
        let errno = Errno::from(error);
        if matches!(errno, Errno::NoSpace | Errno::Io) {
            let raw = if errno == Errno::NoSpace { rustix::io::Errno::NOSPC } else { rustix::io::Errno::IO };
            self.account.note_host_error(raw.raw_os_error());
        }
        errno
    }
}
