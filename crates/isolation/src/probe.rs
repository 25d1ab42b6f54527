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
    /// Restricting files, TCP and signals.
    pub landlock: Status,
    /// Restricting system calls.
    pub seccomp: Status,
    /// Giving up the ways to gain rights.
    pub no_new_privs: Status,
    /// Paths that cannot leave their directory.
    pub openat2: Status,
    /// Files in memory that become immutable.
    pub memfd_seals: Status,
    /// A handle on a process that cannot come to mean another process.
    pub pidfd: Status,
}

impl Probe {
    /// Every wall by its name. The one list of them: a new field is forgotten nowhere.
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

/// Asks the kernel. Restricts nothing: every answer comes from a query or from something made for it and dropped.
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
