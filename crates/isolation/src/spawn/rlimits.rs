use crate::Status;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The resource limits of a process. Core dumps are always off.
///
/// A limit never rises above the limit of the process that starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimits {
    /// Processor time over all threads, in seconds: `SIGXCPU`, which ends the process, and a second later `SIGKILL`.
    pub cpu_seconds: Option<u64>,
    /// The size of each file that it writes, in bytes: `SIGXFSZ`, or `EFBIG` where that signal is ignored
    /// ([`ignore_file_size_signal`](crate::ignore_file_size_signal)).
    pub file_bytes: Option<u64>,
    /// Address space, in bytes. Unsuitable for a process that runs WebAssembly: the engine reserves far more than it uses.
    pub address_space_bytes: Option<u64>,
    /// Stack of its main thread, in bytes. Takes effect at exec.
    pub stack_bytes: Option<u64>,
    /// The number of open descriptors. It must be large enough for the descriptors that the process is given.
    pub open_files: u64,
    /// Processes and threads of the same *user*, on the whole machine. Has no effect on root.
    pub processes: Option<u64>,
}

impl Default for Rlimits {
    /// 256 open files, which is enough for a process with one guest, and no other limit.
    fn default() -> Self {
        Self {
            cpu_seconds: None,
            file_bytes: None,
            address_space_bytes: None,
            stack_bytes: None,
            open_files: 256,
            processes: None,
        }
    }
}

impl Rlimits {
    /// The status for a process that was started with these limits. Starting fails if one cannot be set.
    pub fn status(&self) -> Status {
        let Self { cpu_seconds, file_bytes, address_space_bytes, stack_bytes, open_files, processes } = *self;
        let mut parts = vec![format!("{open_files} open files"), "no core dump".to_owned()];
        parts.extend(cpu_seconds.map(|n| format!("{n} s of processor time")));
        parts.extend(file_bytes.map(|n| format!("{n} bytes per file")));
        parts.extend(address_space_bytes.map(|n| format!("{n} bytes of address space")));
        parts.extend(stack_bytes.map(|n| format!("{n} bytes of stack")));
        parts.extend(processes.map(|n| format!("{n} processes")));
        Status::Enforced(parts.join(", "))
    }

    /// Sets the limits for this process, and for everything that it starts.
    ///
    /// # Errors
    /// If the kernel refuses one.
    pub fn set_here(self) -> std::io::Result<()> {
        for (resource, limit) in self.to_set() {
            setrlimit(resource, limit)?;
        }
        Ok(())
    }

    /// The limits in the kernel's form, none above the limits of this process.
    pub(super) fn to_set(self) -> Vec<(Resource, Rlimit)> {
        let Self { cpu_seconds, file_bytes, address_space_bytes, stack_bytes, open_files, processes } = self;
        // The soft limit sends SIGXCPU, which the process could handle. One second later, the hard limit kills it.
        let cpu = cpu_seconds.map(|soft| (soft, soft.saturating_add(1)));
        let same = |n| (n, n);
        [
            (Resource::Core, Some((0, 0))),
            (Resource::Nofile, Some(same(open_files))),
            (Resource::Cpu, cpu),
            (Resource::Fsize, file_bytes.map(same)),
            (Resource::As, address_space_bytes.map(same)),
            (Resource::Stack, stack_bytes.map(same)),
            (Resource::Nproc, processes.map(same)),
        ]
        .into_iter()
        .filter_map(|(resource, wanted)| wanted.map(|wanted| (resource, lowered(getrlimit(resource), wanted))))
        .collect()
    }
}

/// The wanted soft and hard limits, capped at the current hard limit, which only root can raise.
pub(super) fn lowered(present: Rlimit, (soft, hard): (u64, u64)) -> Rlimit {
    let ceiling = present.maximum.unwrap_or(u64::MAX);
    Rlimit { current: Some(soft.min(ceiling)), maximum: Some(hard.min(ceiling)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_raised() {
        let present = Rlimit { current: Some(10), maximum: Some(100) };
        assert_eq!(lowered(present, (50, 51)), Rlimit { current: Some(50), maximum: Some(51) });
        assert_eq!(lowered(present, (500, 501)), Rlimit { current: Some(100), maximum: Some(100) });
        let unlimited = Rlimit { current: None, maximum: None };
        assert_eq!(lowered(unlimited, (5, 6)), Rlimit { current: Some(5), maximum: Some(6) });
    }

    #[test]
    fn core_dumps_are_always_off() {
        let limits = Rlimits::default().to_set();
        assert!(limits.contains(&(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })));
        assert_eq!(limits.len(), 2);
    }
}
