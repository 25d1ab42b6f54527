//! The API server: how it is reached, and what an answer means.

mod call;
mod client;
mod outdated;
mod watched;

pub use client::{Cluster, ConnectError, Namespaces};
pub use outdated::{Outdated, check_definitions};

pub(crate) use call::{CallError, call, call_once, exactly};
pub(crate) use watched::{Observer, Watched, version, watch};
