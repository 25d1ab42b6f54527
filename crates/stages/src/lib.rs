//! The steps of a job that touch credentials and the network: fetching, checking, publishing.
//!
//! - [`Fetcher`] fetches files into the shared [`Cache`], and lays out what a guest sees
//!   as `/data`. Sources are strangers' words: where a request goes is decided by addresses, after names were resolved
//!   ([`SourcePolicy`]).
//! - [`check_outputs`] looks at what an algorithm left and says whether it may leave.
//! - [`ResultStore`] keeps results. Nothing of a job can be read there before everything is there.
//!
//! No message of this crate holds more of a source than its scheme and host.

#![forbid(unsafe_code)]

mod cache;
mod configuration;
mod fetch;
mod filtering;
mod publishing;
mod watch;

pub use cache::{Cache, CacheError};
pub use configuration::{ConfigurationError, Configured, Fetcher, FetcherError};
pub use fetch::{FetchError, Ipfs, SourcePolicy};
pub use filtering::{OutputFile, OutputRefusal, check_outputs};
pub use publishing::{Outgoing, PublishError, ResultStore, StoreConfig};
pub use watch::Watch;
