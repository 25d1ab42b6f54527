//! The built service with real HTTP, a real database and real sandboxes: what publishers, consumers, reviewers and
//! operators do with it, and what strangers and broken machines try.
//!
//! Each test starts a service of its own. `scripts/test-tools.sh` brings what they use beside it.

#![expect(clippy::panic, reason = "helpers of tests fail them by panicking")]

mod bad_input;
mod client;
mod flows;
mod generated_clients;
mod guide;
mod ocean;
mod python_client;
mod scenario;
mod schemathesis;
mod screens;
mod sign_in;
mod sources;
mod steward;
mod tenants;
mod terminal;
