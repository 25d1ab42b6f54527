//! Getting one file from wherever it is into the cache.
//!
//! [`addresses`] decides where a request may go, [`client`] keeps that decision whatever a name resolves to,
//! [`redirects`] follows by hand. [`transfer`] is the loop over attempts, the same for every kind of server; [`http`],
//! [`s3`] and [`ipfs`] open one attempt, and [`encoding`] undoes what a server made of the file on the way. [`local`] opens files of this machine.

mod addresses;
mod arriving;
mod backoff;
mod client;
mod document;
mod encoding;
mod error;
mod http;
mod http_headers;
mod ipfs;
mod local;
mod meter;
mod policy;
mod redirects;
mod s3;
mod transfer;

pub(crate) use client::Clients;
pub use document::DocumentFetcher;
pub(crate) use error::Failure;
pub use error::FetchError;
pub use error::TooLarge;
pub(crate) use http::HttpFile;
pub(crate) use ipfs::file as ipfs_file;
pub(crate) use local::{LocalFile, LocalRoots, look_below};
pub(crate) use meter::Meter;
pub use policy::{HostPattern, HostPatternError, Ipfs, KnownServer, SourcePolicy};
pub(crate) use redirects::Ask;
pub(crate) use s3::S3File;
pub(crate) use transfer::{Bounds, LookedAt, MOST_COMPARED_BYTES, Remote, look, transfer};
