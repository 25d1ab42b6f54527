//! The descriptors and variables that a process was born with.
//!
//! A descriptor that was inherited is told from one that this process opened by its close-on-exec flag: had it been set,
//! the descriptor would not have survived the exec; and everything that Rust opens has it set. That makes the functions
//! below safe: they never touch a descriptor that some value in this process owns.

#![expect(unsafe_code, reason = "the only way to a descriptor by its number")]

use crate::Status;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// The first descriptor that is not stdin, stdout or stderr.
pub(crate) const FIRST: RawFd = 3;

/// Looking at the flag and setting it are two calls; two threads must not both see it unset.
static TAKING: Mutex<()> = Mutex::new(());

/// Takes the inherited descriptor `n` into possession, and marks it so that no further program inherits it.
///
/// # Errors
///
/// `EBADF` when `n` is not open, is below 3, was taken before, or was opened by this process itself.
pub fn take_fd(n: RawFd) -> io::Result<OwnedFd> {
    let _one_at_a_time = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_inherited(n) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: `n` is open and its flag says that nobody in this process owns it. Setting the flag, under the lock,
    // makes this the only time that it is taken.
    let fd = unsafe { OwnedFd::from_raw_fd(n) };
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// Closes every inherited descriptor that was not taken, and says whether this process inherited anything unasked.
///
/// To be called once everything wanted was taken. Covers descriptors below the limit on open files, which is all of them
/// in a process that was started with [`Program::spawn`](crate::Program::spawn).
///
/// Environment variables are reported rather than removed: their values stay readable in the process's memory even
/// after removal, so a process that has any was started wrongly.
pub fn close_rest() -> Status {
    let closed = close_untaken();
    let variables = std::env::vars_os().count();
    if variables > 0 {
        return Status::Partial(format!("{variables} environment variables were inherited"));
    }
    match closed {
        0 => Status::Enforced("no environment; only the descriptors handed over".to_owned()),
        n => Status::Enforced(format!("no environment; {n} descriptors that were not handed over are closed")),
    }
}

fn close_untaken() -> usize {
    let _one_at_a_time = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let end = getrlimit(Resource::Nofile).current.and_then(|n| RawFd::try_from(n).ok()).unwrap_or(RawFd::MAX);
    let mut closed = 0;
    for n in (FIRST..end).filter(|&n| is_inherited(n)) {
        // SAFETY: as in `take_fd`; dropping the value closes the descriptor.
        drop(unsafe { OwnedFd::from_raw_fd(n) });
        closed += 1;
    }
    closed
}

/// Whether `n` is open, is not one of the standard streams, and was not opened by this process.
fn is_inherited(n: RawFd) -> bool {
    if n < FIRST {
        return false;
    }
    // SAFETY: borrowed for one call that reads a flag. If `n` is not open, that call fails and does nothing else.
    let fd = unsafe { BorrowedFd::borrow_raw(n) };
    fcntl_getfd(fd).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_this_process_opened_cannot_be_taken() {
        let ours = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(take_fd(ours.as_raw_fd()).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn the_standard_streams_cannot_be_taken() {
        for n in [-1, 0, 1, 2] {
            assert!(take_fd(n).is_err());
        }
    }
}
