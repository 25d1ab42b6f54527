//! What every step of a job does with files, whatever its rights: hash them while they are read, read a part of them, count progress, stop
//! when cancelled. No network, no credentials.

#![forbid(unsafe_code)]

mod digest;
mod folder;
mod part;
mod progress;
mod watch;

pub use digest::{digest_of, hash_chunks, hash_reader};
pub use folder::{if_there, random_name};
pub use part::read_part;
pub use progress::ProgressCounter;
pub use watch::Watch;
