//! WASI preview 1 (`wasi_snapshot_preview1`), translated to the file layer.
//!
//! Implemented by hand from the specification's witx. An adapter to a component would lose exit codes, copy every read
//! once more and cut writes to 4 KiB. Everything runs on the guest's thread.

mod abi;
mod calls;
mod descriptors;
mod errno;
mod files;
mod linker;
mod memory;
mod paths;
mod poll;

pub(crate) use descriptors::Descriptors;
pub(crate) use linker::add_to_linker;
