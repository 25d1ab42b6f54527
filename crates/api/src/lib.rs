//! HTTP: who may do what.
//!
//! A native API below `/v1`, and Ocean's operator API below `/api/v1/operator`. The door parses, decides and records; it
//! keeps no state of its own, and asks the [`Backend`](cloister_model::Backend) for everything.

#![forbid(unsafe_code)]

mod ethereum;
mod oidc;
mod operator;
mod principal;
mod problem;
mod settings;
mod state;
mod submission;

pub use operator::OperatorSettings;
pub use principal::{Principal, Via};
pub use settings::{GetJson, Issuer, RateLimits, Settings, SettingsError};
pub use state::Service;
