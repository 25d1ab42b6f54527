//! What every step of a job does with files, whatever its rights: hash them while they are read, count progress, stop
//! when cancelled. No network, no credentials.

#![forbid(unsafe_code)]

mod digest;
mod progress;
mod watch;

pub use digest::{digest_of, hash_reader};
pub use progress::ProgressCounter;
pub use watch::Watch;
