//! HTTP: routes, authentication, OpenAPI, problems, streams.
//!
//! A native API below `/v1`, and Ocean's operator API below `/api/v1/operator`. What can be done, and by whom, stands in
//! `cloister-service`; both APIs call it.

#![forbid(unsafe_code)]

mod auth;
mod cluster;
mod date;
mod download;
mod ethereum;
mod extract;
mod metrics;
mod native;
mod observe;
mod oidc;
mod operator;
mod probes;
mod problem;
mod router;
mod serve;
mod settings;
mod state;
mod streams;

pub use cloister_service::{
    AssetError, KeyLifetimes, NewKey, Principal, Quotas, ReviewNotice, UploadError, Via, given_key, new_key,
};
pub use cluster::Refusal;
pub use native::openapi;
pub use probes::{Probed, serve_probes};
pub use serve::{ServeOptions, TlsError, serve, tls_config};
pub use settings::{
    GetJson, Issuer, IssuerDocument, MetricsFor, OperatorSettings, RateLimits, Settings, SettingsError, SignIn,
};
pub use state::Service;
