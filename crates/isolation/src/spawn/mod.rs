//! Starting another process of this program, which gets only what it is given.

mod child;
mod handover;
mod launch;
mod rlimits;

pub use child::{Cause, Child, Exit};
pub use handover::{Handed, WaitingProgram};
pub use rlimits::Rlimits;

use crate::inherited::FIRST;
use launch::Plan;
use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

/// A new process of the running program.
///
/// It starts with
///
/// * the `argv[0]` of this process, then `args`; an *empty* environment; `/` as its working directory;
/// * `/dev/null` as stdin, and as stdout and stderr unless they are given;
/// * `fds` as descriptors 3, 4, 5 and so on in order, to be taken with [`take_fd`](crate::take_fd), and no others;
/// * the limits, `no_new_privs`, default signal handling, and a session of its own, so that a terminal's Ctrl-C reaches
///   the supervisor only;
/// * a parent-death signal: the kernel kills it when the *thread* that called [`spawn`](Self::spawn) ends.
#[derive(Debug)]
pub struct Program {
    /// The arguments, without `argv[0]`.
    pub args: Vec<OsString>,
    /// Its descriptors 3, 4, 5 and so on.
    pub fds: Vec<OwnedFd>,
    /// `/dev/null` if `None`.
    pub stdout: Option<OwnedFd>,
    /// `/dev/null` if `None`.
    pub stderr: Option<OwnedFd>,
    /// Its resource limits.
    pub rlimits: Rlimits,
}

impl Program {
    /// A program that is given only arguments.
    pub fn new(args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { args, fds: Vec::new(), stdout: None, stderr: None, rlimits: Rlimits::default() }
    }

    /// Starts the process, and returns after the exec succeeded.
    ///
    /// The new process executes the file that this process was started from, even if its path now names another file. The
    /// given descriptors are closed in this process.
    ///
    /// # Errors
    ///
    /// If an argument contains a NUL byte, if this process runs out of descriptors or processes, or if the kernel refuses
    /// one of the steps above, which the error names. In these cases no process is left running.
    pub fn spawn(self) -> io::Result<Child> {
        let limits = self.rlimits.to_set();
        let null = open("/dev/null", OFlags::RDWR)?;
        // The file that this process was started from, even if its path now names another one.
        let program = open("/proc/self/exe", OFlags::PATH)?;

        // The descriptors are copied to the numbers below `end`, so their current numbers must not be below `end`.
        let end = RawFd::try_from(self.fds.len()).ok().and_then(|n| n.checked_add(FIRST));
        let end = end.ok_or(io::ErrorKind::InvalidInput)?;
        let null = out_of_the_way(null, end)?;
        let program = out_of_the_way(program, end)?;
        let stdout = self.stdout.map(|fd| out_of_the_way(fd, end)).transpose()?;
        let stderr = self.stderr.map(|fd| out_of_the_way(fd, end)).transpose()?;
        let fds = self.fds.into_iter().map(|fd| out_of_the_way(fd, end)).collect::<io::Result<Vec<_>>>()?;

        let streams = [&null, stdout.as_ref().unwrap_or(&null), stderr.as_ref().unwrap_or(&null)];
        let sources: Vec<_> = streams.into_iter().chain(&fds).map(AsFd::as_fd).collect();

        let name = std::env::args_os().next().unwrap_or_else(|| "sandbox".into());
        let arguments = std::iter::once(name).chain(self.args).map(|arg| CString::new(arg.into_vec()));
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;

        Plan { program: program.as_fd(), arguments: &arguments, descriptors: &sources, limits: &limits }.launch()
    }
}

fn open(path: &'static str, flags: OFlags) -> io::Result<OwnedFd> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
        let source = io::Error::from(errno);
        io::Error::new(source.kind(), MissingFile { path, source })
    })
}

/// A file that every system has, and that an empty root file system lacks.
#[derive(Debug, thiserror::Error)]
#[error("`{path}`: {source}. A container needs /proc and /dev, as container runtimes mount them")]
struct MissingFile {
    path: &'static str,
    source: io::Error,
}

/// The same descriptor with a number of at least `end`.
fn out_of_the_way(fd: OwnedFd, end: RawFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= end { Ok(fd) } else { Ok(fcntl_dupfd_cloexec(&fd, end)?) }
}
