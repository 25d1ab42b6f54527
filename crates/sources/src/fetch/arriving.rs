//! One attempt at a file of another machine: what it may go on from, and what comes.

use super::{Failure, http_headers::Validator};
use bytes::Bytes;
use futures_util::stream::BoxStream;

/// Where to go on, and of what.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    pub(crate) offset: u64,
    pub(crate) validator: Validator,
}

/// The answer to one attempt.
pub(crate) struct Arriving {
    /// Where its first byte belongs.
    pub(crate) start: u64,
    /// How large the whole is.
    pub(crate) total: Option<u64>,
    pub(crate) validator: Option<Validator>,
    pub(crate) body: BoxStream<'static, Result<Bytes, Failure>>,
}
