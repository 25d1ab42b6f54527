//! What a process can give up about itself, in one call each.

#![expect(unsafe_code, reason = "two calls that rustix does not have")]

use crate::Status;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Nothing that this process starts can gain rights, by a set-user-ID bit or otherwise. Holds for all its descendants.
pub fn no_new_privs() -> Status {
    match rustix::thread::set_no_new_privs(true) {
        Ok(()) => Status::Enforced("nothing started from here can gain rights".to_owned()),
        Err(error) => Status::Absent(format!("no_new_privs: {error}")),
    }
}

/// No core dump, and no other process of the same user can attach or read this one's memory through `/proc`.
///
/// It ends with the next exec, so a process does it for itself. Without privilege the process also loses its own
/// `/proc/self/fd` and the like.
///
/// # Errors
///
/// None on a kernel that knows the call, which is every kernel since 2.4.
pub fn undumpable() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// No memory can become executable from now on; what already is stays so (`PR_SET_MDWE`, since Linux 6.3).
///
/// To be called when all code is loaded. It holds for every thread, and the system call filter does the same once more.
pub fn deny_new_code() -> Status {
    // SAFETY: a call with five integers that reads and writes no memory of ours. All five are passed as the kernel
    // wants them, since it refuses the call when an unused one is not zero.
    let result = unsafe {
        libc::prctl(libc::PR_SET_MDWE, libc::c_ulong::from(libc::PR_MDWE_REFUSE_EXEC_GAIN), 0_u64, 0_u64, 0_u64)
    };
    match result {
        0 => Status::Enforced("no memory can become executable".to_owned()),
        _ => Status::Absent(format!("PR_SET_MDWE: {}", io::Error::last_os_error())),
    }
}

/// A write past the limit on file size fails with `EFBIG` instead of killing the process.
///
/// The limit is [`Rlimits::file_bytes`](crate::Rlimits::file_bytes). Rust does the same for a closed pipe.
pub fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal installs no code of ours.
    let previous = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    debug_assert_ne!(previous, libc::SIG_ERR, "SIGXFSZ exists and can be ignored");
}

/// The most memory that this process ever had resident.
///
/// The kernel's accounting at the end of a process ([`Exit::peak_resident_bytes`](crate::Exit)) starts from what its
/// parent had resident when it was started. This does not. It is opened before the walls go up and read behind them.
#[derive(Debug)]
pub struct PeakMemory(File);

impl PeakMemory {
    /// Opens the kernel's record about this process.
    pub fn open() -> io::Result<Self> {
        Ok(Self(File::open("/proc/self/status")?))
    }

    /// The peak so far, in bytes. None when the kernel does not say.
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
