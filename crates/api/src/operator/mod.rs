//! Ocean's operator API, for Providers that exist already: it understands what Provider 2.1.6 sends, and answers what
//! Provider expects.
//!
//! It differs where Ocean's is wrong: a request counts because an allowed Provider has signed it, nonce included, and each
//! nonce counts once; a Provider sees its own jobs; a job that failed is not finished; a deleted job is gone. The use cases
//! are those of the native API: the same decisions, the same records.

mod access;
mod admin;
mod environments;
mod error;
mod jobs;
mod parameters;
mod result;
mod spec;
mod start;
mod status;

use crate::{auth::bound_address, settings::OperatorSettings, state::AppState};
use axum::{
    Router, middleware,
    routing::{get, post},
};

/// The routes below `/api/v1/operator`, `GET /` and `GET /spec`.
pub(crate) fn routes(state: AppState) -> Router<AppState> {
    let OperatorSettings { unverified_signatures, insist, .. } = &*state.ocean;
    if *unverified_signatures {
        tracing::warn!(
            insist,
            "`unverified_signatures` is on: anyone who can send a request to Ocean's API can act as any consumer; turn it \
             off unless only trusted programs can"
        );
    }
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
        .merge(admin)
        .route_layer(middleware::from_fn_with_state(state, bound_address));
    Router::new()
        .route("/", get(environments::discovery))
        .route("/spec", get(spec::get))
        .nest("/api/v1/operator", operator)
}
