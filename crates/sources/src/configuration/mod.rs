//! The first step of a job: every input and the algorithm, laid out as the guest sees them.

mod check;
mod error;
mod fetcher;
mod gather;
mod layout;
mod mounted;
mod origin;
mod place;
mod uploads;

pub use error::{ConfigurationError, FetcherError};
pub use fetcher::Fetcher;
pub use layout::Configured;
pub use mounted::MountedRoot;
