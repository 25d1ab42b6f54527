//! The native API over a real engine: requests go through the whole router, jobs run in the real sandbox.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod assets;
mod connections;
mod house;
mod jobs;
mod keys;
mod secrecy;
mod signatures;
mod strangers;
mod uploads;
