use super::{
    job_request::JobRequest,
    views::{RuleView, terms},
};
use crate::{
    auth::Caller,
    problem::Problem,
    state::Shared,
    submission::{Identity, decide},
    web::Json,
};
use axum::extract::State;
use cloister_model::Decision;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Whether a job would be allowed, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(super) struct Explained {
    allowed: bool,
    /// Every rule that it meets; none if it is allowed.
    rules: Vec<RuleView>,
    /// What it would be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    terms: Option<Value>,
}

/// Whether a job would be allowed, and why
///
/// Decides as for a job, and starts nothing.
#[utoipa::path(
    post, path = "/v1/explain", operation_id = "explain_submission", tag = "jobs", request_body = JobRequest, responses((status = 200, body = Explained))
)]
pub(super) async fn explain(
    State(shared): State<Shared>,
    Caller(who): Caller,
    Json(request): Json<JobRequest>,
) -> Result<axum::Json<Explained>, Problem> {
    let submission = request.into_submission(Identity::Random)?;
    let decided = decide(&shared, &who.account, &submission).await?;
    Ok(axum::Json(match &decided.decision {
        Decision::Allowed(allowed) => Explained { allowed: true, rules: Vec::new(), terms: Some(terms(allowed)) },
        Decision::Denied(denials) => {
            Explained { allowed: false, rules: denials.iter().map(RuleView::from).collect(), terms: None }
        }
    }))
}
