//! The first step of a job: every input and the algorithm, fetched and laid out as the guest sees them.
//!
//! [`Fetcher`] fetches files into the shared [`Cache`] and lays out what a guest sees as `/data`. Sources are strangers'
//! words: where a request may go is decided by addresses, after names were resolved ([`SourcePolicy`]), which is the
//! protection against SSRF and DNS rebinding. No message of this crate holds more of a source than its scheme and host.

#![forbid(unsafe_code)]

mod cache;
mod configuration;
mod fetch;
pub mod inspect;

pub use cache::{Cache, CacheError};
pub use configuration::{ConfigurationError, Configured, Fetcher, FetcherError, MountedRoot};
pub use fetch::{
    DocumentFetcher, FetchError, HostPattern, HostPatternError, Ipfs, KnownServer, SourcePolicy, TooLarge,
};
