//! Isolation of a process by the Linux kernel. Each mechanism is called a wall.
//!
//! Two sides use this crate. The supervisor starts another process of its program with [`Program::spawn`] and passes it a
//! few descriptors and nothing else, at once or, with [`WaitingProgram`], a while after its start. The new process takes these
//! descriptors ([`take_fd`], [`Handed`]) and gives up everything that it does not need: [`restrict_files`], [`restrict_syscalls`]. It cannot regain what it gave up.
//!
//! Every wall returns a [`Status`]: enforced, enforced in part, or absent, with the reason. This crate does not decide
//! whether a missing wall is acceptable; that is the caller's policy.

mod counters;
mod end_signal;
mod inherited;
mod landlock;
mod memfd;
mod openat2;
mod probe;
mod process;
mod seccomp;
mod spawn;
mod status;

pub use counters::SharedCounters;
pub use end_signal::EndSignal;
pub use inherited::{close_rest, take_fd};
pub use landlock::{Paths, restrict_files, restrict_writes};
pub use memfd::{create_memfd, is_sealed, seal_memfd};
pub use openat2::openat2_works;
pub use probe::{Probe, probe};
pub use process::{
    PeakMemory, deny_new_code, drop_capabilities, end_on_signals_as_process_one, ignore_file_size_signal, no_new_privs,
    undumpable,
};

pub use seccomp::{Role, permitted_syscalls, refuse_ways_out, restrict_syscalls};
pub use spawn::{Cause, Child, Exit, Handed, Program, Rlimits, WaitingProgram};
pub use status::Status;
