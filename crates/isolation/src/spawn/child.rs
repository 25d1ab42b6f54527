#![expect(unsafe_code, reason = "wait4 is the only call that also returns the resource usage")]

use rustix::process::{Pid, Signal, pidfd_send_signal};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A process that was started with [`Program::spawn`](crate::Program::spawn).
///
/// Dropping it before waiting kills and reaps the process.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    reaped: bool,
}

/// How a process ended, and what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Why it ended.
    pub cause: Cause,
    /// Processor time in user mode, over all threads.
    pub user_cpu: Duration,
    /// Processor time in the kernel, over all threads.
    pub system_cpu: Duration,
    /// Its peak resident memory, in bytes. Because of the kernel's accounting, this is at least the memory that the
    /// supervisor had resident when it started the process; [`PeakMemory`](crate::PeakMemory) is exact.
    pub peak_resident_bytes: u64,
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it. `SIGSYS` means a system call that its filter does not permit.
    Signaled(i32),
}

impl Child {
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, reaped: false }
    }

    /// Its process id. Not valid after [`Self::wait`].
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    pub(super) fn process(&self) -> Pid {
        self.pid
    }

    /// A descriptor for `poll` that becomes readable when the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Kills the process with `SIGKILL`. Killing a process that has already ended is not an error.
    pub fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// `ECHILD` if this process ignores `SIGCHLD`, because then the kernel discards the status of its children.
    pub fn wait(mut self) -> io::Result<Exit> {
        self.reap()
    }

    fn reap(&mut self) -> io::Result<Exit> {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // From here on, the process id may be reused, unless the call was interrupted.
        self.reaped = true;
        // SAFETY: both pointers are valid for the call and have the required types.
        while unsafe { libc::wait4(self.pid.as_raw_pid(), &raw mut status, 0, usage.as_mut_ptr()) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        // SAFETY: the structure is plain integers, all zero before the call and written by it.
        let usage = unsafe { usage.assume_init() };
        Ok(Exit {
            cause: cause(status),
            user_cpu: duration(usage.ru_utime),
            system_cpu: duration(usage.ru_stime),
            peak_resident_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            // There is nothing to do if one of them fails.
            let _ = self.kill();
            let _ = self.reap();
        }
    }
}

fn cause(status: i32) -> Cause {
    if libc::WIFSIGNALED(status) {
        Cause::Signaled(libc::WTERMSIG(status))
    } else {
        Cause::Exited(libc::WEXITSTATUS(status))
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros))
}
