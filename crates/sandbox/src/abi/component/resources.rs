//! The objects behind a component's handles.
//!
//! The component model keeps the guest's handle tables and passes us the number that we chose for each handle. The
//! generated traits give these numbers other types (a `Descriptor` that contains a file, a stream with futures), but no
//! value of those types ever exists here.

use crate::{
    fs::{Errno, HandleId},
    guest::{AbiViolation, Guest},
};
use cloister_model::Limit;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sync::{
    filesystem::types::{Descriptor, DirectoryEntryStream},
    io::{
        poll::Pollable,
        streams::{Error, InputStream, OutputStream},
    },
};

/// The number of resources for each file handle: the descriptor, an input stream, an output stream and a pollable.
const RESOURCES_PER_HANDLE: u32 = 4;

/// The most resources of a component that may hold so many handles.
pub(crate) fn most_resources(handles: u32) -> u64 {
    u64::from(handles) * u64::from(RESOURCES_PER_HANDLE)
}

/// A resource has another type than the call requires. The component model checks this, too.
const WRONG_KIND: AbiViolation = AbiViolation("a resource that is not there, or of another kind");

/// Too many resources, for calls that cannot return this as an error.
pub(super) const TOO_MANY: AbiViolation = AbiViolation("more resources than the limit on handles allows");

/// Everything a component holds, by number.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// What every stream of standard input reads, from where the last one ended.
    stdin: Input,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    /// The resource that must outlive this one, such as the descriptor of a stream.
    parent: Option<u32>,
    /// The number of uses: the guest's handle, and each resource whose parent this is.
    users: u32,
}

/// One resource.
#[derive(Debug)]
pub(super) enum Entry {
    /// An open file or directory; the file layer distinguishes them.
    Descriptor(HandleId),
    Listing(Listing),
    Input(Input),
    Output(Output),
    /// The monotonic time from which it is ready. 0 for files and standard streams, which are always ready.
    Pollable(u64),
    Error(Errno),
}

/// A directory listing in progress. It has its own handle, so that the file layer keeps, and charges for, a snapshot of
/// the names.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) handle: HandleId,
    pub(super) next: usize,
    pub(super) count: usize,
}

/// The source of an input stream.
#[derive(Debug, Default)]
pub(super) enum Input {
    /// Nothing, or a stream that failed.
    #[default]
    Closed,
    /// Standard input, which all of its streams share.
    Standard,
    File {
        handle: HandleId,
        offset: u64,
    },
}

/// The destination of an output stream.
#[derive(Debug)]
pub(super) enum Output {
    /// A stream that failed.
    Closed,
    /// stdout and stderr.
    Log,
    File {
        handle: HandleId,
        at: At,
    },
}

/// The position of the next write to a file.
#[derive(Debug)]
pub(super) enum At {
    Offset(u64),
    End,
}

impl Resources {
    /// Makes an open file the standard input.
    pub(crate) fn give_stdin(&mut self, handle: HandleId) {
        self.stdin = Input::File { handle, offset: 0 };
    }

    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn insert(&mut self, entry: Entry, parent: Option<u32>) -> Result<u32, Errno> {
        if let Some(parent) = parent {
            self.slot_mut(parent).map_err(|_| Errno::BadDescriptor)?.users += 1;
        }
        let slot = Some(Slot { entry, parent, users: 1 });
        if let Some(number) = self.free.pop() {
            self.slots[number as usize] = slot;
            return Ok(number);
        }
        let number = u32::try_from(self.slots.len()).map_err(|_| Errno::TooManyHandles)?;
        self.slots.push(slot);
        Ok(number)
    }

    /// Ends one use of a resource. Returns the file handle to close, if this was its last use.
    fn release(&mut self, number: u32) -> Option<HandleId> {
        let mut handle = None;
        let mut next = Some(number);
        while let Some(number) = next {
            let place = self.slots.get_mut(number as usize)?;
            let slot = place.as_mut()?;
            slot.users -= 1;
            if slot.users > 0 {
                break;
            }
            next = slot.parent;
            // Of a resource and its parents, at most one owns a file handle: a stream has a parent and no handle.
            if let Entry::Descriptor(own) | Entry::Listing(Listing { handle: own, .. }) = slot.entry {
                handle = Some(own);
            }
            *place = None;
            self.free.push(number);
        }
        handle
    }

