//! The native API, below `/v1`.

mod about;
mod assets;
mod audit;
mod events;
mod explain;
mod job_files;
mod job_request;
mod jobs;
mod keys;
mod open;
mod openapi;
mod others;
mod review;
mod router;
mod uploads;
mod views;

pub use openapi::openapi;
