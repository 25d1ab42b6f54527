use crate::Status;
use rustix::process::{Resource, Rlimit, getrlimit};

/// What a process can use up before the kernel stops it. There is never a core dump.
///
/// A limit that is already lower for this process stays as low for the one it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimits {
    /// Processor time over all threads, in seconds: `SIGXCPU`, which ends the process, and a second later `SIGKILL`.
    pub cpu_seconds: Option<u64>,
    /// The size of any one file that it writes, in bytes: `SIGXFSZ`, or `EFBIG` where that signal is ignored
    /// ([`ignore_file_size_signal`](crate::ignore_file_size_signal)).
    pub file_bytes: Option<u64>,
    /// Address space, in bytes. Not for a process that runs WebAssembly: the engine reserves far more than it uses.
    pub address_space_bytes: Option<u64>,
    /// Stack of its first thread, in bytes. Takes effect as the program starts.
    pub stack_bytes: Option<u64>,
    /// Descriptors it can have open: their numbers stay below this. It must leave room for those it is given.
    pub open_files: u64,
    /// Processes and threads of the same *user*, on the whole machine. Does not bind root.
    pub processes: Option<u64>,
}

impl Default for Rlimits {
    /// 256 open files, as a process for one guest needs, and nothing else.
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
    /// For the report about a process that was started with these limits: starting fails unless all are in force.
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

    /// The limits as the kernel wants them, none above what this process itself has.
    pub(super) fn to_set(self) -> Vec<(Resource, Rlimit)> {
        let Self { cpu_seconds, file_bytes, address_space_bytes, stack_bytes, open_files, processes } = self;
        // The soft limit warns with a signal that could be handled. The hard one a second later cannot be.
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

/// The wanted soft and hard limit, but neither above the present hard one, which only root could raise.
fn lowered(present: Rlimit, (soft, hard): (u64, u64)) -> Rlimit {
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