    fn slot_mut(&mut self, number: u32) -> Result<&mut Slot, AbiViolation> {
        self.slots.get_mut(number as usize).and_then(Option::as_mut).ok_or(WRONG_KIND)
    }

    fn entry(&self, number: u32) -> Result<&Entry, AbiViolation> {
        let slot = self.slots.get(number as usize).and_then(Option::as_ref).ok_or(WRONG_KIND)?;
        Ok(&slot.entry)
    }

    pub(super) fn descriptor(&self, resource: &Resource<Descriptor>) -> Result<HandleId, AbiViolation> {
        if let Entry::Descriptor(handle) = self.entry(resource.rep())? { Ok(*handle) } else { Err(WRONG_KIND) }
    }

    pub(super) fn listing(&mut self, resource: &Resource<DirectoryEntryStream>) -> Result<&mut Listing, AbiViolation> {
        match &mut self.slot_mut(resource.rep())?.entry {
            Entry::Listing(listing) => Ok(listing),
            _ => Err(WRONG_KIND),
        }
    }

    pub(super) fn input(&mut self, resource: &Resource<InputStream>) -> Result<&mut Input, AbiViolation> {
        if matches!(self.entry(resource.rep())?, Entry::Input(Input::Standard)) {
            return Ok(&mut self.stdin);
        }
        match &mut self.slot_mut(resource.rep())?.entry {
            Entry::Input(input) => Ok(input),
            _ => Err(WRONG_KIND),
        }
    }

    pub(super) fn output(&mut self, resource: &Resource<OutputStream>) -> Result<&mut Output, AbiViolation> {
        match &mut self.slot_mut(resource.rep())?.entry {
            Entry::Output(output) => Ok(output),
            _ => Err(WRONG_KIND),
        }
    }

    /// The monotonic time from which it is ready.
    pub(super) fn pollable(&self, resource: &Resource<Pollable>) -> Result<u64, AbiViolation> {
        if let Entry::Pollable(due) = self.entry(resource.rep())? { Ok(*due) } else { Err(WRONG_KIND) }
    }

    pub(super) fn error(&self, resource: &Resource<Error>) -> Result<Errno, AbiViolation> {
        if let Entry::Error(errno) = self.entry(resource.rep())? { Ok(*errno) } else { Err(WRONG_KIND) }
    }
}

impl Guest {
    /// Fails if one more resource would exceed the limit.
    pub(super) fn check_room(&self) -> Result<(), Errno> {
        let allowed = most_resources(self.handles);
        let asked = self.resources.len() as u64 + 1;
        if asked > allowed {
            self.account.deny(Limit::Handles, allowed, asked);
            return Err(Errno::TooManyHandles);
        }
        Ok(())
    }

    /// Creates a resource for the guest. It counts as a use of `parent`.
    pub(super) fn keep<T: 'static>(&mut self, entry: Entry, parent: Option<u32>) -> Result<Resource<T>, Errno> {
        self.check_room()?;
        self.resources.insert(entry, parent).map(Resource::new_own)
    }

    /// As [`Self::keep`], for calls that cannot return an error and trap instead.
    pub(super) fn keep_or_trap<T: 'static>(&mut self, entry: Entry) -> wasmtime::Result<Resource<T>> {
        Ok(self.keep(entry, None).map_err(|_| TOO_MANY)?)
    }

    /// As [`Self::keep`], for a resource that owns a file handle.
    pub(super) fn keep_open<T: 'static>(&mut self, handle: HandleId, entry: Entry) -> Result<Resource<T>, Errno> {
        self.keep(entry, None).inspect_err(|_| self.files.close(handle))
    }

    /// Removes a resource that the guest dropped and whose kind the caller has checked.
    pub(super) fn forget<T: 'static>(&mut self, resource: &Resource<T>) {
        if let Some(handle) = self.resources.release(resource.rep()) {
            self.files.close(handle);
        }
    }
}
