//! The list of the native routes.

use super::{about, assets, audit, events, explain, health, jobs, keys, outputs, review, uploads};
use crate::state::AppState;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes that need credentials.
pub(crate) fn authenticated() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(about::whoami))
        .routes(routes!(about::environments))
        .routes(routes!(jobs::create, jobs::list))
        .routes(routes!(jobs::get, jobs::remove))
        .routes(routes!(jobs::parameters))
        .routes(routes!(jobs::stop))
        .routes(routes!(jobs::publish))
        .routes(routes!(events::events))
        .routes(routes!(explain::explain_request))
        .routes(routes!(explain::explain_job))
        .routes(routes!(outputs::log))
        .routes(routes!(outputs::withheld_log))
        .routes(routes!(outputs::release_log))
        .routes(routes!(outputs::results))
        .routes(routes!(outputs::result))
        .routes(routes!(outputs::report))
        .routes(routes!(outputs::receipt))
        .routes(routes!(review::inbox))
        .routes(routes!(review::list, review::decide))
        .routes(routes!(review::read))
        .routes(routes!(uploads::upload, uploads::list))
        .routes(routes!(uploads::remove))
        .routes(routes!(assets::publish_dataset, assets::datasets))
        .routes(routes!(assets::publish_algorithm, assets::algorithms))
        .routes(routes!(assets::dataset, assets::withdraw_dataset))
        .routes(routes!(assets::algorithm, assets::withdraw_algorithm))
        .routes(routes!(assets::check, assets::seen))
        .routes(routes!(assets::dataset_file))
        .routes(routes!(assets::algorithm_file))
        .routes(routes!(assets::permissions, assets::set_permissions))
        .routes(routes!(assets::allow))
        .routes(routes!(assets::disallow))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(audit::archive))
}

/// The routes that need none.
pub(crate) fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(about::receipt_key))
        .routes(routes!(about::sign_in))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

/// The route whose readers the operator chooses.
pub(crate) fn metrics() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health::metrics))
}
