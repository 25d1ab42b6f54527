//! Rights that a process gives up with one call each.

#![expect(unsafe_code, reason = "calls that rustix lacks")]

use crate::Status;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Sets `no_new_privs`: neither this process nor its descendants can gain privileges, by a set-user-ID bit or otherwise.
pub fn no_new_privs() -> Status {
    match rustix::thread::set_no_new_privs(true) {
        Ok(()) => Status::Enforced("nothing started from here can gain rights".to_owned()),
        Err(error) => Status::Absent(format!("no_new_privs: {error}")),
    }
}

/// Gives up every capability of this thread, and with [`no_new_privs`] of everything that it starts.
pub fn drop_capabilities() -> Status {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // The ambient ones go with those that are inherited.
    match set_capabilities(None, none) {
        Ok(()) => Status::Enforced("no capability".to_owned()),
        Err(error) => Status::Absent(format!("capabilities: {error}")),
    }
}

/// Disables core dumps, and prevents other processes of the same user from attaching to this one and from reading its
/// memory through `/proc`.
///
/// An exec resets this, so each process must call it itself. An unprivileged process also loses access to its own
/// `/proc/self/fd` and similar files.
///
/// # Errors
///
/// Never on a kernel since 2.4.
pub fn undumpable() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Prevents memory from becoming executable from now on (`PR_SET_MDWE`, since Linux 6.3). Existing executable memory
/// stays executable.
///
/// Call it when all code is loaded. It covers every thread. The seccomp filter enforces the same a second time.
pub fn deny_new_code() -> Status {
    // SAFETY: a call with five integers that accesses no memory of this process. The unused ones are zero, because the
    // kernel refuses the call otherwise.
    let result = unsafe {
        libc::prctl(libc::PR_SET_MDWE, libc::c_ulong::from(libc::PR_MDWE_REFUSE_EXEC_GAIN), 0_u64, 0_u64, 0_u64)
    };
    match result {
        0 => Status::Enforced("no memory can become executable".to_owned()),
        _ => Status::Absent(format!("PR_SET_MDWE: {}", io::Error::last_os_error())),
    }
}

/// Makes a write beyond the limit on file size fail with `EFBIG` instead of killing the process.
///
/// The limit is [`Rlimits::file_bytes`](crate::Rlimits::file_bytes). Rust does the same for closed pipes.
pub fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal installs no handler.
    let previous = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    debug_assert_ne!(previous, libc::SIG_ERR, "SIGXFSZ exists and can be ignored");
}

/// Ends this process at `SIGTERM`, `SIGINT` and `SIGHUP` if it is process 1 of a container. Does nothing in another process.
///
/// The kernel ignores a signal to process 1 that has no handler there, also one from outside the container. A pod that is
/// deleted would otherwise live until its grace period is over. The exit status is 128 plus the signal's number, as in a
/// shell. The kernel ends the children of process 1 together with it.
///
/// # Errors
///
/// If the kernel refuses a handler.
pub fn end_on_signals_as_process_one() -> io::Result<()> {
    if !rustix::process::getpid().is_init() {
        return Ok(());
    }
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let handler: extern "C" fn(libc::c_int) = end;
        // SAFETY: `end` makes one call, which is safe in a signal handler.
        if unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn end(signal: libc::c_int) {
    // SAFETY: ends the process at once; runs no destructor and no exit handler.
    unsafe { libc::_exit(128_i32.wrapping_add(signal)) }
}

/// The peak resident memory of this process.
///
/// The kernel's accounting at the end of a process ([`Exit::peak_resident_bytes`](crate::Exit)) starts with the resident
/// memory of its parent; this does not. Open it before the file system is restricted, and read it afterwards.
#[derive(Debug)]
pub struct PeakMemory(File);

impl PeakMemory {
    /// Opens the kernel's status file of this process.
    pub fn open() -> io::Result<Self> {
        Ok(Self(File::open("/proc/self/status")?))
    }

    /// The peak so far, in bytes. `None` if the kernel does not report it.
    pub fn bytes(&self) -> Option<u64> {
        let mut record = [0; 4096];
        let length = self.0.read_at(&mut record, 0).ok()?;
        high_water_mark(record.get(..length)?)
    }
}

/// Reads the line `VmHWM:     1234 kB`.
fn high_water_mark(record: &[u8]) -> Option<u64> {
    let line = record.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"VmHWM:"))?;
    let kibibytes = std::str::from_utf8(line).ok()?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_its_line() {
        assert_eq!(high_water_mark(b"Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 5 kB\n"), Some(1234 * 1024));
        assert_eq!(high_water_mark(b"Name:\tVmHWM: 1 kB\n"), None);
        assert_eq!(high_water_mark(b""), None);
    }

    #[test]
    fn this_process_has_a_peak() {
        assert!(PeakMemory::open().unwrap().bytes().unwrap() > 100_000);
    }
}
