//! What a component's handles stand for.
//!
//! The component model keeps the guest's handle tables and gives us only the number that we once chose for each. The
//! generated traits name other types for these numbers (a `Descriptor` with a file in it, a stream with futures); no
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

/// How many resources there may be for each handle on a file: itself, a stream each way, and one to poll.
const RESOURCES_PER_HANDLE: u32 = 4;

/// A resource is not what the call says it is. The component model checks it too; this is the second lock.
const WRONG_KIND: AbiViolation = AbiViolation("a resource that is not there, or of another kind");

/// For calls that have no way to say that there are too many resources.
pub(super) const TOO_MANY: AbiViolation = AbiViolation("more resources than the limit on handles allows");

/// Everything a component holds, by number.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    /// What must outlive this: the descriptor of a stream.
    parent: Option<u32>,
    /// The guest's own handle, and each resource whose parent this is.
    users: u32,
}

/// One resource.
#[derive(Debug)]
pub(super) enum Entry {
    /// An open file or directory. The file layer knows which.
    Descriptor(HandleId),
    Listing(Listing),
    Input(Input),
    Output(Output),
    /// Ready from this moment of the monotonic clock on. Files and standard streams always are: 0.
    Pollable(u64),
    Error(Errno),
}

/// A directory being read. It has a handle of its own, so that the file layer keeps the names as they were when the
/// reading began, and charges for them.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) handle: HandleId,
    pub(super) next: usize,
    pub(super) count: usize,
}

/// Where an input stream comes from.
#[derive(Debug)]
pub(super) enum Input {
    /// Standard input, and what failed before.
    Closed,
    File {
        handle: HandleId,
        offset: u64,
    },
}

/// Where an output stream goes.
#[derive(Debug)]
pub(super) enum Output {
    /// It failed before.
    Closed,
    /// stdout and stderr.
    Log,
    File {
        handle: HandleId,
        at: At,
    },
}

/// Where the next write to a file goes.
#[derive(Debug)]
pub(super) enum At {
    Offset(u64),
    End,
}

impl Resources {
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

    /// Ends one use of a resource. Returns the file handle that nobody uses any more, if there is one.
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
            // A stream has a parent and no handle of its own, so at most one is found on the way up.
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

    /// When it is ready.
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
        let allowed = u64::from(self.handles.saturating_mul(RESOURCES_PER_HANDLE));
        let asked = self.resources.len() as u64 + 1;
        if asked > allowed {
            self.account.deny(Limit::Handles, allowed, asked);
            return Err(Errno::TooManyHandles);
        }
        Ok(())
    }

    /// Gives the guest a resource, which keeps `parent` in use.
    pub(super) fn keep<T: 'static>(&mut self, entry: Entry, parent: Option<u32>) -> Result<Resource<T>, Errno> {
        self.check_room()?;
        self.resources.insert(entry, parent).map(Resource::new_own)
    }

    /// As [`Self::keep`], for calls that cannot fail: they trap.
    pub(super) fn keep_or_trap<T: 'static>(&mut self, entry: Entry) -> wasmtime::Result<Resource<T>> {
        Ok(self.keep(entry, None).map_err(|_| TOO_MANY)?)
    }

    /// As [`Self::keep`], for a resource that owns a file handle.
    pub(super) fn keep_open<T: 'static>(&mut self, handle: HandleId, entry: Entry) -> Result<Resource<T>, Errno> {
        self.keep(entry, None).inspect_err(|_| self.files.close(handle))
    }

    /// The guest dropped a resource, whose kind the caller has checked.
    pub(super) fn forget<T: 'static>(&mut self, resource: &Resource<T>) {
        if let Some(handle) = self.resources.release(resource.rep()) {
            self.files.close(handle);
        }
    }
}
