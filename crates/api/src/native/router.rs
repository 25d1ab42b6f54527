use super::{about, assets, audit, events, explain, job_files, jobs, keys, open, openapi, review, uploads};
use crate::{
    auth::{authenticate, count_address},
    operator,
    problem::Problem,
    settings::Settings,
    state::Service,
    state::Shared,
    web::observe,
};
use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::from_fn_with_state,
};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

impl Service {
    /// Everything that is answered: the native API, Ocean's operator API, the documentation.
    pub fn router(&self) -> Router {
        let shared = self.shared.clone();
        let (known, _) = for_somebody_known().split_for_parts();
        let (anybody, _) = for_anybody().split_for_parts();
        let authenticated = from_fn_with_state(shared.clone(), authenticate);
        let counted = from_fn_with_state(shared.clone(), count_address);
        let router = Router::new()
            .merge(known.route_layer(authenticated).with_state(shared.clone()))
            .merge(anybody.route_layer(counted).with_state(shared.clone()))
            .merge(operator::routes(shared.clone()))
            .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi()))
            .fallback(async || Problem::not_found())
            .method_not_allowed_fallback(async || {
                let detail = "this cannot be done here; the header `Allow` says what can";
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Another method is needed", detail)
            });
        let router = match cors(&shared.settings) {
            Some(cors) => router.layer(cors),
            None => router,
        };
        router.layer(from_fn_with_state(shared, observe))
    }
}

/// What is answered only to somebody known.
pub(super) fn for_somebody_known() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(about::whoami))
        .routes(routes!(about::environments))
        .routes(routes!(jobs::create, jobs::list))
        .routes(routes!(jobs::get, jobs::remove))
        .routes(routes!(jobs::stop))
        .routes(routes!(events::events))
        .routes(routes!(explain::explain))
        .routes(routes!(job_files::explain))
        .routes(routes!(job_files::log))
        .routes(routes!(job_files::results))
        .routes(routes!(job_files::result))
        .routes(routes!(job_files::report))
        .routes(routes!(job_files::receipt))
        .routes(routes!(review::list, review::decide))
        .routes(routes!(review::read))
        .routes(routes!(uploads::upload))
        .routes(routes!(assets::publish_dataset, assets::datasets))
        .routes(routes!(assets::publish_algorithm, assets::algorithms))
        .routes(routes!(assets::dataset, assets::withdraw_dataset))
        .routes(routes!(assets::algorithm, assets::withdraw_algorithm))
        .routes(routes!(assets::dataset_file))
        .routes(routes!(assets::algorithm_file))
        .routes(routes!(assets::permissions, assets::set_permissions))
        .routes(routes!(assets::allow))
        .routes(routes!(assets::disallow))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(audit::list))
}

/// What anybody may ask.
pub(super) fn for_anybody() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(about::receipt_key))
        .routes(routes!(open::healthz))
        .routes(routes!(open::readyz))
        .routes(routes!(open::metrics))
}

/// Lets scripts of these pages call; none by default. Never with cookies: there are none.
fn cors(settings: &Settings) -> Option<CorsLayer> {
    if settings.cors_origins.is_empty() {
        return None;
    }
    let origins = settings.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let exposed =
        [header::ETAG, header::LOCATION, header::RETRY_AFTER, header::CONTENT_RANGE, header::CONTENT_DISPOSITION];
    let others = ["x-request-id", "repr-digest"].map(HeaderName::from_static);
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
