use super::{
    schemas::{BytesSchema, PartSchema},
    views::{JobView, List, ResultView},
};
use crate::{
    auth::Caller,
    download::Download,
    extract::{Json, PathParam, PathParams},
    problem::Problem,
    state::Http,
};
use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};
use cloister_model::{JobId, ReviewVerdict};
use cloister_service::UseCases;
use serde::Deserialize;
use utoipa::ToSchema;

/// A reviewer's decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReviewRequest {
    verdict: VerdictChoice,
    /// Why not: the consumer reads it. Required for a refusal.
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

/// Outputs that wait for your decision
#[utoipa::path(
    get, path = "/v1/jobs/{id}/review", operation_id = "list_outputs_under_review", tag = "review",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = List<ResultView>), (status = 409, description = "It is not in review"))
)]
pub(super) async fn list(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<axum::Json<List<ResultView>>, Problem> {
    Ok(axum::Json(ResultView::list(&use_cases.outputs_under_review(&who, id).await?)))
}

/// One of the outputs that wait for your decision
#[utoipa::path(
    get, path = "/v1/jobs/{id}/review/{index}", operation_id = "download_output_under_review", tag = "review",
    params(PartSchema, ("id" = String, Path, pattern = "^[0-9a-f]{32}$"), ("index" = u32, Path)),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream", body = inline(BytesSchema)),
        (status = 206, description = "The part", content_type = "application/octet-stream", body = inline(BytesSchema)),
        (status = 304, description = "You have it"),
        (status = 409, description = "It is not in review"),
    )
)]
pub(super) async fn read(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    Caller(who): Caller,
    PathParams(id, index): PathParams<JobId, u32>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let file = use_cases.output_under_review(&who, id, index).await?;
    Download::of_file(file).answer(&http.metrics, &method, &headers).await
}

/// Decide whether outputs may leave
#[utoipa::path(
    post, path = "/v1/jobs/{id}/review", operation_id = "review_outputs", tag = "review",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    request_body = ReviewRequest,
    responses((status = 200, body = JobView), (status = 409, description = "It is not in review"))
)]
pub(super) async fn decide(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
    Json(request): Json<ReviewRequest>,
) -> Result<axum::Json<JobView>, Problem> {
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
    Ok(axum::Json(JobView::from(&use_cases.review(&who, id, verdict).await?)))
}
