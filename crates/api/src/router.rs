//! The router: all routes, and what surrounds them.

use crate::{
    auth::{authenticate, count_address},
    native::{self, routes},
    observe::observe,
    operator,
    problem::Problem,
    settings::MetricsFor,
    state::{Http, Service},
};
use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::from_fn_with_state,
};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_swagger_ui::SwaggerUi;

impl Service {
    /// All routes: the native API, Ocean's operator API, the documentation.
    pub fn router(&self) -> Router {
        let state = self.state.clone();
        let (known, _) = routes::authenticated().split_for_parts();
        let (open, _) = routes::open().split_for_parts();
        let (metrics, _) = routes::metrics().split_for_parts();
        let authenticated = from_fn_with_state(state.clone(), authenticate);
        let counted = from_fn_with_state(state.clone(), count_address);
        let metrics = match state.http.metrics_for {
            MetricsFor::Operators => metrics.route_layer(authenticated.clone()),
            MetricsFor::Everyone | MetricsFor::NoOne => metrics.route_layer(counted.clone()),
        };
        let description = native::openapi(state.http.public_url.as_deref().unwrap_or("/"));
        let router = Router::new()
            .merge(known.route_layer(authenticated))
            .merge(open.route_layer(counted))
            .merge(metrics)
            .merge(operator::routes(state.clone()))
            .with_state(state.clone())
            .merge(SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", description))
            .fallback(async || Problem::not_found())
            .method_not_allowed_fallback(async || {
                let detail = "this route does not take this method; the header `Allow` lists those that it takes";
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed", detail)
            });
        let router = match cors(&state.http) {
            Some(cors) => router.layer(cors),
            None => router,
        };
        router.layer(from_fn_with_state(state, observe))
    }
}

/// Lets the scripts of some web pages call; by default, none. Never with cookies: the API has none.
fn cors(http: &Http) -> Option<CorsLayer> {
    if http.cors_origins.is_empty() {
        return None;
    }
    let origins = http.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let exposed =
        [header::ETAG, header::LOCATION, header::RETRY_AFTER, header::CONTENT_RANGE, header::CONTENT_DISPOSITION];
    let others = ["x-request-id", "repr-digest", "ratelimit", "ratelimit-policy"].map(HeaderName::from_static);
    let asked = ["idempotency-key", "last-event-id", "content-digest"].map(HeaderName::from_static);
    let ordinary = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
    ];
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(ordinary.into_iter().chain(asked).collect::<Vec<_>>())
        .expose_headers(exposed.into_iter().chain(others).collect::<Vec<_>>())
        .max_age(Duration::from_secs(600));
    Some(layer)
}
