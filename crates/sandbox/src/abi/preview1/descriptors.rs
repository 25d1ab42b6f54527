use super::{abi::APPEND, errno::Code};
use crate::fs::{Errno, FileSystem, HandleId};
use wasmtime::Memory;

/// The guest's descriptor numbers.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    slots: Vec<Option<Descriptor>>,
    /// The guest's memory, once it has been looked up.
    pub(super) memory: Option<Memory>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Descriptor {
    /// Standard input where it is no file: always at its end.
    Stdin,
    /// stdout and stderr.
    Log,
    /// The root, which preview 1 lists as preopened.
    Root(HandleId),
    Directory(HandleId),
    File(OpenFile),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct OpenFile {
    pub(super) handle: HandleId,
    pub(super) offset: u64,
    /// `fdflags`.
    pub(super) flags: u32,
}

impl OpenFile {
    pub(super) fn appends(self) -> bool {
        self.flags & APPEND != 0
    }
}

impl Descriptors {
    /// 0, 1, 2 and the root as 3.
    ///
    /// # Errors
    /// `TooManyHandles` if the limit does not even allow the root.
    pub(crate) fn new(files: &mut FileSystem) -> Result<Self, Errno> {
        let root = Descriptor::Root(files.open_root()?);
        let slots = [Descriptor::Stdin, Descriptor::Log, Descriptor::Log, root].map(Some).to_vec();
        Ok(Self { slots, memory: None })
    }

    /// Makes an open file the standard input.
    pub(crate) fn give_stdin(&mut self, handle: HandleId) {
        self.slots[0] = Some(Descriptor::File(OpenFile { handle, offset: 0, flags: 0 }));
    }

    pub(super) fn get(&self, number: u32) -> Result<Descriptor, Code> {
        self.slots.get(number as usize).copied().flatten().ok_or(Code::BAD_DESCRIPTOR)
    }

    /// The directory handle of a descriptor, for resolving paths.
    pub(super) fn directory(&self, number: u32) -> Result<HandleId, Code> {
        match self.get(number)? {
            Descriptor::Root(handle) | Descriptor::Directory(handle) => Ok(handle),
            Descriptor::Stdin | Descriptor::Log | Descriptor::File(_) => Err(Code::NOT_A_DIRECTORY),
        }
    }

    pub(super) fn file(&mut self, number: u32) -> Result<&mut OpenFile, Code> {
        match self.slots.get_mut(number as usize) {
            Some(Some(Descriptor::File(file))) => Ok(file),
            Some(Some(Descriptor::Stdin | Descriptor::Log)) => Err(Code::SEEK),
            Some(Some(Descriptor::Root(_) | Descriptor::Directory(_)) | None) | None => Err(Code::BAD_DESCRIPTOR),
        }
    }

    /// Inserts a descriptor at the lowest free number, as POSIX does.
    pub(super) fn insert(&mut self, descriptor: Descriptor) -> u32 {
        let free = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[free] = Some(descriptor);
        // The file layer bounds the number of open handles, and thus the length of this table.
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    pub(super) fn remove(&mut self, number: u32) -> Result<Descriptor, Code> {
        self.slots.get_mut(number as usize).and_then(Option::take).ok_or(Code::BAD_DESCRIPTOR)
    }

    /// Replaces the descriptor at an open number and returns the previous one.
    pub(super) fn replace(&mut self, number: u32, descriptor: Descriptor) -> Result<Descriptor, Code> {
        self.slots
            .get_mut(number as usize)
            .and_then(Option::as_mut)
            .map(|slot| std::mem::replace(slot, descriptor))
            .ok_or(Code::BAD_DESCRIPTOR)
    }
}

impl Descriptor {
    pub(super) fn handle(self) -> Option<HandleId> {
        match self {
            Self::Root(handle) | Self::Directory(handle) | Self::File(OpenFile { handle, .. }) => Some(handle),
            Self::Stdin | Self::Log => None,
        }
    }
}
