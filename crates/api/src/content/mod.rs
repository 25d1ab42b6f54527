//! Files in answers: parts of them, whether they changed, and sending them without holding them.

mod conditions;
mod digest;
mod download;
mod name;
mod range;

pub(crate) use conditions::EntityTag;
pub(crate) use digest::content_digest;
pub(crate) use download::{CHUNK_BYTES, Download};
