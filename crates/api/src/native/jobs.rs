use super::{
    job_request::JobRequest,
    views::{self, JobView, Page},
};
use crate::{
    auth::Caller,
    jobs::{self, Access, find},
    principal::Principal,
    problem::Problem,
    state::Shared,
    submission::{ALGORITHM, Identity, OWNER, Submitted, dataset_label, submit},
    web::{In, Json, Query},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::{Account, Did, JobCursor, JobId, JobQuery, Labels, Phase, Role};
use serde::Deserialize;
use utoipa::IntoParams;

/// Bytes of an idempotency key.
const MOST_KEY_BYTES: usize = 255;

/// Ask for a job
///
/// The same request with the same `Idempotency-Key` gives the same job.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "jobs", request_body = JobRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to ask again",
        max_length = 255, min_length = 1, pattern = "^[!-~]+$")),
    responses(
        (status = 201, description = "The job was taken", body = JobView, headers(("Location" = String))),
        (status = 200, description = "The job was taken before", body = JobView, headers(("Location" = String))),
    )
)]
pub(super) async fn create(
    State(shared): State<Shared>,
    Caller(who): Caller,
    headers: HeaderMap,
    Json(request): Json<JobRequest>,
) -> Result<Response, Problem> {
    let identity = match idempotency_key(&headers)? {
        Some(key) => Identity::Key { key, request: request.digest() },
        None => Identity::Random,
    };
    let submission = request.into_submission(identity)?;
    let Submitted { status, repeated } = submit(&shared, &who.account, submission).await?;
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
    /// `active` or `ended`.
    #[param(inline, value_type = Option<StateSchema>)]
    state: Option<String>,
    /// One phase, by its name.
    #[param(inline, value_type = Option<PhaseSchema>)]
    phase: Option<String>,
    /// Jobs on this dataset: your own, or everybody's if the dataset is yours.
    #[param(value_type = Option<String>, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    dataset: Option<Did>,
    /// Jobs of this algorithm.
    #[param(value_type = Option<String>, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    algorithm: Option<Did>,
    /// Jobs of this account. Operators only.
    #[param(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    owner: Option<Account>,
    /// At most so many.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// From `next` of the page before.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,20}-[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// Whether a job has ended.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the parameter to readers of the documentation")]
enum StateSchema {
    Active,
    Ended,
}

/// Where a job is.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the parameter to readers of the documentation")]
enum PhaseSchema {
    Queued,
    Accepted,
    Configuring,
    Configured,
    Running,
    Filtering,
    InReview,
    Publishing,
    Finished,
    DataProvisioningFailed,
    AlgorithmProvisioningFailed,
    AlgorithmFailed,
    LimitExceeded,
    OutputRefused,
    PublishingFailed,
    Stopped,
    Expired,
}

/// How many of a list are asked for.
pub(super) fn page_size(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(50) {
        limit @ 1..=100 => Ok(limit),
        _ => Err(Problem::field("limit", "has to be 1 to 100")),
    }
}

/// Jobs, the newest first
///
/// Your own; everybody's for operators, and on your datasets if you ask for one of them.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", params(JobsQuery),
    responses((status = 200, body = Page<JobView>))
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    Caller(who): Caller,
    Query(query): Query<JobsQuery>,
) -> Result<axum::Json<Page<JobView>>, Problem> {
    let at_most = page_size(query.limit)?;
    let after = query.cursor.as_deref().map(str::parse::<JobCursor>).transpose();
    let after = after.map_err(|_| Problem::field("cursor", "is not from `next` of a page of jobs"))?;
    let phases = phases(query.state.as_deref(), query.phase.as_deref())?;
    let labels = labels(&shared, &who, &query).await?;
    // One more, to know whether there is a next page.
    let mut jobs = shared.backend.list(JobQuery { labels, phases, after, at_most: at_most + 1 }).await?;
    let more = jobs.len() > at_most as usize;
    jobs.truncate(at_most as usize);
    let next = jobs.last().filter(|_| more).map(|last| JobCursor { created: last.created, job: last.id }.to_string());
    Ok(axum::Json(Page { items: jobs.iter().map(JobView::from).collect(), next }))
}

fn phases(state: Option<&str>, phase: Option<&str>) -> Result<Option<std::collections::BTreeSet<Phase>>, Problem> {
    let in_state: fn(Phase) -> bool = match state {
        None => |_| true,
        Some("active") => |phase| !phase.has_ended(),
        Some("ended") => Phase::has_ended,
        Some(_) => return Err(Problem::field("state", "has to be `active` or `ended`")),
    };
    let wanted = match phase {
        None if state.is_none() => return Ok(None),
        None => None,
        Some(name) => {
            Some(views::phase(name).ok_or_else(|| Problem::field("phase", "is no phase, such as `Running`"))?)
        }
    };
    let all = Phase::ALL.into_iter().filter(|phase| in_state(*phase) && wanted.is_none_or(|wanted| wanted == *phase));
    Ok(Some(all.collect()))
}

/// The labels of the jobs that somebody may see of those they ask for.
async fn labels(shared: &Shared, who: &Principal, query: &JobsQuery) -> Result<Labels, Problem> {
    let operates = who.is(Role::Operator);
    let owner = match &query.owner {
        Some(owner) if operates || *owner == who.account => Some(owner),
        Some(_) => return Err(Problem::forbidden("only operators see the jobs of others; leave `owner` out")),
        None if operates => None,
        None => Some(&who.account),
    };
    let published = match &query.dataset {
        Some(did) if query.owner.is_none() => {
            shared.backend.asset(did.clone()).await?.is_some_and(|asset| asset.owner == who.account)
        }
        _ => false,
    };
    let mut wanted = Vec::new();
    if let Some(owner) = owner.filter(|_| !published) {
        wanted.push((OWNER.to_owned(), owner.key()));
    }
    if let Some(did) = &query.dataset {
        wanted.push((dataset_label(did), did.id()));
    }
    if let Some(did) = &query.algorithm {
        wanted.push((ALGORITHM.to_owned(), did.id()));
    }
    let labels = wanted.iter().try_fold(Labels::new(), |labels, (name, value)| labels.with(name, value));
    labels.map_err(|_| Problem::internal())
}

/// How a job is doing
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = JobView))
)]
pub(super) async fn get(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
) -> Result<axum::Json<JobView>, Problem> {
    Ok(axum::Json(JobView::from(&jobs::status(&shared, &who, id).await?)))
}

/// Ask for a job to be stopped
#[utoipa::path(
    post, path = "/v1/jobs/{id}/stop", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 202, description = "It will be", body = JobView))
)]
pub(super) async fn stop(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
) -> Result<Response, Problem> {
    let found = find(&shared, &who, id, Access::Control).await?;
    let status = jobs::stop(&shared, &who.account, &found.status).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(JobView::from(&status))).into_response())
}

/// Remove a job that has ended, with its log and its results
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 204, description = "It is gone"), (status = 409, description = "It has not ended"))
)]
pub(super) async fn remove(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
) -> Result<StatusCode, Problem> {
    let found = find(&shared, &who, id, Access::Control).await?;
    jobs::remove(&shared, &who.account, &found.status).await?;
    Ok(StatusCode::NO_CONTENT)
}
