//! File objects: how an asset says where its files are.
//!
//! They hold addresses and credentials, so nothing here shows what it read: `Debug` and errors name kinds and fields
//! only, [`Place::name`] at most a scheme and a host.

mod fields;
mod file_object;
mod place;

pub(crate) use file_object::{FileObject, read_all};
pub(crate) use place::{Place, S3Access, UrlFile, site};
