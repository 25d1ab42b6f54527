use super::{
    explain::ReviewWaitView,
    schemas::{BytesSchema, PartSchema},
    views::{JobView, List, ParametersView, ResultView},
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
use cloister_model::{JobId, ResultFile, ReviewVerdict};
use cloister_service::{UseCases, WaitingReview};
use serde::{Deserialize, Serialize};
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

/// A job whose outputs wait for your decision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitingReview)]
pub(super) struct WaitingReviewView {
    job: JobView,
    waits: ReviewWaitView,
    /// How many outputs there are. Absent for operators, who decide without seeing them.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<usize>,
    /// How large they are together, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// With which parameters its algorithm ran. Absent if they are long, or if many jobs have waited longer: ask for those of
    /// the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<ParametersView>,
}

impl From<&WaitingReview> for WaitingReviewView {
    fn from(WaitingReview { job, waits, outputs, parameters }: &WaitingReview) -> Self {
        let sum = |files: &Vec<ResultFile>| files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
        Self {
            job: JobView::from(job),
            waits: ReviewWaitView::from(waits),
            files: outputs.as_ref().map(Vec::len),
            bytes: outputs.as_ref().map(sum),
            parameters: parameters.clone().map(ParametersView::from),
        }
    }
}

/// Jobs whose outputs wait for your decision
///
/// Those that have waited longest come first. At most 500.
#[utoipa::path(
    get, path = "/v1/reviews", operation_id = "list_reviews", tag = "review",
    responses((status = 200, body = List<WaitingReviewView>))
)]
pub(super) async fn inbox(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
) -> Result<axum::Json<List<WaitingReviewView>>, Problem> {
    let items = use_cases.reviews(&who).await?.iter().map(WaitingReviewView::from).collect();
    Ok(axum::Json(List { items }))
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
        (status = 304, description = "What you have is current"),
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
