//! Seccomp: restricts the system calls that a process can make. Any other call kills it.

mod container;
mod filter;
mod table;

use crate::Status;
use std::io;

/// The role of a process, which decides which system calls it may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Checks and compiles a module. Reads and writes inherited descriptors and starts threads; opens no files.
    Compiler,
    /// Runs a guest on one thread. Opens files beneath inherited directories; Landlock decides which.
    Worker,
}

/// Restricts every thread of this process, and all its later threads, to the system calls of `role`. Sets `no_new_privs`,
/// which the kernel requires.
///
/// A call that is not permitted kills the whole process with `SIGSYS`, including 32-bit and x32 calls. A few calls fail
/// with an error instead, because libraries try them and have a fallback. All code must be loaded before: memory can no
/// longer become executable.
pub fn restrict_syscalls(role: Role) -> Status {
    let rules = table::rules(role);
    let permitted = rules.clone().filter(table::Call::is_permitted).count();
    let installed = filter::compile(rules, filter::Otherwise::Kill).and_then(|program| filter::install(&program));
    match installed {
        Ok(()) => Status::Enforced(format!("{permitted} system calls, any other kills the process")),
        Err(error) => Status::Absent(error.to_string()),
    }
}

/// Takes from every thread of this process, and from everything that it starts, the ways out of a container: sockets of every
/// family but `AF_UNIX`, `io_uring`, other namespaces, and other processes' memory and descriptors. Sets `no_new_privs`. These
/// calls fail with an error, so that programs that try them go on; all others stay.
pub fn refuse_ways_out() -> Status {
    let refused = container::rules().count();
    let installed = filter::compile(container::rules(), filter::Otherwise::Permit);
    match installed.and_then(|program| filter::install(&program)) {
        Ok(()) => Status::Enforced(format!("{refused} system calls refused, among them every socket of a network")),
        Err(error) => Status::Absent(error.to_string()),
    }
}

/// The system calls that `role` may make, some with certain arguments only, and the reason for each.
pub fn permitted_syscalls(role: Role) -> impl Iterator<Item = (&'static str, &'static str)> {
    table::rules(role).filter(table::Call::is_permitted).map(|call| (call.name, call.why))
}

/// What the running kernel offers. Restricts nothing.
pub(crate) fn offered() -> Status {
    match filter::can_kill_process() {
        Ok(()) => Status::Enforced("a forbidden system call can kill the process".to_owned()),
        Err(error) => Status::Absent(format!("seccomp: {}", io::Error::from(error))),
    }
}
