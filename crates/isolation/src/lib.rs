//! The walls that the Linux kernel puts around a process.
//!
//! Two sides use this crate. The supervisor starts itself a second time with [`Program::spawn`], handing over a few
//! descriptors and nothing else. The process that starts then takes those descriptors ([`take_fd`]) and gives up
//! everything it will not need: [`restrict_files`], [`restrict_syscalls`]. What is given up cannot be had back.
//!
//! Every wall answers with a [`Status`]: what stands, what stands in part, what is missing and why. Nothing here decides
//! whether a missing wall is acceptable; that is the caller's policy.

mod counters;
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
pub use inherited::{close_rest, take_fd};
pub use landlock::{Paths, restrict_files};
pub use memfd::{create_memfd, is_sealed, seal_memfd};
pub use openat2::openat2_works;
pub use probe::{Probe, probe};
pub use process::{PeakMemory, deny_new_code, ignore_file_size_signal, no_new_privs, undumpable};
pub use seccomp::{Role, permitted_syscalls, restrict_syscalls};
pub use spawn::{Cause, Child, Exit, Program, Rlimits};
pub use status::Status;
