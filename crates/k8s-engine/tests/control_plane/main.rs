//! What a real API server makes of the resources and of the ports, without a node: nothing runs here, and the tests play
//! the controller where one is needed.
//!
//! `make test-k8s` runs them; alone: `KUBECONFIG=... cargo test --release --workspace --test control_plane -- --ignored`.

#![expect(clippy::panic, reason = "tests fail by panicking")]

/// How often a test looks, ten times a second, for what has to happen: for five minutes at least, because the machine may be a slow
/// one, and a silent connection is given up after more than a minute.
const LOOKS: u32 = 3000;

mod archive;
mod assets;
mod away;
mod boundaries;
mod canary;
mod catalogs;
mod cluster;
mod conformance;
mod controller;
mod cut;
mod endings;
mod explain;
mod faults;
mod files;
mod forged;
mod installed;
mod kernels;
mod killed;
mod kubelet;
mod late;
mod lease;
mod mixed;
mod node;
mod outbox;
mod outdated;
mod outside;
mod permission;
mod program;
mod provoked;
mod receipts;
mod records;
mod requests;
mod rights;
mod roots;
mod rules;
mod site;
mod stuck;
mod tampered;
mod writes;
