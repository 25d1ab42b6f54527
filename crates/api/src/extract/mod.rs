//! Reading requests: bodies, paths, queries, digests. What is wrong is answered with a problem.

mod body;
mod digest;
mod parameters;

pub(crate) use body::{Json, read_body, refuse_duplicates};
pub(crate) use digest::{content_digest, repr_digest};
pub(crate) use parameters::{PageSize, PathParam, PathParams, Query};
