use super::views::{JobView, List, ResultView};
use crate::{
    auth::Caller,
    jobs::{self, Access, Found, find},
    problem::Problem,
    state::Shared,
    web::{In, In2, Json},
};
use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};
use cloister_model::{EngineError, JobId, Phase, ReviewVerdict, Shelf};
use serde::Deserialize;
use utoipa::ToSchema;

/// A reviewer's word.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReviewRequest {
    verdict: VerdictChoice,
    /// Why not, as the consumer is told. Needed to refuse.
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

/// Whether outputs may leave.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum VerdictChoice {
    /// They may.
    Approve,
    /// They may not.
    Refuse,
}

fn in_review(found: &Found) -> Result<(), Problem> {
    if found.status.phase == Phase::InReview { Ok(()) } else { Err(EngineError::NotInReview(found.status.id).into()) }
}

/// Outputs that wait for your word
#[utoipa::path(
    get, path = "/v1/jobs/{id}/review", tag = "review", params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = List<ResultView>), (status = 409, description = "It is not in review"))
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
) -> Result<axum::Json<List<ResultView>>, Problem> {
    in_review(&find(&shared, &who, id, Access::Review).await?)?;
    Ok(axum::Json(ResultView::list(&shared.backend.results(id, Shelf::Held).await?)))
}

/// One of the outputs that wait for your word
#[utoipa::path(
    get, path = "/v1/jobs/{id}/review/{index}", tag = "review",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$"), ("index" = u32, Path),
        ("Range" = Option<String>, Header, description = "One range of bytes")),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "You have it"),
        (status = 409, description = "It is not in review"),
    )
)]
pub(super) async fn read(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In2(id, index): In2<JobId, u32>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    in_review(&find(&shared, &who, id, Access::Review).await?)?;
    jobs::send(&shared, &who.account, (id, Shelf::Held, index), &method, &headers).await
}

/// Say whether outputs may leave
#[utoipa::path(
    post, path = "/v1/jobs/{id}/review", tag = "review", params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    request_body = ReviewRequest,
    responses((status = 200, body = JobView), (status = 409, description = "It is not in review"))
)]
pub(super) async fn decide(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
    Json(request): Json<ReviewRequest>,
) -> Result<axum::Json<JobView>, Problem> {
    let found = find(&shared, &who, id, Access::Review).await?;
    let verdict = match request {
        ReviewRequest { verdict: VerdictChoice::Approve, reason: None } => ReviewVerdict::Approve,
        ReviewRequest { verdict: VerdictChoice::Approve, reason: Some(_) } => {
            return Err(Problem::field("reason", "only a refusal has a reason"));
        }
        ReviewRequest { verdict: VerdictChoice::Refuse, reason: Some(reason) } if (1..=500).contains(&reason.len()) => {
            ReviewVerdict::Refuse(reason)
        }
        ReviewRequest { verdict: VerdictChoice::Refuse, reason: _ } => {
            return Err(Problem::field("reason", "a refusal needs a reason of 1 to 500 bytes"));
        }
    };
    in_review(&found)?;
    Ok(axum::Json(JobView::from(&jobs::review(&shared, &who.account, id, verdict).await?)))
}
