//! Files in memory: `/tmp`, `/data/logs`, and new names in `/`. They count against the memory limit and disappear with the
//! process.

use super::{Errno, arena::Arena};
use crate::account::Account;
use std::collections::BTreeMap;

/// A directory or file in memory.
pub(super) type ScratchId = usize;

/// `/tmp`. [`Scratch::new`] creates this directory and the next two.
pub(super) const TMP: ScratchId = 0;
/// `/data/logs`, where Ocean's `$LOGS` leads. What a guest leaves there is discarded.
pub(super) const LOGS: ScratchId = 1;
/// What a guest makes in `/`, its current directory.
pub(super) const BESIDE_ROOT: ScratchId = 2;

/// The bytes charged for a node in addition to its content: a generous bound for the record and its name.
const NODE_BYTES: u64 = 512;

#[derive(Debug)]
pub(super) struct Scratch {
    nodes: Arena<Node>,
    account: Account,
}

#[derive(Debug)]
struct Node {
    content: Content,
    /// Whether it has a name.
    linked: bool,
    handles: u32,
}

#[derive(Debug)]
enum Content {
    Directory(BTreeMap<String, ScratchId>),
    File(Vec<u8>),
}

/// The kind of an object in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScratchKind {
    Directory,
    File { size: u64 },
}

impl Scratch {
    pub(super) fn new(account: Account) -> Self {
        let mut nodes = Arena::default();
        for _ in [TMP, LOGS, BESIDE_ROOT] {
            nodes.insert(Node { content: Content::Directory(BTreeMap::new()), linked: true, handles: 1 });
        }
        Self { nodes, account }
    }

    pub(super) fn kind(&self, id: ScratchId) -> ScratchKind {
        match &self.nodes[id].content {
            Content::Directory(_) => ScratchKind::Directory,
            Content::File(bytes) => ScratchKind::File { size: bytes.len() as u64 },
        }
    }

    pub(super) fn children(&self, id: ScratchId) -> Option<&BTreeMap<String, ScratchId>> {
        match &self.nodes[id].content {
            Content::Directory(children) => Some(children),
            Content::File(_) => None,
        }
    }

    pub(super) fn child(&self, directory: ScratchId, name: &str) -> Option<ScratchId> {
        self.children(directory)?.get(name).copied()
    }

    pub(super) fn create(&mut self, directory: ScratchId, name: &str, file: bool) -> Result<ScratchId, Errno> {
        if !self.nodes[directory].linked {
            return Err(Errno::NoEntry);
        }
        self.account.take_memory(NODE_BYTES).map_err(|_| Errno::NoSpace)?;
        let content = if file { Content::File(Vec::new()) } else { Content::Directory(BTreeMap::new()) };
        let id = self.nodes.insert(Node { content, linked: true, handles: 0 });
        self.link(directory, name, id);
        Ok(id)
    }

    /// Unlinks a node, whose kind the caller has checked. A directory must be empty.
    pub(super) fn unlink(&mut self, directory: ScratchId, name: &str, id: ScratchId) -> Result<(), Errno> {
        if self.children(id).is_some_and(|children| !children.is_empty()) {
            return Err(Errno::NotEmpty);
        }
        if let Content::Directory(children) = &mut self.nodes[directory].content {
            children.remove(name);
        }
        self.nodes[id].linked = false;
        self.forget_if_gone(id);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: (ScratchId, &str), to: (ScratchId, &str)) -> Result<(), Errno> {
        let id = self.child(from.0, from.1).ok_or(Errno::NoEntry)?;
        if !self.nodes[to.0].linked {
            return Err(Errno::NoEntry);
        }
        if self.holds(id, to.0) {
            return Err(Errno::Invalid);
        }
        if let Some(replaced) = self.child(to.0, to.1) {
            if replaced == id {
                return Ok(());
            }
            match (self.kind(id), self.kind(replaced)) {
                (ScratchKind::Directory, ScratchKind::File { .. }) => return Err(Errno::NotDirectory),
                (ScratchKind::File { .. }, ScratchKind::Directory) => return Err(Errno::IsDirectory),
                _ => self.unlink(to.0, to.1, replaced)?,
            }
        }
        if let Content::Directory(children) = &mut self.nodes[from.0].content {
            children.remove(from.1);
        }
        self.link(to.0, to.1, id);
        Ok(())
    }

    /// Whether `inner` is `outer` or lies below it. Not recursive, because a guest chooses the depth.
    fn holds(&self, outer: ScratchId, inner: ScratchId) -> bool {
        let mut open = vec![outer];
        while let Some(id) = open.pop() {
            if id == inner {
                return true;
            }
            open.extend(self.children(id).into_iter().flat_map(BTreeMap::values).copied());
        }
        false
    }

    pub(super) fn read_at(&self, id: ScratchId, buffer: &mut [u8], offset: u64) -> usize {
        let Content::File(bytes) = &self.nodes[id].content else { return 0 };
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        length
    }

    pub(super) fn write_at(&mut self, id: ScratchId, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::FileTooLarge)?;
        if let ScratchKind::File { size } = self.kind(id)
            && end > size
            && !bytes.is_empty()
        {
            self.set_size(id, end)?;
        }
        if let (Content::File(content), Ok(start)) = (&mut self.nodes[id].content, usize::try_from(offset))
            && let Some(target) = content.get_mut(start..).and_then(|rest| rest.get_mut(..bytes.len()))
        {
            target.copy_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    pub(super) fn set_size(&mut self, id: ScratchId, size: u64) -> Result<(), Errno> {
        let Content::File(content) = &mut self.nodes[id].content else { return Err(Errno::IsDirectory) };
        let size = usize::try_from(size).map_err(|_| Errno::FileTooLarge)?;
        let held = content.capacity();
        if size > held {
            // Grow by at least a quarter, so that appending takes linear time. Charge the capacity, not the size.
            let target = size.max(held.saturating_add(held / 4)).max(4096);
            self.account.take_memory((target - held) as u64).map_err(|_| Errno::NoSpace)?;
            if content.try_reserve_exact(target - content.len()).is_err() {
                self.account.give_memory((target - held) as u64);
                return Err(Errno::NoSpace);
            }
        }
        content.resize(size, 0);
        if size < held / 2 {
            content.shrink_to_fit();
            self.account.give_memory((held - content.capacity()) as u64);
        }
        Ok(())
    }

    pub(super) fn retain(&mut self, id: ScratchId) {
        self.nodes[id].handles += 1;
    }

    pub(super) fn release(&mut self, id: ScratchId) {
        self.nodes[id].handles -= 1;
        self.forget_if_gone(id);
    }

    fn link(&mut self, directory: ScratchId, name: &str, id: ScratchId) {
        if let Content::Directory(children) = &mut self.nodes[directory].content {
            children.insert(name.to_owned(), id);
        }
    }

    fn forget_if_gone(&mut self, id: ScratchId) {
        let node = &self.nodes[id];
        if node.linked || node.handles > 0 {
            return;
        }
        let held = match &node.content {
            Content::File(bytes) => bytes.capacity() as u64,
            Content::Directory(_) => 0,
        };
        self.account.give_memory(NODE_BYTES + held);
        self.nodes.remove(id);
    }
}
