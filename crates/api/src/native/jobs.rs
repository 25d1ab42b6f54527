use super::{
    job_request::JobRequest,
    schemas::PhaseSchema,
    views::{JobView, Page, ParametersView},
};
use crate::{
    auth::Caller,
    extract::{Json, PageSize, PathParam, Query},
    problem::Problem,
    state::Http,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::{Account, Did, JobCursor, JobId, Phase};
use cloister_service::{Identity, JobFilter, JobPage, Submitted, UseCases};
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// Bytes of an idempotency key.
const MOST_KEY_BYTES: usize = 255;

/// Submit a job
///
/// The same request with the same `Idempotency-Key` gives the same job.
#[utoipa::path(
    post, path = "/v1/jobs", operation_id = "submit_job", tag = "jobs", request_body = JobRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to repeat the request",
        max_length = 255, min_length = 1, pattern = "^[!-~]+$")),
    responses(
        (status = 201, description = "The job was taken", body = JobView, headers(("Location" = String))),
        (status = 200, description = "The job was taken before", body = JobView, headers(("Location" = String))),
    )
)]
pub(super) async fn create(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    Caller(who): Caller,
    headers: HeaderMap,
    Json(request): Json<JobRequest>,
) -> Result<Response, Problem> {
    let identity = match idempotency_key(&headers)? {
        Some(key) => Identity::Key { key, request: request.digest() },
        None => Identity::Random,
    };
    let submission = request.into_submission(identity)?;
    let submitted = use_cases.submit(&who.into(), &submission).await;
    http.metrics.decided(&submitted);
    let Submitted { status, repeated, .. } = submitted?;
    let code = if repeated { StatusCode::OK } else { StatusCode::CREATED };
    let location = [(header::LOCATION, format!("/v1/jobs/{}", status.id))];
    Ok((code, location, axum::Json(JobView::from(&status))).into_response())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let wrong = || Problem::field("Idempotency-Key", "a key has 1 to 255 printable ASCII characters and no space");
    let key = value.to_str().map_err(|_| wrong())?;
    if !(1..=MOST_KEY_BYTES).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong());
    }
    Ok(Some(key.to_owned()))
}

/// Which jobs are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct JobsQuery {
    /// Jobs that have ended, or those that have not.
    #[param(inline)]
    state: Option<JobState>,
    /// Jobs in this phase.
    #[param(inline, value_type = Option<PhaseSchema>)]
    phase: Option<Phase>,
    /// Jobs on this dataset: your own, or all if the dataset is yours.
    #[param(value_type = Option<String>, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    dataset: Option<Did>,
    /// Jobs of this algorithm.
    #[param(value_type = Option<String>, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    algorithm: Option<Did>,
    /// Jobs of this account: your own, or for operators any.
    #[param(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    owner: Option<Account>,
    /// Maximum number of entries.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// The `next` of the previous page.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,20}-[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// Whether a job has ended.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum JobState {
    Active,
    Ended,
}

/// Jobs, the newest first
///
/// Your own, and those of others on your datasets; for operators, all jobs. With `owner`, your own alone.
#[utoipa::path(
    get, path = "/v1/jobs", operation_id = "list_jobs", tag = "jobs", params(JobsQuery),
    responses((status = 200, body = Page<JobView>))
)]
pub(super) async fn list(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    Query(query): Query<JobsQuery>,
) -> Result<axum::Json<Page<JobView>>, Problem> {
    let at_most = PageSize::Large.of(query.limit)?;
    let after = query.cursor.as_deref().map(str::parse::<JobCursor>).transpose();
    let after = after.map_err(|_| Problem::field("cursor", "is not from `next` of a page of jobs"))?;
    let phases = phases(query.state, query.phase);
    let JobsQuery { dataset, algorithm, owner, .. } = query;
    let filter = JobFilter { owner, dataset, algorithm, phases, after, at_most };
    let JobPage { jobs, next } = use_cases.jobs(&who, filter).await?;
    let next = next.map(|cursor| cursor.to_string());
    Ok(axum::Json(Page { items: jobs.iter().map(JobView::from).collect(), next }))
}

fn phases(state: Option<JobState>, phase: Option<Phase>) -> Option<BTreeSet<Phase>> {
    if state.is_none() && phase.is_none() {
        return None;
    }
    let in_state = |candidate: &Phase| match state {
        None => true,
        Some(JobState::Active) => !candidate.has_ended(),
        Some(JobState::Ended) => candidate.has_ended(),
    };
    let in_phase = |candidate: &Phase| phase.is_none_or(|phase| phase == *candidate);
    Some(Phase::ALL.into_iter().filter(|candidate| in_state(candidate) && in_phase(candidate)).collect())
}

/// How a job is doing
#[utoipa::path(
    get, path = "/v1/jobs/{id}", operation_id = "get_job", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = JobView))
)]
pub(super) async fn get(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<axum::Json<JobView>, Problem> {
    Ok(axum::Json(JobView::from(&use_cases.job_status(&who.into(), id).await?)))
}

/// With which parameters the algorithm of a job runs
///
/// For the owner of the job. While its outputs wait for a review, for those who may decide about them, too.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/parameters", operation_id = "get_job_parameters", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = ParametersView))
)]
pub(super) async fn parameters(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<axum::Json<ParametersView>, Problem> {
    Ok(axum::Json(use_cases.job_parameters(&who, id).await?.into()))
}

/// Request that a job is stopped
#[utoipa::path(
    post, path = "/v1/jobs/{id}/stop", operation_id = "stop_job", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 202, description = "The job will be stopped", body = JobView))
)]
pub(super) async fn stop(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<Response, Problem> {
    let status = use_cases.stop_job(&who.into(), id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(JobView::from(&status))).into_response())
}

/// Try at once to store results that wait for the result store
///
/// While the result store does not answer or refuses the results, the service tries again after pauses that grow; `storeWait` says until when.
/// This request ends the pause. All accounts that may stop the job may send it.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/publish", operation_id = "publish_job", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 202, description = "The service tries to store them", body = JobView),
        (status = 409, description = "Its results do not wait for the result store"))
)]
pub(super) async fn publish(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<Response, Problem> {
    let status = use_cases.publish_job(&who.into(), id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(JobView::from(&status))).into_response())
}

/// Remove a job that has ended, with its log and its results
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", operation_id = "remove_job", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 204, description = "It is gone"), (status = 409, description = "It has not ended"))
)]
pub(super) async fn remove(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<StatusCode, Problem> {
    use_cases.remove_job(&who.into(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
