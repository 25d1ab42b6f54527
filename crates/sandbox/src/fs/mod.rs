//! The file layer: the one place that decides what a guest may do with files.
//!
//! Both ABIs (preview 1 and 0.2) only translate to it, so a rule holds for every call that exists and for the next
//! one. One tree, one root, five kinds of places in it:
//!
//! | place | rights |
//! |---|---|
//! | directories of the tree (`/`, `/data`, ...) | list |
//! | single files of the host | read |
//! | directories of the host (datasets, DDOs) | list, read |
//! | `/data/outputs` | make, write, rename, remove; never read or list |
//! | `/tmp` | everything, in memory |
//!
//! There are no links to make, no times to set, no modes. What a file tells of itself (inode, times, link count) is
//! derived from its place in the tree alone: it says nothing about the host, and is the same in every run.

mod arena;
mod dataset;
mod errno;
mod file_system;
mod handle;
mod io;
mod names;
mod outputs;
mod path;
mod scratch;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
mod tests;
mod tree;

pub use errno::Errno;
pub use file_system::{Build, FileSystem, PlaceError};
pub use handle::{Entry, FileKind, HandleId, OpenOptions, Stat};
