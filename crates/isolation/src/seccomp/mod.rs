//! The system calls that a process can still make. Any other kills it.

mod filter;
mod table;

use crate::Status;
use std::io;

/// What a process is for, which decides what it may ask of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Checks and compiles a module: reads and writes the descriptors it was given and starts threads. Opens nothing.
    Compiler,
    /// Runs a guest on one thread: opens files beneath the directories it was given, in ways that Landlock decides.
    Worker,
}

/// Restricts every thread of this process, and all it may start, to the system calls of `role`. Sets `no_new_privs`,
/// without which the kernel refuses.
///
/// A call that is not permitted ends the whole process with `SIGSYS`, also when made the 32-bit or the x32 way. A few
/// are refused with an error instead, where a library tries them and does well without. Code must be in place already:
/// no memory can become executable any more.
pub fn restrict_syscalls(role: Role) -> Status {
    let rules = table::rules(role);
    let permitted = rules.clone().filter(table::Call::is_permitted).count();
    let installed = filter::compile(rules).and_then(|program| filter::install(&program));
    match installed {
        Ok(()) => Status::Enforced(format!("{permitted} system calls, any other kills the process")),
        Err(error) => Status::Absent(error.to_string()),
    }
}

/// The system calls that `role` may make, some with certain arguments only, and what needs each.
pub fn permitted_syscalls(role: Role) -> impl Iterator<Item = (&'static str, &'static str)> {
    table::rules(role).filter(table::Call::is_permitted).map(|call| (call.name, call.why))
}

/// What the running kernel offers; restricts nothing.
pub(crate) fn offered() -> Status {
    match filter::can_kill_process() {
        Ok(()) => Status::Enforced("a forbidden system call can kill the process".to_owned()),
        Err(error) => Status::Absent(format!("seccomp: {}", io::Error::from(error))),
    }
}
