//! The API server: how it is reached, and what an answer means.

mod call;
mod client;
mod watched;

pub use client::{Cluster, ConnectError, Namespaces};

pub(crate) use call::{CallError, call, call_once, exactly};
pub(crate) use watched::{Observer, Watched, version, watch};
