//! Jobs on Kubernetes.
//!
//! All state is in the cluster: what people look at is a custom resource ([`resources`]), secrets are Secrets, what only
//! grows is ConfigMaps, and there is no database. The API server is the only thing that both the service and the
//! controller talk to; neither of them keeps anything that it could lose. Bytes are in the store of results.

#![forbid(unsafe_code)]

pub mod act;
mod assets;
mod backend;
pub mod build;
mod clock;
mod cluster;
pub mod controller;
mod due;
mod followed;
pub mod observe;
pub mod plan;
mod requests;
pub mod resources;
mod store;

pub use assets::{ACCOUNT, NotPublished, Publish, Publishing, Withdrawing, publish_what_is_applied};
pub use backend::{ArchiveOptions, ClusterStore, OpenError, StoreOptions};
pub use cluster::{Cluster, ConnectError, Namespaces, Outdated, check_definitions};
pub use requests::{Decide, Decided, Deciding, Results, decide_what_is_requested};
