//! What operators see. Ocean leaves `runningjobs` open, and never implemented `info`, `list` and `logs`.

use super::{
    access::{Origin, Voucher},
    error::OperatorError,
    jobs::{self, PARALLEL},
    parameters::Parameters,
    status::{JobBody, RunningBody, StatusBody},
};
use crate::{
    auth::{Caller, authenticate},
    settings::OperatorSettings,
    state::AppState,
};
use axum::{
    Json,
    extract::{FromRequestParts as _, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use cloister_model::{ByteRange, JobId, JobStatus, Role, Sha256};
use cloister_service::{Actor, ENVIRONMENT, JobError, Provider, ProviderFilter, UseCases};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

/// The header that Ocean's operators send.
const ADMIN: HeaderName = HeaderName::from_static("admin");

/// The most jobs of one answer, the newest.
const MOST_LISTED: usize = 5000;

/// The most bytes of a log that are given at once.
const MOST_LOG_BYTES: u32 = 4 * 1024 * 1024;

/// Lets operators through, with an API key of theirs as `Admin: <key>` or `Authorization: Bearer <key>`.
pub(super) async fn admit(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(origin) = Origin::from_request_parts(&mut parts, &()).await;
    request = Request::from_parts(parts, body);
    if is_unverified(&state.ocean, &origin, request.uri().path(), request.headers()) {
        tracing::warn!(path = request.uri().path(), "accepted an operator's request that no Provider vouches for");
        return Voucher::NoOne.answer(Ok(next.run(request).await));
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
    let answer = authenticate(State(state.identity.clone()), request, next).await;
    if answer.status() == StatusCode::UNAUTHORIZED { refused() } else { answer }
}

/// Refuses callers that are not operators. Behind [`admit`].
pub(super) async fn require_operator(request: Request, next: Next) -> Response {
    // A request without a caller is one that `admit` let through without credentials.
    match request.extensions().get::<Caller>() {
        Some(Caller(principal)) if !principal.is(Role::Operator) => refused(),
        _ => next.run(request).await,
    }
}

fn refused() -> Response {
    let text = "Access admin route failed due to invalid admin address.\nstatus code: 401";
    (StatusCode::UNAUTHORIZED, text).into_response()
}

/// Whether the request needs no credentials: `unverified_signatures` must allow it, and either the header has one of the values
/// that are set for this, or it is the one route that Ocean leaves open.
fn is_unverified(settings: &OperatorSettings, origin: &Origin, path: &str, headers: &HeaderMap) -> bool {
    if !origin.may_be_unverified(settings) {
        return false;
    }
    let digest = |text: &str| Sha256::of(text.to_lowercase().as_bytes());
    let given = headers.get(ADMIN).and_then(|value| value.to_str().ok()).map(digest);
    let known = |given| settings.unverified_admins.iter().any(|admin| digest(admin.expose()) == given);
    match given {
        Some(given) => known(given),
        None => path.ends_with("/runningjobs") && !headers.contains_key(header::AUTHORIZATION),
    }
}

/// All jobs are reached: the middleware has checked the caller.
const EVERY_JOB: Provider = Provider { account: None, consumer: None };

/// Lists all unfinished jobs.
#[utoipa::path(get, path = "/api/v1/operator/runningjobs", tag = "admin",
    responses((status = 200, body = Vec<RunningBody>), (status = 401)))]
pub(super) async fn running(State(use_cases): State<UseCases>) -> Result<Json<Vec<RunningBody>>, OperatorError> {
    let filter = ProviderFilter { unfinished: true, at_most: MOST_LISTED, ..ProviderFilter::default() };
    let jobs = use_cases.jobs_of_provider(&EVERY_JOB, &filter).await?;
    let actor = &Actor::Provider(EVERY_JOB);
    let running = |job: JobStatus| {
        let use_cases = &use_cases;
        async move {
            match use_cases.datasets_of_job(actor, &job).await {
                Ok(inputs) => {
                    let namespace = job.labels.get(ENVIRONMENT).unwrap_or_default().to_owned();
                    Ok(Some(RunningBody { job: JobBody::new(&job, &inputs), namespace }))
                }
                // It was removed meanwhile.
                Err(JobError::NotFound) => Ok(None),
                Err(error) => Err(OperatorError::from(error)),
            }
        }
    };
    let running = stream::iter(jobs).map(running).buffered(PARALLEL);
    Ok(Json(running.try_filter_map(|body| std::future::ready(Ok(body))).try_collect().await?))
}

/// Lists all jobs by their names, the newest first.
#[utoipa::path(get, path = "/api/v1/operator/list", tag = "admin",
    responses((status = 200, body = Vec<String>), (status = 401)))]
pub(super) async fn list(State(use_cases): State<UseCases>) -> Result<Json<Vec<String>>, OperatorError> {
    let filter = ProviderFilter { at_most: MOST_LISTED, ..ProviderFilter::default() };
    let jobs = use_cases.jobs_of_provider(&EVERY_JOB, &filter).await?;
    Ok(Json(jobs.iter().map(|job| job.id.to_string()).collect()))
}

/// Tells how a job is doing, of any owner.
#[utoipa::path(get, path = "/api/v1/operator/info", tag = "admin", params(("jobId" = String, Query)),
    responses((status = 200, body = StatusBody), (status = 401), (status = 404)))]
pub(super) async fn info(
    State(use_cases): State<UseCases>,
    parameters: Parameters,
) -> Result<Json<StatusBody>, OperatorError> {
    let actor = Actor::Provider(EVERY_JOB);
    let job = use_cases.job_status(&actor, named(&parameters)?).await.map_err(unknown)?;
    jobs::shown(&use_cases, &actor, &job).await?.map(Json).ok_or_else(|| unknown(JobError::NotFound))
}

/// Gives the beginning of the algorithm log of a job of any owner, as far as the log is not held back with the outputs.
#[utoipa::path(get, path = "/api/v1/operator/logs", tag = "admin",
    params(("jobId" = String, Query), ("component" = Option<String>, Query, description = "`algorithm`: no other step has a log")),
    responses((status = 200, content_type = "text/plain"), (status = 401), (status = 404)))]
pub(super) async fn logs(State(use_cases): State<UseCases>, parameters: Parameters) -> Result<Response, OperatorError> {
    let log = use_cases.job_log(&Actor::Provider(EVERY_JOB), named(&parameters)?).await.map_err(unknown)?;
    if parameters.text("component")?.is_some_and(|component| component != "algorithm") {
        return Err(OperatorError::missing("only the component `algorithm` has a log"));
    }
    let part = log.read(ByteRange { offset: 0, at_most: MOST_LOG_BYTES }).await.map_err(unknown)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], part.bytes).into_response())
}

/// Does nothing: there are no tables to make. Kept for scripts that call it first.
#[utoipa::path(post, path = "/api/v1/operator/pgsqlinit", tag = "admin", responses((status = 200), (status = 401)))]
pub(super) async fn pgsqlinit() -> Json<Value> {
    Json(json!(""))
}

fn named(parameters: &Parameters) -> Result<JobId, OperatorError> {
    let job = parameters.text("jobId")?.ok_or_else(|| OperatorError::bad("`jobId` is required"))?;
    job.parse().map_err(|_| unknown(JobError::NotFound))
}

fn unknown(error: JobError) -> OperatorError {
    match error {
        JobError::NotFound => OperatorError::missing("there is no such job"),
        error => error.into(),
    }
}
