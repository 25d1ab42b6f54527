//! Creating the new process.
//!
//! The new process shares this one's memory until it executes the program, and the calling thread is suspended meanwhile
//! (`CLONE_VM`, `CLONE_VFORK`, as in `posix_spawn`). The cost does not depend on the size of this process. The code in
//! between must not allocate, take a lock or run a destructor, so everything is prepared in [`Order`], and [`child`] only
//! makes system calls.

#![expect(unsafe_code, reason = "clone and execveat")]

use super::Child;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::null;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

/// The stack of the new process until the exec. Its deepest call chain needs a few hundred bytes.
const STACK_BYTES: usize = 32 * 1024;

/// The plan of a new process.
pub(super) struct Plan<'a> {
    pub(super) program: BorrowedFd<'a>,
    pub(super) arguments: &'a [CString],
    /// The descriptors 0, 1, 2 and so on. Their current numbers are higher than all of those.
    pub(super) descriptors: &'a [BorrowedFd<'a>],
    pub(super) limits: &'a [(Resource, Rlimit)],
}

/// The plan in a form that needs no allocation to carry out, and the error of the step that failed.
struct Order<'a> {
    parent: Pid,
    program: RawFd,
    argv: &'a [*const c_char],
    descriptors: &'a [BorrowedFd<'a>],
    limits: &'a [(Resource, Rlimit)],
    failed_step: AtomicU32,
    failed_errno: AtomicI32,
}

/// The steps of the new process before the exec. The error message names the one that failed.
#[derive(Clone, Copy)]
enum Step {
    DieWithParent = 1,
    OwnSession,
    RootDirectory,
    Descriptors,
    CloseOthers,
    Limits,
    NoNewPrivs,
    Signals,
    Execute,
}

impl Step {
    const ALL: [(Self, &str); 9] = [
        (Self::DieWithParent, "setting its parent-death signal"),
        (Self::OwnSession, "giving it a session of its own"),
        (Self::RootDirectory, "changing its directory to /"),
        (Self::Descriptors, "passing its descriptors"),
        (Self::CloseOthers, "closing all other descriptors (close_range, Linux 5.11)"),
        (Self::Limits, "setting its resource limits"),
        (Self::NoNewPrivs, "setting no_new_privs"),
        (Self::Signals, "resetting its signals"),
        (Self::Execute, "executing the program"),
    ];
}

/// The kernel refused a step in the new process.
#[derive(Debug, thiserror::Error)]
#[error("starting a process: {step}: {source}")]
struct StepError {
    step: &'static str,
    source: io::Error,
}

impl Plan<'_> {
    pub(super) fn launch(&self) -> io::Result<Child> {
        let argv: Vec<_> = self.arguments.iter().map(|arg| arg.as_ptr()).chain([null()]).collect();
        let order = Order {
            parent: rustix::process::getpid(),
            program: self.program.as_raw_fd(),
            argv: &argv,
            descriptors: self.descriptors,
            limits: self.limits,
            failed_step: AtomicU32::new(0),
            failed_errno: AtomicI32::new(0),
        };
        let child = clone(&order)?;
        match order.failure() {
            None => Ok(child),
            Some(error) => {
                child.wait()?;
                Err(error)
            }
        }
    }
}

impl Order<'_> {
    fn failure(&self) -> Option<io::Error> {
        let failed = self.failed_step.load(Relaxed);
        let (_, step) = Step::ALL.into_iter().find(|&(step, _)| step as u32 == failed)?;
        let source = io::Error::from_raw_os_error(self.failed_errno.load(Relaxed));
        Some(io::Error::new(source.kind(), StepError { step, source }))
    }
}

