//! What the running kernel offers.

use crate::{Status, create_memfd, is_sealed, landlock, openat2_works, seal_memfd, seccomp};
use rustix::fs::{Mode, OFlags};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;

/// What the running kernel offers, wall by wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Probe {
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// Landlock, which restricts files, TCP and signals.
    pub landlock: Status,
    /// Seccomp, which restricts system calls.
    pub seccomp: Status,
    /// `no_new_privs`, which prevents gaining privileges.
    pub no_new_privs: Status,
    /// `openat2`, which keeps paths inside their directory.
    pub openat2: Status,
    /// Files in memory that can be made immutable.
    pub memfd_seals: Status,
    /// Process descriptors, which never refer to another process.
    pub pidfd: Status,
}

impl Probe {
    /// Every wall with its name. Destructures all fields, so that a new one cannot be forgotten.
    pub fn walls(&self) -> [(&'static str, &Status); 6] {
        let Self { kernel: _, landlock, seccomp, no_new_privs, openat2, memfd_seals, pidfd } = self;
        [
            ("landlock", landlock),
            ("seccomp", seccomp),
            ("no-new-privs", no_new_privs),
            ("openat2", openat2),
            ("memfd-seals", memfd_seals),
            ("pidfd", pidfd),
        ]
    }
}

/// Queries the kernel. Restricts nothing: each answer comes from a query or a temporary object.
pub fn probe() -> Probe {
    Probe {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        landlock: landlock::offered(),
        seccomp: seccomp::offered(),
        no_new_privs: offered(rustix::thread::no_new_privs(), "known"),
        openat2: openat2(),
        memfd_seals: memfd_seals(),
        pidfd: offered(pidfd_open(getpid(), PidfdFlags::empty()), "known"),
    }
}

fn offered<T>(tried: rustix::io::Result<T>, how: &str) -> Status {
    match tried {
        Ok(_) => Status::Enforced(how.to_owned()),
        Err(error) => Status::Absent(error.to_string()),
    }
}

fn openat2() -> Status {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open("/", flags, Mode::empty()) {
        Ok(root) => openat2_works(root.as_fd()),
        Err(error) => Status::Absent(error.to_string()),
    }
}

fn memfd_seals() -> Status {
    let sealed = create_memfd("probe").and_then(|file| seal_memfd(&file).map(|()| is_sealed(&file)));
    match sealed {
        Ok(true) => Status::Enforced("a file in memory can be made immutable".to_owned()),
        Ok(false) => Status::Absent("seals are accepted and not kept".to_owned()),
        Err(error) => Status::Absent(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_restricts_nothing() {
        let first = probe();
        assert_eq!(probe(), first);
        assert!(std::fs::read("/proc/self/status").is_ok());
        assert!(!first.kernel.is_empty());
    }
}
