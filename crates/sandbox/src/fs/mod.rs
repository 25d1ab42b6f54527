//! The file layer. It alone decides what a guest may do with files.
//!
//! Both ABIs (preview 1 and 0.2) only translate their calls to it, so a rule covers every present and future call. The
//! guest sees one tree with these places:
//!
//! | place | rights |
//! |---|---|
//! | directories of the tree (`/`, `/data`, ...) | list |
//! | single files of the host | read |
//! | directories of the host (datasets, DDOs) | list, read |
//! | `/data/outputs` | create, write, rename, remove, list what the guest itself made there; never read |
//! | `/tmp`, `/data/logs`, new names in `/` | everything, in memory |
//! | `/dev` | `null`, `zero`, `random` and `urandom`, all answered here |
//!
//! A guest can create no links and set no times or modes. The metadata of a file (inode, times, link count) depends only
//! on its place in the tree. It reveals nothing about the host and is the same in every run.

mod arena;
mod dataset;
mod device;
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

pub use dataset::Content;
pub use device::RandomBytes;
pub use errno::Errno;
pub use file_system::{Build, FileSystem, PlaceError};
pub use handle::{Entry, FileKind, HandleId, OpenOptions, Stat};
