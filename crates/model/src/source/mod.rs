//! Sources: where the files of an asset are.
//!
//! A publisher describes each file by a *file object*, as Ocean calls it: `{"type": "url", "url": "https://..."}`. It is
//! parsed here, once, into a [`Source`]. Publication uses this parser, and the step that fetches files takes its result,
//! so what publication accepts, a fetch can read. Whether a source may be used (whose upload it is, which folders and
//! networks are allowed) is decided elsewhere.
//!
//! File objects hold addresses and credentials. `Debug`, errors and [`Location::describe`] show the kind of a source and at
//! most a scheme and a host; `Serialize` writes everything, in the form that was read.

mod http;
mod paths;
mod s3;
mod single;
mod sources;
mod stored_results;

pub use http::{Headers, HttpMethod, HttpSource, HttpUrl, HttpUrlError};
pub use paths::{IpfsPath, LocalPath};
pub use s3::{S3Credentials, S3Object};
pub use single::{Location, Source};
pub use sources::{Sources, UnsupportedSources};
pub use stored_results::{StoredResults, StoredResultsError, StoredResultsFuture};

#[cfg(test)]
mod tests;
