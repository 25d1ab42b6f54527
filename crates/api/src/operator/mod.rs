//! Ocean's operator API, for Providers that are there already.

use crate::state::Shared;
use axum::Router;

/// What an operator decides about Ocean's API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorSettings {}

/// The routes below `/api/v1/operator`, and `GET /`.
pub(crate) fn routes(_shared: Shared) -> Router {
    Router::new()
}
