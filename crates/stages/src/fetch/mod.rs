//! Getting files from where they are.

mod error;
mod policy;

pub use error::FetchError;
pub use policy::{Ipfs, SourcePolicy};
