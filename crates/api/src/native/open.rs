//! What anybody may ask.

use crate::{metrics, problem::Problem, state::Shared};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};

/// Whether the program runs
#[utoipa::path(get, path = "/healthz", tag = "about", security(()),
    responses((status = 200, content_type = "text/plain", body = String)))]
pub(super) async fn healthz() -> &'static str {
    std::future::ready("ok\n").await
}

/// Whether it can take work
#[utoipa::path(get, path = "/readyz", tag = "about", security(()),
    responses((status = 200, content_type = "text/plain", body = String), (status = 503, description = "Not now")))]
pub(super) async fn readyz(State(shared): State<Shared>) -> Result<&'static str, Problem> {
    if shared.closing.is_cancelled() {
        return Err(Problem::unavailable("the service shuts down"));
    }
    shared.backend.ready().await?;
    Ok("ready\n")
}

/// What is counted, for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "about", security(()),
    responses((status = 200, content_type = "application/openmetrics-text", body = String), (status = 404, description = "It is switched off")))]
pub(super) async fn metrics(State(shared): State<Shared>) -> Result<Response, Problem> {
    if !shared.settings.metrics {
        return Err(Problem::not_found());
    }
    // Counters are worth something without the engine, too.
    let environments = shared.backend.environments().await.unwrap_or_default();
    let text = shared.metrics.text(&environments).map_err(|_| Problem::internal())?;
    Ok(([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], text).into_response())
}
