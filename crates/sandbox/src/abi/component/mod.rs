//! WASI 0.2 (components that export `wasi:cli/run`), translated to the file layer.
//!
//! The interfaces' traits are the ones wasmtime generates; what is behind them is ours: no runtime of futures, no
//! second thread, no second stack. A call does its work and returns, on the guest's own thread. Sockets and everything
//! else that is not named in `linker.rs` do not exist.

mod cli;
mod clocks;
mod errors;
mod filesystem;
mod linker;
mod poll;
mod random;
mod resources;
mod streams;
#[cfg(test)]
mod tests;

pub(crate) use linker::{add_to_linker, run};
pub(crate) use resources::Resources;
