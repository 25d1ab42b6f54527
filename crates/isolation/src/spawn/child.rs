#![expect(unsafe_code, reason = "wait4, the one call that also says what the process used")]

use rustix::process::{Pid, Signal, pidfd_send_signal};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A process that was started with [`Program::spawn`](crate::Program::spawn).
///
/// Dropped without having been waited for, it is killed and reaped.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    reaped: bool,
}

/// How a process ended, and what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// By itself or by a signal.
    pub cause: Cause,
    /// Processor time in its own code, over all threads.
    pub user_cpu: Duration,
    /// Processor time in the kernel on its behalf, over all threads.
    pub system_cpu: Duration,
    /// The most memory it had resident, in bytes. Never less than what the supervisor had resident when it started
    /// this process, because of how the kernel counts; [`PeakMemory`](crate::PeakMemory) is exact.
    pub peak_resident_bytes: u64,
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// With this exit status.
    Exited(i32),
    /// By this signal. `SIGSYS`: a system call that its filter does not permit.
    Signaled(i32),
}

impl Child {
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, reaped: false }
    }

    /// Its process number. Meaningless once it was waited for.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// A descriptor that becomes readable when the process has ended, for `poll`.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Kills it, at once and whatever it does. Killing one that has already ended is no error.
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
    /// `ECHILD` when this process ignores `SIGCHLD`: then the kernel throws away how its children ended.
    pub fn wait(mut self) -> io::Result<Exit> {
        self.reap()
    }

    fn reap(&mut self) -> io::Result<Exit> {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // From here on the number may come to mean another process, whatever the outcome; except when interrupted.
        self.reaped = true;
        // SAFETY: two places to write to, that live through the call and have the types the call wants.
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
            // Neither can fail in a way that leaves something to do.
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
