//! The routes of both APIs over a real engine: requests go through the whole router, jobs run in the real sandbox.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod archive;
mod assets;
mod audit;
mod connections;
mod jobs;
mod keys;
mod logs;
mod observed;
mod ocean;
mod operator;
mod quotas;
mod receipts;
mod reviews;
mod secrecy;
mod signatures;
mod sources;
mod strangers;
mod test_service;
mod uploads;
mod wallet;
mod workflow;
