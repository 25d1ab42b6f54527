//! What the file layer promises, said a second time and as simply as it can be: outputs and scratch as trees in memory,
//! without a disk, an account or a kernel. Knows nothing of how the file layer does it.

use std::collections::BTreeMap;

/// The budgets of every run here: small, so that they are met.
pub(crate) const MAX_BYTES: u64 = 600;
pub(crate) const MAX_FILES: u64 = 5;
pub(crate) const MAX_DIRECTORIES: u64 = 3;
pub(crate) const MAX_PATH_BYTES: u32 = 20;
pub(crate) const MAX_DEPTH: u32 = 3;
/// What files may be called; directories may be called anything.
pub(crate) const NAMES: [&str; 2] = ["**/a", "**/b"];
/// The most handles at once.
pub(crate) const MAX_HANDLES: u32 = 8;
/// Far above what `/tmp` can come to, and far below what [`super::driver`] asks for to go beyond it.
pub(crate) const MEMORY_BYTES: u64 = 64 << 20;

/// A part of what a guest sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Outputs,
    Scratch,
}

pub(crate) type NodeId = usize;

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Directory(BTreeMap<String, NodeId>),
    File(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) part: Part,
    pub(crate) content: Content,
    /// Where its name is; none for a root, and once it has no name.
    pub(crate) parent: Option<(NodeId, String)>,
    pub(crate) handles: usize,
}

/// All trees. Nodes are never forgotten, only unnamed.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) nodes: Vec<Node>,
}

/// Where a path leads: a node, or a name that a directory does not have.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) directory: NodeId,
    /// None: the directory itself.
    pub(crate) name: Option<String>,
    pub(crate) must_be_directory: bool,
}

impl Model {
    pub(crate) const OUTPUTS: NodeId = 0;
    pub(crate) const SCRATCH: NodeId = 1;
    /// What a guest makes in `/`, beside what is there.
    pub(crate) const ROOT: NodeId = 2;
    /// The first node that a guest made.
    pub(crate) const MADE: NodeId = 3;

    pub(crate) fn new() -> Self {
        let root = |part| Node { part, content: Content::Directory(BTreeMap::new()), parent: None, handles: 1 };
        Self { nodes: vec![root(Part::Outputs), root(Part::Scratch), root(Part::Scratch)] }
    }

    pub(crate) fn is_root(id: NodeId) -> bool {
        id < Self::MADE
    }

    pub(crate) fn children(&self, id: NodeId) -> Option<&BTreeMap<String, NodeId>> {
        match &self.nodes[id].content {
            Content::Directory(children) => Some(children),
            Content::File(_) => None,
        }
    }

    fn children_mut(&mut self, id: NodeId) -> &mut BTreeMap<String, NodeId> {
        match &mut self.nodes[id].content {
            Content::Directory(children) => children,
            Content::File(_) => panic!("a file has no children"),
        }
    }

    pub(crate) fn is_directory(&self, id: NodeId) -> bool {
        self.children(id).is_some()
    }

    fn is_empty(&self, id: NodeId) -> bool {
        self.children(id).is_some_and(BTreeMap::is_empty)
    }

    pub(crate) fn size(&self, id: NodeId) -> u64 {
        match &self.nodes[id].content {
            Content::File(bytes) => bytes.len() as u64,
            Content::Directory(_) => 0,
        }
    }

    /// Follows a path from a directory, never above it.
    pub(crate) fn walk(&self, base: NodeId, path: &[u8]) -> Option<Place> {
        let text = std::str::from_utf8(path).ok()?;
        if text.is_empty() || text.len() > 4096 || text.starts_with('/') || text.contains('\0') {
            return None;
        }
        let segments: Vec<&str> = text.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
        if segments.iter().any(|segment| segment.len() > 255) {
            return None;
        }
        let must_be_directory = matches!(text.rsplit('/').next(), Some("" | "." | ".."));
        let (mut trail, mut name) = (vec![base], None);
        for (index, segment) in segments.iter().enumerate() {
            if *segment == ".." {
                trail.pop();
                trail.last()?;
            } else if index + 1 == segments.len() {
                name = Some((*segment).to_owned());
            } else {
                let next = *self.children(*trail.last()?)?.get(*segment)?;
                self.children(next)?;
                trail.push(next);
            }
        }
        Some(Place { directory: *trail.last()?, name, must_be_directory })
    }

    /// What is at a place: an error if a file is where a directory must be.
    pub(crate) fn find(&self, place: &Place) -> Option<Option<NodeId>> {
        let found = match &place.name {
            None => Some(place.directory),
            Some(name) => self.children(place.directory)?.get(name).copied(),
        };
        let is_file = found.is_some_and(|id| !self.is_directory(id));
        (!(is_file && place.must_be_directory)).then_some(found)
    }

    /// The path below the root of its part, unless it, or something above it, has no name any more.
    pub(crate) fn path(&self, mut id: NodeId) -> Option<Vec<String>> {
        let mut segments = Vec::new();
        while !Self::is_root(id) {
            let (parent, name) = self.nodes[id].parent.as_ref()?;
            segments.push(name.clone());
            id = *parent;
        }
        segments.reverse();
        Some(segments)
    }

