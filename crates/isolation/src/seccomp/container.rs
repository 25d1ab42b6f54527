//! What a container's program may not do: every call that is not here is permitted.
//!
//! The program is a stranger's for any image, so there is no list of what it needs. What is refused are the ways to a network,
//! and to what its own process does not have. The container runtime's own filter (`RuntimeDefault`) refuses much of this, too;
//! this one is there from the first instruction of the program whatever the runtime does.

use super::table::{Argument, Call, Rule};
use libc::{EACCES, ENOSYS, EPERM, c_int, c_long};

/// `socket` and `socketpair`: the family is the first argument. Sockets of other families are ways to a network, to the host
/// (`AF_VSOCK`), or into rarely used parts of the kernel.
const LOCAL_SOCKET: Argument = Argument::OneOf(0, &[libc::AF_UNIX.cast_unsigned()]);

/// New namespaces, among them those of users, which give rights over networks and mounts of their own.
const NAMESPACES: c_int = libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;

/// Calls that fail with `EPERM`, with the reason.
const FORBIDDEN: &[(c_long, &str, &str)] = &[
    (libc::SYS_io_uring_setup, "io_uring_setup", "its queues make calls, `socket` among them, that no filter sees"),
    (libc::SYS_io_uring_enter, "io_uring_enter", "as above"),
    (libc::SYS_io_uring_register, "io_uring_register", "as above"),
    (libc::SYS_unshare, "unshare", "new namespaces"),
    (libc::SYS_setns, "setns", "other namespaces"),
    (libc::SYS_ptrace, "ptrace", "other processes' memory"),
    (libc::SYS_process_vm_readv, "process_vm_readv", "other processes' memory"),
    (libc::SYS_process_vm_writev, "process_vm_writev", "other processes' memory"),
    (libc::SYS_pidfd_getfd, "pidfd_getfd", "other processes' descriptors"),
    (libc::SYS_kcmp, "kcmp", "what other processes have"),
    (libc::SYS_bpf, "bpf", "programs in the kernel"),
    (libc::SYS_perf_event_open, "perf_event_open", "what the machine does"),
    (libc::SYS_userfaultfd, "userfaultfd", "holds the kernel up in the middle of a call"),
    (libc::SYS_keyctl, "keyctl", "keys of the user, whom all containers of a node may share"),
    (libc::SYS_add_key, "add_key", "as above"),
    (libc::SYS_request_key, "request_key", "as above"),
    (libc::SYS_open_by_handle_at, "open_by_handle_at", "files outside every mount"),
    (libc::SYS_mount, "mount", "mounts"),
    (libc::SYS_umount2, "umount2", "mounts"),
    (libc::SYS_pivot_root, "pivot_root", "mounts"),
    (libc::SYS_fsopen, "fsopen", "mounts"),
    (libc::SYS_fsmount, "fsmount", "mounts"),
    (libc::SYS_move_mount, "move_mount", "mounts"),
    (libc::SYS_open_tree, "open_tree", "mounts"),
    (libc::SYS_mount_setattr, "mount_setattr", "mounts"),
];

/// All rules. No call appears twice.
pub(super) fn rules() -> impl Iterator<Item = Call> + Clone {
    let call = |number, name, rule, why| Call { number, name, rule, why };
    let some = [
        call(libc::SYS_socket, "socket", Rule::RefuseUnless(LOCAL_SOCKET, EACCES), "networks"),
        call(libc::SYS_socketpair, "socketpair", Rule::RefuseUnless(LOCAL_SOCKET, EACCES), "networks"),
        call(
            libc::SYS_clone,
            "clone",
            Rule::RefuseUnless(Argument::Masked(0, NAMESPACES.cast_unsigned(), 0), EPERM),
            "new namespaces",
        ),
        // Its flags are in memory, which a filter cannot read. The C libraries then use `clone`.
        call(libc::SYS_clone3, "clone3", Rule::Refuse(ENOSYS), "new namespaces"),
    ];
    let forbidden = FORBIDDEN.iter().map(move |(number, name, why)| call(*number, name, Rule::Refuse(EPERM), why));
    some.into_iter().chain(forbidden)
}
