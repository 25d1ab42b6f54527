//! The native API over a real engine: requests go through the whole router, jobs run in the real sandbox.

mod assets;
mod connections;
mod house;
mod jobs;
mod keys;
mod signatures;
mod strangers;
mod uploads;
