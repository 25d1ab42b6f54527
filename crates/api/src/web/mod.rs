//! Reading requests, and what surrounds every answer.

mod body;
mod observe;
mod path;
mod query;

pub(crate) use body::{Json, read_body};
pub(crate) use observe::observe;
pub(crate) use path::{In, In2};
pub(crate) use query::Query;