    /// The root of the tree that a node with a name is in.
    pub(crate) fn root_of(&self, mut id: NodeId) -> NodeId {
        while let Some((parent, _)) = &self.nodes[id].parent {
            id = *parent;
        }
        id
    }

    /// Whether something may be made at, or moved to, this name.
    pub(crate) fn allows(&self, directory: NodeId, name: &str, file: bool) -> bool {
        let Some(mut segments) = self.path(directory) else { return false };
        segments.push(name.to_owned());
        let plain = segments.iter().all(|segment| !segment.chars().any(char::is_control));
        self.nodes[directory].part == Part::Scratch
            || plain
                && segments.len() <= MAX_DEPTH as usize
                && segments.join("/").len() <= MAX_PATH_BYTES as usize
                && (!file || matches!(name, "a" | "b"))
    }

    /// Nodes of the outputs that still exist on the disk: named, or open.
    fn alive(&self) -> impl Iterator<Item = NodeId> {
        (Self::MADE..self.nodes.len()).filter(|id| {
            let node = &self.nodes[*id];
            node.part == Part::Outputs && (node.parent.is_some() || node.handles > 0)
        })
    }

    /// Files, directories and bytes that count.
    pub(crate) fn charged(&self) -> (u64, u64, u64) {
        let directories = self.alive().filter(|id| self.is_directory(*id)).count() as u64;
        let files = self.alive().count() as u64 - directories;
        (files, directories, self.alive().map(|id| self.size(id)).sum())
    }

    /// Makes something at a name that is free; `None` if a rule or a budget is against it.
    pub(crate) fn make(&mut self, directory: NodeId, name: &str, file: bool) -> Option<NodeId> {
        let part = self.nodes[directory].part;
        let (files, directories, _) = self.charged();
        let full = part == Part::Outputs && if file { files >= MAX_FILES } else { directories >= MAX_DIRECTORIES };
        if full || self.path(directory).is_none() || !self.allows(directory, name, file) {
            return None;
        }
        let content = if file { Content::File(Vec::new()) } else { Content::Directory(BTreeMap::new()) };
        self.nodes.push(Node { part, content, parent: Some((directory, name.to_owned())), handles: 0 });
        let id = self.nodes.len() - 1;
        self.children_mut(directory).insert(name.to_owned(), id);
        Some(id)
    }

    fn unname(&mut self, id: NodeId) {
        if let Some((directory, name)) = self.nodes[id].parent.take() {
            self.children_mut(directory).remove(&name);
        }
    }

    pub(crate) fn remove(&mut self, place: &Place, file: bool) -> bool {
        let Some(Some(id)) = self.find(place) else { return false };
        if place.name.is_none() || self.is_directory(id) == file || (!file && !self.is_empty(id)) {
            return false;
        }
        self.unname(id);
        true
    }

    pub(crate) fn rename(&mut self, from: &Place, to: &Place) -> bool {
        let (Some(_), Some(name)) = (&from.name, &to.name) else { return false };
        let Some(Some(id)) = self.find(from) else { return false };
        let part = self.nodes[id].part;
        let is_directory = self.is_directory(id);
        let apart = part != self.nodes[to.directory].part;
        if apart || self.path(to.directory).is_none() || (to.must_be_directory && !is_directory) {
            return false;
        }
        // Outputs: a directory that holds something stays where it is.
        let replaced = self.children(to.directory).and_then(|children| children.get(name)).copied();
        if replaced == Some(id) {
            return true;
        }
        if part == Part::Outputs && is_directory && !self.is_empty(id) {
            return false;
        }
        let mut above = Some(to.directory);
        while let Some(at) = above {
            if at == id {
                return false;
            }
            above = self.nodes[at].parent.as_ref().map(|(parent, _)| *parent);
        }
        if let Some(other) = replaced
            && (self.is_directory(other) != is_directory || (is_directory && !self.is_empty(other)))
        {
            return false;
        }
        if !self.allows(to.directory, name, !is_directory) {
            return false;
        }
        if let Some(other) = replaced {
            self.unname(other);
        }
        self.unname(id);
        self.nodes[id].parent = Some((to.directory, name.clone()));
        self.children_mut(to.directory).insert(name.clone(), id);
        true
    }

    /// Makes a file this long, if the budget allows it.
    pub(crate) fn resize(&mut self, id: NodeId, size: u64) -> bool {
        let (now, most) = match self.nodes[id].part {
            Part::Outputs => (self.charged().2, MAX_BYTES),
            Part::Scratch => (0, MEMORY_BYTES / 2),
        };
        if now.saturating_add(size.saturating_sub(self.size(id))) > most {
            return false;
        }
        if let (Content::File(bytes), Ok(size)) = (&mut self.nodes[id].content, usize::try_from(size)) {
            bytes.resize(size, 0);
        }
        true
    }

    pub(crate) fn write(&mut self, id: NodeId, bytes: &[u8], offset: u64) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let Some(end) = offset.checked_add(bytes.len() as u64) else { return false };
        if !self.resize(id, end.max(self.size(id))) {
            return false;
        }
        if let (Content::File(content), Ok(start)) = (&mut self.nodes[id].content, usize::try_from(offset)) {
            content[start..start + bytes.len()].copy_from_slice(bytes);
        }
        true
    }
}
