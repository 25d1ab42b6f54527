//! The documentation of these routes: a document of its own, because the native one is all that its own clients need.

use super::{admin, environments, jobs, result, start};
use axum::Json;
use utoipa::OpenApi;

/// Ocean's operator API, in Ocean's words.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Operator service",
        description = "Ocean's operator API as Provider 2.1.6 uses it. Parameters are read from the query if there is one, \
            else from a JSON body, whatever the method; `chainId`, `chain_id`, `providerAddress`, `validUntil` are \
            accepted and ignored. Errors are `{\"error\": \"...\"}`."
    ),
    paths(
        environments::discovery,
        environments::list,
        start::start,
        jobs::status,
        jobs::stop,
        jobs::delete,
        result::get,
        admin::running,
        admin::list,
        admin::info,
        admin::logs,
        admin::pgsqlinit
    )
)]
struct Operator;

/// Gives the document.
pub(super) async fn get() -> Json<utoipa::openapi::OpenApi> {
    Json(Operator::openapi())
}
