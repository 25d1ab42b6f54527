//! Runs one WebAssembly algorithm on one dataset in isolation: a library and the `sandbox` program.
//!
//! Three processes of the same program take part. The user starts the *supervisor* ([`supervisor`]), which never runs
//! guest code. The supervisor starts a *compiler* ([`compiler`]), which checks and compiles the module, and a *worker*,
//! which gives up every right that the guest does not need and then runs the guest.

mod abi;
pub mod account;
pub mod artifact;
pub mod cache;
pub mod clock;
pub mod compiler;
pub mod engine;
pub mod fs;
pub mod guest;
pub mod hash;
pub mod home;
pub mod host_file;
pub mod limiter;
pub mod log;
mod mac;
pub mod random;
pub mod runtime;
pub mod supervisor;
mod unpack;
mod worker;

/// The first argument of a compiler process.
const COMPILER_ARGUMENT: &str = "__compiler";
/// The first argument of a worker process.
const WORKER_ARGUMENT: &str = "__worker";

/// Does the work of a child process, if the supervisor started this process as one. Returns `None` otherwise.
///
/// The worker trusts the descriptors that it is handed (see [`cache::AuthenticatedCode`]), so this is the only way into
/// it from outside the crate.
///
/// # Errors
/// If the child process could not even write its result.
#[expect(clippy::disallowed_methods, reason = "the first argument says which process this is")]
pub fn child_process() -> Option<anyhow::Result<()>> {
    match std::env::args_os().nth(1) {
        Some(role) if role == WORKER_ARGUMENT => Some(worker::main()),
        Some(role) if role == COMPILER_ARGUMENT => Some(compiler::main()),
        _ => None,
    }
}
