//! Checks that the kernel keeps a path inside its directory.

use crate::Status;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Tests with the given directory that `openat2` opens a path inside it and refuses paths that leave it.
///
/// Kernels before 5.6, gVisor and some container profiles return `ENOSYS` or `EPERM`.
pub fn openat2_works(dir: BorrowedFd<'_>) -> Status {
    let open = |path: &str| {
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(dir, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), inside)
    };
    if let Err(error) = open(".") {
        return Status::Absent(format!("openat2 does not open the directory itself: {error}"));
    }
    for outside in ["..", "/"] {
        match open(outside) {
            Err(Errno::XDEV) => {}
            Err(error) => {
                return Status::Absent(format!("openat2 returns {error} for a path that leaves its directory"));
            }
            Ok(_) => return Status::Absent("openat2 lets a path leave its directory".to_owned()),
        }
    }
    Status::Enforced("a path cannot leave its directory".to_owned())
}
