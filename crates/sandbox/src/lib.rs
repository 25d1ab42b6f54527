//! Runs one WebAssembly algorithm on one dataset, sealed: a library and the `sandbox` program.
//!
//! Three processes take part, all of the same program. The *supervisor* ([`supervisor`]) is what a user starts; it never
//! runs a byte of the guest's. It starts a *compiler* ([`compiler`]) that checks and compiles the module, and a
//! *worker* ([`worker`]) that gives up every right but those the guest needs, and then runs it.

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
pub mod limiter;
pub mod log;
pub mod random;
pub mod runtime;
pub mod supervisor;
pub mod worker;

/// The first argument of a compiler process.
pub const COMPILER_ARGUMENT: &str = "__compiler";
/// The first argument of a worker process.
pub const WORKER_ARGUMENT: &str = "__worker";
