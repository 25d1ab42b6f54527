//! The tables: one line per system call, with the rule and the reason.
//!
//! A call that is not in a table kills the process. `Refuse` is for calls that libraries try and have a fallback for. A
//! filter cannot read memory that an argument points to, so no rule concerns paths. For the same reason, `clone3`, whose
//! flags are in memory, is refused, and `openat2` is left to Landlock.

use super::Role;
use libc::{EACCES, EINVAL, ENOSYS, ENOTTY, EPERM, c_long};

/// One system call and its rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: c_long,
    pub(super) name: &'static str,
    pub(super) rule: Rule,
    /// What makes the call, or why it is refused.
    pub(super) why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Permit,
    /// Permitted if the argument meets the condition; otherwise the process is killed.
    PermitIf(Argument),
    /// Permitted if the argument meets the condition; otherwise the call fails with this error.
    RefuseUnless(Argument, i32),
    /// The call fails with this error.
    Refuse(i32),
}

/// A condition on an argument. Arguments count from zero. The calls in these tables use only their low 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// The argument is one of these values.
    OneOf(u8, &'static [u32]),
    /// The masked argument has exactly this value.
    Masked(u8, u32, u32),
    /// The argument is the id of this process.
    OwnProcess(u8),
}

impl Call {
    pub(super) fn is_permitted(&self) -> bool {
        !matches!(self.rule, Rule::Refuse(_))
    }
}

/// All rules of a role. No call appears twice.
pub(super) fn rules(role: Role) -> impl Iterator<Item = Call> + Clone {
    let own = match role {
        Role::Compiler => COMPILER,
        Role::Worker => WORKER,
    };
    BOTH.iter().chain(own).copied()
}

use Rule::{Permit, PermitIf, Refuse, RefuseUnless};