/// Creates the new process, and returns when it has executed the program or failed.
fn clone(order: &Order<'_>) -> io::Result<Child> {
    let mut stack = Vec::<u128>::with_capacity(STACK_BYTES / size_of::<u128>());
    let mut pidfd: c_int = -1;
    let _blocked = BlockedSignals::all();
    // SAFETY: `child` follows the rules at the top of this file. It runs on its own stack, aligned for every platform,
    // and reads `order`. Both outlive it, because this thread is suspended until the exec or exit. No signal handler of
    // this process can run in it, because all signals are blocked. CLONE_PIDFD writes to `pidfd`.
    let pid = unsafe {
        libc::clone(
            child,
            stack.spare_capacity_mut().as_mut_ptr_range().end.cast::<c_void>(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            (&raw const *order).cast_mut().cast::<c_void>(),
            &raw mut pidfd,
        )
    };
    let Some(pid) = Pid::from_raw(pid).filter(|pid| pid.as_raw_nonzero().is_positive()) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the kernel has just opened it for this process, with close-on-exec set.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child::new(pid, pidfd))
}

/// The entry point of the new process. Its exit status is not used.
extern "C" fn child(order: *mut c_void) -> c_int {
    // SAFETY: `clone` passes an `Order` that outlives its use in this process, and both processes only read through it or
    // use atomics.
    let order = unsafe { &*order.cast_const().cast::<Order<'_>>() };
    let Err((step, errno)) = carry_out(order);
    order.failed_errno.store(errno.raw_os_error(), Relaxed);
    order.failed_step.store(step as u32, Relaxed);
    127
}

/// Makes only bare system calls.
fn carry_out(order: &Order<'_>) -> Result<Infallible, (Step, Errno)> {
    let at = |step: Step| move |errno: Errno| (step, errno);

    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(Step::DieWithParent))?;
    // If the parent died before the line above, the signal never comes.
    if rustix::process::getppid() != Some(order.parent) {
        return Err((Step::DieWithParent, Errno::SRCH));
    }
    rustix::process::setsid().map_err(at(Step::OwnSession))?;
    rustix::process::chdir(c"/").map_err(at(Step::RootDirectory))?;

    for (fd, number) in order.descriptors.iter().zip(0..) {
        // SAFETY: `number` is not open in this process, or is a standard stream, or is a copy of an unrelated descriptor
        // of the parent, which no value owns in this process.
        if unsafe { libc::dup2(fd.as_raw_fd(), number) } < 0 {
            return Err((Step::Descriptors, errno()));
        }
    }
    let handed_over = order.descriptors.len();
    // SAFETY: sets a flag on descriptors of this process, as above.
    if unsafe { libc::syscall(libc::SYS_close_range, handed_over, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } < 0 {
        return Err((Step::CloseOthers, errno()));
    }

    for &(resource, limit) in order.limits {
        rustix::process::setrlimit(resource, limit).map_err(at(Step::Limits))?;
    }
    rustix::thread::set_no_new_privs(true).map_err(at(Step::NoNewPrivs))?;
    default_signals().map_err(at(Step::Signals))?;

    const NO_ENVIRONMENT: [*const c_char; 1] = [null()];
    const THE_DESCRIPTOR_ITSELF: &CStr = c"";
    // SAFETY: both lists end with null, and every argument before that is a C string that outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            order.program,
            THE_DESCRIPTOR_ITSELF.as_ptr(),
            order.argv.as_ptr(),
            NO_ENVIRONMENT.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Err((Step::Execute, errno()))
}

/// Resets the signal settings that survive an exec: ignored and blocked signals.
fn default_signals() -> Result<(), Errno> {
    // The kernel's structure, because the C library reserves two signals. All zeros mean the default action.
    const BYTES_OF_A_SET: usize = 8;
    const DEFAULT: [u64; 4] = [0; 4];
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the call reads 32 bytes and writes nothing. It fails for KILL and STOP, which always have the default.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), null::<u64>(), BYTES_OF_A_SET);
        }
    }
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `none` is written before it is read.
    match unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
    } {
        0 => Ok(()),
        _ => Err(errno()),
    }
}

fn errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// Blocks all signals for this thread until it is dropped.
struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    fn all() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: `all` is written before it is read; `before` is plain integers, zero unless written.
        let before = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
            before.assume_init()
        };
        Self { before }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set was filled by the system.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}
