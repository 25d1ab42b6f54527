//! WASI preview 1 (`wasi_snapshot_preview1`), translated to the file layer.
//!
//! Hand-written against the specification's witx rather than adapted to a component: it keeps exit codes, lets a read
//! land in guest memory without a copy, and does not cut writes to 4 KiB. All of it runs on the guest's own thread.

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
