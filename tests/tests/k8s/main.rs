//! Tests on a whole cluster: `make test-k8s`. See `tests/cluster/README.md`.
//!
//! Every test is `#[ignore]`d, so that `cargo test` shows it as not run where there is no cluster. Tests of the network stand in
//! a module `network`: they run a second time on a cluster whose NetworkPolicies take effect late. Those of `killed` run alone.

#![expect(clippy::panic, reason = "tests fail by panicking")]

mod containers;
mod deleted;
mod deployed;
mod guide;
mod hostile;
mod images;
mod interpreters;
mod jobs;
mod killed;
mod logs;
mod lost;
mod mixed;
mod network;
mod provider;
mod pulls;
mod registry;
mod replicas;
mod rights;
mod roots;
mod starts;
mod stores;
mod waiting;
mod ways;
