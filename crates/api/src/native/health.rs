//! Whether the service runs and can take work, without credentials; and its metrics.

use crate::{auth::Caller, metrics, problem::Problem, settings::MetricsFor, state::Http};
use axum::{
    extract::State,
    http::{Extensions, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::Role;
use cloister_service::UseCases;

/// Whether the program runs
#[utoipa::path(get, path = "/healthz", operation_id = "get_health", tag = "about", security(()),
    responses((status = 200, content_type = "text/plain", body = String)))]
pub(super) async fn healthz() -> &'static str {
    std::future::ready("ok\n").await
}

/// Whether the service is ready for requests
#[utoipa::path(get, path = "/readyz", operation_id = "get_readiness", tag = "about", security(()),
    responses((status = 200, content_type = "text/plain", body = String), (status = 503, description = "It cannot")))]
pub(super) async fn readyz(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
) -> Result<&'static str, Problem> {
    if http.closing.is_cancelled() {
        return Err(Problem::unavailable("the service is shutting down"));
    }
    use_cases.ready().await?;
    Ok("ready\n")
}

/// Metrics for Prometheus
///
/// For operators, unless the setting `http.metrics` says otherwise.
#[utoipa::path(get, path = "/metrics", operation_id = "get_metrics", tag = "about",
    responses((status = 200, content_type = "application/openmetrics-text", body = String), (status = 404, description = "It is switched off")))]
pub(super) async fn metrics(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    extensions: Extensions,
) -> Result<Response, Problem> {
    match http.metrics_for {
        MetricsFor::NoOne => return Err(Problem::not_found()),
        MetricsFor::Operators => {
            let Caller(who) = extensions.get::<Caller>().ok_or_else(Problem::unauthenticated)?;
            who.must_be(Role::Operator)?;
        }
        MetricsFor::Everyone => {}
    }
    // The counters are useful even if the engine cannot be reached.
    let environments = use_cases.environments().await.unwrap_or_default();
    let figures = use_cases.figures().await.unwrap_or_default();
    let text = http.metrics.text(&environments, &figures).map_err(|_| Problem::internal())?;
    Ok(([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], text).into_response())
}
