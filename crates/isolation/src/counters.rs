//! Counters in shared memory, which survive the death of either process.

#![expect(unsafe_code, reason = "memory shared between processes has to be mapped by hand")]

use crate::memfd::create_memfd;
use rustix::fs::{SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// The seals that fix the size: no process can truncate the memory, which would cause a `SIGBUS` in its readers.
const FIXED_SIZE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// `N` counters in memory that the supervisor shares with a process that it started.
///
/// The peer can write any value at any time, so the values are untrusted if the peer is.
#[derive(Debug)]
pub struct SharedCounters<const N: usize> {
    memory: NonNull<[AtomicU64; N]>,
}

// SAFETY: this value owns the mapping until drop, the mapping is not tied to a thread, and access is atomic only.
unsafe impl<const N: usize> Send for SharedCounters<N> {}
// SAFETY: as above; a shared reference only yields `&AtomicU64`.
unsafe impl<const N: usize> Sync for SharedCounters<N> {}

impl<const N: usize> SharedCounters<N> {
    const BYTES: usize = size_of::<[AtomicU64; N]>();

    /// Creates counters that are all zero, and the descriptor for the other process.
    pub fn create() -> io::Result<(Self, OwnedFd)> {
        let file = create_memfd("counters")?;
        ftruncate(&file, Self::BYTES as u64)?;
        fcntl_add_seals(&file, FIXED_SIZE)?;
        Ok((Self::map(&file)?, file))
    }

    /// Opens counters that another process created.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the descriptor is not a file of exactly `N` counters with a sealed size.
    pub fn from_fd(file: OwnedFd) -> io::Result<Self> {
        let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        if !fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(FIXED_SIZE)) {
            return refuse("shared counters whose size is not sealed");
        }
        if usize::try_from(fstat(&file)?.st_size) != Ok(Self::BYTES) {
            return refuse("shared counters of an unexpected size");
        }
        Self::map(&file)
    }

    /// Counter `index`.
    ///
    /// # Panics
    ///
    /// If `index` is not below `N`.
    pub fn get(&self, index: usize) -> &AtomicU64 {
        &self.counters()[index]
    }

    fn counters(&self) -> &[AtomicU64; N] {
        // SAFETY: `map` created a mapping of this size, aligned to a page, that lives as long as `self` and that the seals
        // keep backed by memory. Another process may change it at any time, so access is atomic.
        unsafe { self.memory.as_ref() }
    }

    /// Maps a file that is at least `BYTES` long and stays so.
    fn map(file: impl AsFd) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
        let start = unsafe { mmap(std::ptr::null_mut(), Self::BYTES, access, MapFlags::SHARED, file, 0) }?;
        let memory = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory })
    }
}

impl<const N: usize> Drop for SharedCounters<N> {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `map` created; references into it cannot outlive `self`.
        let unmapped = unsafe { munmap(self.memory.as_ptr().cast::<c_void>(), Self::BYTES) };
        debug_assert!(unmapped.is_ok(), "unmapping what was mapped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn both_ends_see_the_same_numbers() {
        let (ours, file) = SharedCounters::<3>::create().unwrap();
        let theirs = SharedCounters::<3>::from_fd(file).unwrap();
        theirs.get(2).fetch_add(7, Relaxed);
        ours.get(2).fetch_add(1, Relaxed);
        assert_eq!([0, 1, 2].map(|i| ours.get(i).load(Relaxed)), [0, 0, 8]);
    }

    #[test]
    fn the_size_is_sealed() {
        let (_ours, file) = SharedCounters::<3>::create().unwrap();
        assert_eq!(ftruncate(&file, 0).unwrap_err(), rustix::io::Errno::PERM);
        assert_eq!(ftruncate(&file, 4096).unwrap_err(), rustix::io::Errno::PERM);
    }

    #[test]
    fn a_file_that_could_shrink_is_refused() {
        let file = create_memfd("test").unwrap();
        ftruncate(&file, 24).unwrap();
        assert_eq!(SharedCounters::<3>::from_fd(file).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn another_number_of_counters_is_refused() {
        let (_ours, file) = SharedCounters::<3>::create().unwrap();
        assert_eq!(SharedCounters::<4>::from_fd(file).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
