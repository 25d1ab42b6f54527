//! HTTP: who may do what.
//!
//! A native API below `/v1`, and Ocean's operator API below `/api/v1/operator`. The door parses, decides and records; it
//! keeps no state of its own, and asks the [`Backend`](cloister_model::Backend) for everything.

#![forbid(unsafe_code)]

mod assets;
mod auth;
mod content;
mod date;
mod ethereum;
mod jobs;
mod metrics;
mod native;
mod oidc;
mod operator;
mod principal;
mod problem;
mod receipt;
mod serve;
mod settings;
mod state;
mod submission;
mod visibility;
mod web;

pub use auth::{NewKey, new_key};
pub use native::openapi;
pub use operator::OperatorSettings;
pub use principal::{Principal, Via};
pub use serve::{ServeOptions, TlsError, serve, tls_config};
pub use settings::{GetJson, Issuer, RateLimits, Settings, SettingsError};
pub use state::Service;