/// A table from lines of the form `SYS_name: rule, "reason";`. Lines under `x86_64` are for calls that only this platform
/// has.
macro_rules! table {
    ($(#[$doc:meta])* $table:ident { $($call:ident: $rule:expr, $why:literal;)* } x86_64 { $($old:ident: $old_rule:expr, $old_why:literal;)* }) => {
        $(#[$doc])*
        const $table: &[Call] = &[
            $(Call { number: numbers::$call, name: stringify!($call), rule: $rule, why: $why },)*
            $(
                #[cfg(target_arch = "x86_64")]
                Call { number: numbers::$old, name: stringify!($old), rule: $old_rule, why: $old_why },
            )*
        ];
    };
}

/// The numbers of the calls.
mod numbers {
    pub(super) use libc::*;

    /// The kernel has this call and rustix uses it, but the libc crate does not list it for this platform.
    #[cfg(target_arch = "aarch64")]
    #[expect(non_upper_case_globals, reason = "named like its neighbours")]
    pub(super) const SYS_renameat: c_long = 38;
}

const PROT_EXEC: u32 = 4;
const _: () = assert!(libc::PROT_EXEC == 4, "one value on every platform");

/// Forbids executable mappings. All code was mapped before the filter.
const NOT_EXECUTABLE: Argument = Argument::Masked(2, PROT_EXEC, 0);

/// Reading and changing the flags of a descriptor, and duplicating it. Not owners, leases, locks, signals or seals.
const PLAIN_FCNTL: Argument = Argument::OneOf(
    1,
    &[flag(libc::F_GETFL), flag(libc::F_SETFL), flag(libc::F_GETFD), flag(libc::F_SETFD), flag(libc::F_DUPFD_CLOEXEC)],
);

/// The flags that the C library passes when it starts a thread (glibc and, with one more obsolete bit, musl). Any other
/// clone creates a process, or a thread in a new namespace.
const THREAD: Argument = Argument::Masked(0, !flag(libc::CLONE_DETACHED), {
    flag(libc::CLONE_VM)
        | flag(libc::CLONE_FS)
        | flag(libc::CLONE_FILES)
        | flag(libc::CLONE_SIGHAND)
        | flag(libc::CLONE_THREAD)
        | flag(libc::CLONE_SYSVSEM)
        | flag(libc::CLONE_SETTLS)
        | flag(libc::CLONE_PARENT_SETTID)
        | flag(libc::CLONE_CHILD_CLEARTID)
});

const THREAD_NAME: Argument = Argument::OneOf(0, &[flag(libc::PR_SET_NAME)]);

/// Flags and commands are written as `int` and compared bit by bit.
const fn flag(bits: libc::c_int) -> u32 {
    bits.cast_unsigned()
}

table! {
    /// The calls of a Rust program that already has all its descriptors.
    BOTH {
        SYS_read: Permit, "descriptors";
        SYS_readv: Permit, "descriptors";
        SYS_pread64: Permit, "descriptors";
        SYS_preadv: Permit, "descriptors";
        SYS_write: Permit, "descriptors";
        SYS_writev: Permit, "descriptors";
        SYS_pwrite64: Permit, "descriptors";
        SYS_pwritev: Permit, "descriptors";
        SYS_lseek: Permit, "descriptors";
        SYS_close: Permit, "descriptors";
        SYS_fstat: Permit, "the size of an open file";
        SYS_ftruncate: Permit, "the size of an open file";
        SYS_fcntl: PermitIf(PLAIN_FCNTL), "descriptors";
        SYS_ppoll: Permit, "waiting for a pipe";

        SYS_mmap: PermitIf(NOT_EXECUTABLE), "memory";
        SYS_mprotect: PermitIf(NOT_EXECUTABLE), "memory";
        SYS_munmap: Permit, "memory";
        SYS_mremap: Permit, "memory";
        SYS_madvise: Permit, "memory";
        SYS_brk: Permit, "memory";

        SYS_clock_gettime: Permit, "time, where the kernel does not serve it without a call";
        SYS_clock_nanosleep: Permit, "sleeping";
        SYS_nanosleep: Permit, "sleeping";
        SYS_restart_syscall: Permit, "a sleep that went on after SIGSTOP and SIGCONT: the kernel's own doing";
        SYS_getrandom: Permit, "seeds of hash maps";
        SYS_getrusage: Permit, "what the process has used so far";

        SYS_futex: Permit, "locks";
        SYS_sched_yield: Permit, "locks";
        SYS_sigaltstack: Permit, "traps in guest code arrive as signals";
        SYS_rt_sigaction: Permit, "traps in guest code arrive as signals";
        SYS_rt_sigprocmask: Permit, "traps in guest code arrive as signals";
        SYS_rt_sigreturn: Permit, "traps in guest code arrive as signals";

        SYS_getpid: Permit, "abort";
        SYS_gettid: Permit, "abort, and the name of a thread that panics";
        SYS_tgkill: PermitIf(Argument::OwnProcess(0)), "abort, which signals the process itself";
        SYS_exit: Permit, "ending";
        SYS_exit_group: Permit, "ending";

        SYS_ioctl: Refuse(ENOTTY), "libraries ask whether a stream is a terminal";
    }
    x86_64 {
        SYS_poll: Permit, "waiting for a pipe";
    }
}

table! {
    /// Files beneath the inherited directories.
    WORKER {
        SYS_openat2: Permit, "opening files; Landlock decides which, since the path lies in memory";
        SYS_statx: Permit, "what a file is; not governed by Landlock, so any path can be asked about";
        SYS_newfstatat: Permit, "what a file is; as statx";
        SYS_getdents64: Permit, "listing a dataset";
        SYS_readlinkat: Permit, "links in a dataset";
        SYS_mkdirat: Permit, "outputs";
        SYS_unlinkat: Permit, "outputs";
        SYS_renameat: Permit, "outputs";
        SYS_renameat2: Permit, "outputs";
        SYS_fsync: Permit, "outputs";
        SYS_fdatasync: Permit, "outputs";
        SYS_fadvise64: Permit, "a guest's advice about a file";

        SYS_epoll_pwait: Permit, "event loop";
        SYS_epoll_ctl: Permit, "event loop";

        SYS_openat: Refuse(EPERM), "the C library opens files of its own accord; ours are opened with openat2";
        SYS_memfd_create: Refuse(ENOSYS), "the engine keeps a memory's first content in one, and otherwise copies it";
        SYS_prctl: Refuse(EINVAL), "the C library names its memory regions";
        SYS_copy_file_range: Refuse(ENOSYS), "std::io::copy tries it first, then reads and writes";
        SYS_sendfile: Refuse(ENOSYS), "std::io::copy tries it first, then reads and writes";
        SYS_splice: Refuse(ENOSYS), "std::io::copy tries it first, then reads and writes";
    }
    x86_64 {
        SYS_epoll_wait: Permit, "event loop";
        SYS_open: Refuse(EPERM), "as openat";
    }
}

table! {
    /// Threads. No call that opens a file by its path.
    COMPILER {
        SYS_clone: PermitIf(THREAD), "threads";
        SYS_clone3: Refuse(ENOSYS), "its flags lie in memory; the C library then uses clone";
        SYS_set_robust_list: Permit, "threads";
        SYS_rseq: Permit, "threads";
        SYS_prctl: RefuseUnless(THREAD_NAME, EINVAL), "threads have names; the C library names memory regions too";
        SYS_sched_getaffinity: Permit, "how many threads to start";

        SYS_openat: Refuse(EACCES), "std looks for processor quotas under /proc and /sys";
        SYS_openat2: Refuse(EACCES), "as openat";
        SYS_statx: Refuse(EACCES), "as openat; std asks about open files this way too, rustix with fstat";
        SYS_newfstatat: Refuse(EACCES), "as statx, in older C libraries";
        SYS_readlinkat: Refuse(EACCES), "as openat";
        SYS_faccessat: Refuse(EACCES), "as openat";
        SYS_memfd_create: Refuse(ENOSYS), "memory that is not memory";
    }
    x86_64 {
        SYS_open: Refuse(EACCES), "as openat";
        SYS_stat: Refuse(EACCES), "as openat";
        SYS_lstat: Refuse(EACCES), "as openat";
        SYS_access: Refuse(EACCES), "as openat";
        SYS_readlink: Refuse(EACCES), "as openat";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ROLES: [Role; 2] = [Role::Compiler, Role::Worker];

    fn permitted(role: Role) -> BTreeSet<&'static str> {
        rules(role).filter(Call::is_permitted).map(|call| call.name).collect()
    }

    #[test]
    fn no_call_has_two_rules() {
        for role in ROLES {
            let mut seen = BTreeSet::new();
            for call in rules(role) {
                assert!(seen.insert(call.number), "{} twice for {role:?}", call.name);
            }
        }
    }

    /// Calls that lead out of a process, grouped by what they reach.
    const FORBIDDEN: &[&str] = &[
        // Other programs and processes.
        "execve execveat fork vfork clone3 kill tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal",
        "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp wait4 waitid",
        // The network, and other processes by sockets.
        "socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg",
        // The kernel's larger surfaces.
        "io_uring_setup io_uring_enter io_uring_register bpf perf_event_open userfaultfd keyctl add_key request_key",
        "init_module finit_module delete_module kexec_load kexec_file_load syslog reboot swapon swapoff acct quotactl",
        "fanotify_init inotify_init1 open_by_handle_at name_to_handle_at lookup_dcookie nfsservctl vhangup",
        // Other rights, other namespaces, another root.
        "unshare setns mount umount2 pivot_root chroot fsopen fsconfig fsmount move_mount open_tree mount_setattr",
        "setuid setgid setresuid setresgid setreuid setregid setfsuid setfsgid setgroups capset personality seccomp",
        "setrlimit prlimit64 setpriority sched_setscheduler sched_setattr setpgid setsid iopl ioperm modify_ldt",
        // Files by unchecked paths, and calls that an algorithm does not need.
        "open openat creat truncate link linkat symlink symlinkat mknod mknodat chmod fchmod fchmodat chown fchown",
        "fchownat utimensat utimes setxattr fsetxattr lsetxattr removexattr mkdir rmdir unlink rename chdir fchdir",
        "mq_open shmget shmat semget msgget memfd_create memfd_secret pkey_mprotect remap_file_pages vmsplice splice tee",
    ];

    #[test]
    fn no_role_permits_a_call_that_leads_out() {
        for role in ROLES {
            let permitted = permitted(role);
            for name in FORBIDDEN.iter().flat_map(|line| line.split(' ')) {
                assert!(!permitted.contains(format!("SYS_{name}").as_str()), "{name} is permitted to {role:?}");
            }
        }
    }

    #[test]
    fn the_worker_starts_no_thread_and_the_compiler_opens_no_file() {
        assert!(!permitted(Role::Worker).contains("SYS_clone"));
        for path in ["SYS_openat2", "SYS_statx", "SYS_newfstatat", "SYS_getdents64", "SYS_mkdirat", "SYS_unlinkat"] {
            assert!(!permitted(Role::Compiler).contains(path), "{path}");
        }
    }

    #[test]
    fn no_memory_becomes_executable() {
        for call in ROLES.into_iter().flat_map(rules).filter(|call| ["SYS_mmap", "SYS_mprotect"].contains(&call.name)) {
            assert_eq!(call.rule, PermitIf(NOT_EXECUTABLE));
        }
    }
}
