//! The descriptors and environment variables that a process inherits.
//!
//! The close-on-exec flag distinguishes inherited descriptors from those that this process opened: a descriptor with the
//! flag would not have survived the exec, and Rust sets the flag on everything it opens. The functions below are safe
//! because they never touch a descriptor that a value in this process owns.

#![expect(unsafe_code, reason = "the only way to get a descriptor by its number")]

use crate::Status;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// The first descriptor after stdin, stdout and stderr.
pub(crate) const FIRST: RawFd = 3;

/// Reading the flag and setting it are two calls, so a lock prevents two threads from both seeing it unset.
static TAKING: Mutex<()> = Mutex::new(());

/// Takes ownership of the inherited descriptor `n`, and sets its close-on-exec flag.
///
/// # Errors
///
/// `EBADF` if `n` is not open, is below 3, was taken before, or was opened by this process.
pub fn take_fd(n: RawFd) -> io::Result<OwnedFd> {
    let _one_at_a_time = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_inherited(n) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: `n` is open, and its flag shows that no value in this process owns it. Setting the flag under the lock
    // ensures that it is taken only once.
    let fd = unsafe { OwnedFd::from_raw_fd(n) };
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// Closes every inherited descriptor that was not taken. The status says whether the process inherited environment
/// variables.
///
/// Call it after taking all descriptors that are needed. It covers descriptors below the limit on open files, which are
/// all descriptors of a process started with [`Program::spawn`](crate::Program::spawn).
///
/// Environment variables are reported, not removed: after removal, their values would stay readable in the process's
/// memory. A process that has any was not started correctly.
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
