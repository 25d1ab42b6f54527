//! WASI 0.2 (components that export `wasi:cli/run`), translated to the file layer.
//!
//! wasmtime generates the traits of the interfaces; the implementation is our own, without an async runtime, a second
//! thread or a second stack. A call does its work on the guest's thread and returns. Interfaces that
//! `linker.rs` does not name do not exist; those of sockets answer with errors.

mod cli;
mod clocks;
mod errors;
mod filesystem;
mod linker;
mod poll;
mod random;
mod resources;
mod sockets;
mod streams;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test makes its own files, compiles in its own process, and measures that no real time passes"
)]
mod tests;

pub(crate) use linker::{add_to_linker, run};
pub(crate) use resources::{Resources, most_resources};
pub(crate) use sockets::add_to_linker as answer_sockets;
