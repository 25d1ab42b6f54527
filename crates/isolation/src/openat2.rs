//! Whether the kernel itself keeps a path inside its directory.

use crate::Status;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Tries, on a directory of the caller's, that `openat2` opens what is inside and refuses what is not.
///
/// A kernel before 5.6, gVisor, and some container profiles answer `ENOSYS` or `EPERM`.
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
            Err(error) => return Status::Absent(format!("openat2 answers {error} to a path that leaves")),
            Ok(_) => return Status::Absent("openat2 lets a path leave its directory".to_owned()),
        }
    }
    Status::Enforced("a path cannot leave its directory".to_owned())
}
