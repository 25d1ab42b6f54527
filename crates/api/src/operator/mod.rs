//! Ocean's operator API, for Providers that are there already: what Provider 2.1.6 sends, it understands, and it answers
//! what Provider expects.
//!
//! It differs where Ocean's is wrong: a request is on the word of a Provider that is allowed and has signed it, nonce
//! included, and each nonce counts once; a Provider sees its own jobs; a job that failed is not finished; what is deleted
//! is gone. Jobs go the same way as those of the native API: the same decision, the same record.

mod access;
mod admin;
mod agreements;
mod environments;
mod error;
mod jobs;
mod parameters;
mod result;
mod settings;
mod spec;
mod start;
mod status;

pub use settings::OperatorSettings;

use crate::state::Shared;
use agreements::Agreements;
use axum::{
    Router, middleware,
    routing::{get, post},
};
use std::sync::Arc;

/// What every request of this API needs.
#[derive(Clone)]
struct OperatorState {
    shared: Shared,
    agreements: Arc<Agreements>,
}

/// The routes below `/api/v1/operator`, `GET /` and `GET /spec`.
pub(crate) fn routes(shared: Shared) -> Router {
    let OperatorSettings { unverified_signatures, insist, .. } = &shared.settings.operator;
    if *unverified_signatures {
        tracing::warn!(
            insist,
            "`unverified_signatures` is on: whoever can send a request to Ocean's API may do everything that every \
             consumer may; turn it off unless no stranger can"
        );
    }
    let state = OperatorState { shared, agreements: Arc::default() };
    let admin = Router::new()
        .route("/runningjobs", get(admin::running))
        .route("/list", get(admin::list))
        .route("/info", get(admin::info))
        .route("/logs", get(admin::logs))
        .route("/pgsqlinit", post(admin::pgsqlinit))
        .route_layer(middleware::from_fn(admin::require_operator))
        .route_layer(middleware::from_fn_with_state(state.clone(), admin::admit));
    let operator = Router::new()
        .route("/compute", get(jobs::status).post(start::start).put(jobs::stop).delete(jobs::delete))
        .route("/getResult", get(result::get))
        .route("/environments", get(environments::list))
        .route("/spec", get(spec::get))
        .merge(admin);
    Router::new()
        .route("/", get(environments::discovery))
        .route("/spec", get(spec::get))
        .nest("/api/v1/operator", operator)
        .with_state(state)
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
