//! Why a job would be allowed or denied, and why a job is where it is.

use super::{
    job_request::JobRequest,
    schemas::PhaseSchema,
    views::{RuleView, terms},
};
use crate::{
    auth::Caller,
    date,
    extract::{Json, PathParam},
    problem::Problem,
};
use axum::extract::State;
use cloister_model::{Account, Decision, JobId, Phase};
use cloister_service::{Explained, ExplainedJob, Identity, ReviewWait, UseCases};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Whether a job would be allowed, and why.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Explanation)]
pub(super) struct ExplainedRequest {
    allowed: bool,
    /// Every rule that refuses it; empty if it is allowed.
    rules: Vec<RuleView>,
    /// The interpreter that is not installed, if `environment-interpreter` is one of the rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_interpreter: Option<String>,
    /// What it would be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    terms: Option<Value>,
}

/// Explain a request for a job: would it be allowed, and why
///
/// Decides as for a job, and starts nothing.
#[utoipa::path(
    post, path = "/v1/explain", operation_id = "explain_submission", tag = "jobs", request_body = JobRequest,
    responses((status = 200, body = ExplainedRequest))
)]
pub(super) async fn explain_request(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    Json(request): Json<JobRequest>,
) -> Result<axum::Json<ExplainedRequest>, Problem> {
    let submission = request.into_submission(Identity::Random)?;
    let Explained { decision, interpreter } = use_cases.explain(&who.account, &submission).await?;
    let (allowed, rules, terms) = match decision {
        Decision::Allowed(allowed) => (true, Vec::new(), Some(terms(&allowed))),
        Decision::Denied(denials) => (false, denials.iter().map(RuleView::from).collect(), None),
    };
    Ok(axum::Json(ExplainedRequest { allowed, rules, missing_interpreter: interpreter, terms }))
}

/// Why a job is in its phase.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobExplanation)]
pub(super) struct ExplainedJobView {
    text: String,
    #[schema(value_type = PhaseSchema)]
    phase: Phase,
    /// Jobs that come before it; null if it does not wait for its turn.
    ahead: Option<u64>,
    /// Details of its failure, for the publisher of the files that could not be fetched, for the account that brought them, and for
    /// operators. They can name where the files are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Who can review its outputs, while they wait for a review.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<ReviewWaitView>,
    /// What was decided when it was submitted.
    #[schema(value_type = Object)]
    terms: Value,
}

/// Who can review the outputs of a job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReviewWait)]
pub(super) struct ReviewWaitView {
    /// The publishers of the datasets that ask for a review. If there are several, an operator decides, because none of them
    /// alone can.
    reviewers: Vec<String>,
    /// Accounts that their publisher has named as further reviewers. If there are any, two different accounts have to approve.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    named: Vec<String>,
    /// The first approval, where two accounts have to approve.
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<String>,
    /// When the job expires unless the outputs are reviewed.
    #[schema(format = DateTime)]
    until: String,
}

impl From<&ReviewWait> for ReviewWaitView {
    fn from(ReviewWait { reviewers, named, approved_by, until }: &ReviewWait) -> Self {
        let written = |accounts: &[Account]| accounts.iter().map(ToString::to_string).collect();
        Self {
            reviewers: written(reviewers),
            named: written(named),
            approved_by: approved_by.as_ref().map(ToString::to_string),
            until: date::write(*until),
        }
    }
}

/// Explain why a job is in its phase
#[utoipa::path(
    get, path = "/v1/jobs/{id}/explain", operation_id = "explain_job", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = ExplainedJobView))
)]
pub(super) async fn explain_job(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<axum::Json<ExplainedJobView>, Problem> {
    let ExplainedJob { status, explanation, detail, review, terms: allowed } = use_cases.explain_job(&who, id).await?;
    Ok(axum::Json(ExplainedJobView {
        text: explanation.text,
        phase: status.phase,
        ahead: explanation.ahead,
        detail,
        review: review.as_ref().map(ReviewWaitView::from),
        terms: terms(&allowed),
    }))
}
