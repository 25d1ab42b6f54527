//! The native API, below `/v1`.

mod about;
mod assets;
mod audit;
mod events;
mod explain;
mod health;
mod job_request;
pub(crate) use job_request::read_job_request;
mod jobs;
mod keys;
mod openapi;
mod outputs;
mod review;
pub(crate) mod routes;
mod schemas;
mod uploads;
mod views;

pub use openapi::openapi;
