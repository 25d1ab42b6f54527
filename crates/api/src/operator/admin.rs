//! What operators see. Ocean leaves `runningjobs` open to everybody, and never made `info`, `list` and `logs` answer.

use super::{
    OperatorState,
    access::{Origin, Voucher},
    error::OperatorError,
    jobs,
    parameters::Parameters,
    status::{JobBody, RunningBody, StatusBody},
};
use crate::{
    auth::{Caller, authenticate, sha256},
    settings::Settings,
    submission::ENVIRONMENT,
};
use axum::{
    Json,
    extract::{FromRequestParts as _, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use cloister_model::{ByteRange, EngineError, JobId, JobStatus, Labels, Role};
use serde_json::{Value, json};

/// The header that Ocean's operators send.
const ADMIN: HeaderName = HeaderName::from_static("admin");

/// The most jobs of one answer, the newest.
const MOST_LISTED: usize = 5000;

/// The most bytes of a log that are given at once.
const MOST_LOG_BYTES: u32 = 4 * 1024 * 1024;

/// Lets operators through: with an API key of theirs, as `Admin: <key>` or `Authorization: Bearer <key>`.
pub(super) async fn admit(State(state): State<OperatorState>, mut request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(origin) = Origin::from_request_parts(&mut parts, &()).await;
    request = Request::from_parts(parts, body);
    let settings = &state.shared.settings;
    if is_unverified(settings, &origin, request.uri().path(), request.headers()) {
        tracing::warn!(path = request.uri().path(), "an operator's request was taken on nobody's word");
        return Voucher::Nobody.answer(Ok(next.run(request).await));
    }
    if !request.headers().contains_key(header::AUTHORIZATION) {
        let Some(key) =
            request.headers().get(ADMIN).and_then(|value| value.to_str().ok()).filter(|key| !key.is_empty())
        else {
            return (StatusCode::BAD_REQUEST, "Admin header is empty.\nstatus code: 400").into_response();
        };
        let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {key}")) else { return refused() };
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let answer = authenticate(State(state.shared.clone()), request, next).await;
    if answer.status() == StatusCode::UNAUTHORIZED { refused() } else { answer }
}

/// The same for those who are known and are no operators. Behind [`admit`].
pub(super) async fn require_operator(request: Request, next: Next) -> Response {
    // Nobody is known here only if `admit` took nobody's word.
    match request.extensions().get::<Caller>() {
        Some(Caller(principal)) if !principal.is(Role::Operator) => refused(),
        _ => next.run(request).await,
    }
}

fn refused() -> Response {
    let text = "Access admin route failed due to invalid admin address.\nstatus code: 401";
    (StatusCode::UNAUTHORIZED, text).into_response()
}

/// Whether nobody's word is enough: it must be allowed at all, and either the value of the header is one of those that are
/// set for this, or it is the one route that Ocean leaves open.
fn is_unverified(settings: &Settings, origin: &Origin, path: &str, headers: &HeaderMap) -> bool {
    if !origin.may_be_unverified(&settings.operator) {
        return false;
    }
    let digest = |text: &str| sha256(text.to_lowercase().as_bytes());
    let given = headers.get(ADMIN).and_then(|value| value.to_str().ok()).map(digest);
    let known = |given| settings.operator.unverified_admins.iter().any(|admin| digest(admin.expose()) == given);
    match given {
        Some(given) => known(given),
        None => path.ends_with("/runningjobs") && !headers.contains_key(header::AUTHORIZATION),
    }
}

/// Lists everybody's unfinished jobs.
#[utoipa::path(get, path = "/api/v1/operator/runningjobs", tag = "admin",
    responses((status = 200, body = Vec<RunningBody>), (status = 401)))]
pub(super) async fn running(
    State(OperatorState { shared, .. }): State<OperatorState>,
) -> Result<Json<Vec<RunningBody>>, OperatorError> {
    let mut running = Vec::new();
    for job in jobs::list(&shared, Labels::new(), true, MOST_LISTED).await? {
        let inputs = match jobs::inputs(&shared, &job).await {
            Ok(inputs) => inputs,
            Err(EngineError::NoSuchJob(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let namespace = job.labels.get(ENVIRONMENT).unwrap_or_default().to_owned();
        running.push(RunningBody { job: JobBody::new(&job, inputs), namespace });
    }
    Ok(Json(running))
}

/// Lists everybody's jobs by their names, the newest first.
#[utoipa::path(get, path = "/api/v1/operator/list", tag = "admin",
    responses((status = 200, body = Vec<String>), (status = 401)))]
pub(super) async fn list(
    State(OperatorState { shared, .. }): State<OperatorState>,
) -> Result<Json<Vec<String>>, OperatorError> {
    let jobs = jobs::list(&shared, Labels::new(), false, MOST_LISTED).await?;
    Ok(Json(jobs.iter().map(|job| job.id.to_string()).collect()))
}

/// Tells how anybody's job is doing.
#[utoipa::path(get, path = "/api/v1/operator/info", tag = "admin", params(("jobId" = String, Query)),
    responses((status = 200, body = StatusBody), (status = 401), (status = 404)))]
pub(super) async fn info(
    State(OperatorState { shared, .. }): State<OperatorState>,
    parameters: Parameters,
) -> Result<Json<StatusBody>, OperatorError> {
    let job = named(&shared, &parameters).await?;
    jobs::shown(&shared, &job).await?.map(Json).ok_or_else(unknown)
}

/// Gives the beginning of the log of anybody's algorithm, as far as it is not held back with the outputs.
#[utoipa::path(get, path = "/api/v1/operator/logs", tag = "admin",
    params(("jobId" = String, Query), ("component" = Option<String>, Query, description = "`algorithm`: no other step has a log")),
    responses((status = 200, content_type = "text/plain"), (status = 401), (status = 404)))]
pub(super) async fn logs(
    State(OperatorState { shared, .. }): State<OperatorState>,
    parameters: Parameters,
) -> Result<Response, OperatorError> {
    let job = named(&shared, &parameters).await?;
    if parameters.text("component")?.is_some_and(|component| component != "algorithm") {
        return Err(OperatorError::missing("only the component `algorithm` has a log"));
    }
    let log = shared.backend.log(job.id, ByteRange { offset: 0, at_most: MOST_LOG_BYTES }).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], log).into_response())
}

/// Does nothing: there are no tables to make. Kept for scripts that call it first.
#[utoipa::path(post, path = "/api/v1/operator/pgsqlinit", tag = "admin", responses((status = 200), (status = 401)))]
pub(super) async fn pgsqlinit() -> Json<Value> {
    Json(json!(""))
}

async fn named(shared: &crate::state::Shared, parameters: &Parameters) -> Result<JobStatus, OperatorError> {
    let job = parameters.text("jobId")?.ok_or_else(|| OperatorError::bad("`jobId` is required"))?;
    let job: JobId = job.parse().map_err(|_| unknown())?;
    shared.backend.status(job).await.map_err(|error| match error {
        EngineError::NoSuchJob(_) => unknown(),
        error => error.into(),
    })
}

fn unknown() -> OperatorError {
    OperatorError::missing("there is no such job")
}
