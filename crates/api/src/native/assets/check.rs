use crate::{auth::Caller, extract::PathParam, problem::Problem};
use axum::extract::State;
use cloister_model::{Did, SourceOutcome};
use cloister_service::{CheckedSource, UseCases};
use serde::Serialize;
use utoipa::ToSchema;

/// What the sources of a dataset gave when they were looked at.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceChecks)]
pub(crate) struct ChecksView {
    /// Whether the service still waits for sources: ask again. The list is empty then.
    pending: bool,
    /// The sources of all services.
    sources: Vec<CheckView>,
}

/// What one source gave.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceCheck)]
pub(crate) struct CheckView {
    /// Where it stands in the description of the dataset, such as `services[0].files[0]`.
    field: String,
    /// Where it is: at most its scheme and host.
    place: String,
    state: CheckState,
    /// Its size in bytes, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// The digest that was agreed, if the file was compared with it. Large files are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: Option<String>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Whether a source can be read.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SourceState)]
enum CheckState {
    /// It answers, and is what was agreed as far as it was compared.
    Found,
    /// It cannot be read, or is not what was agreed: jobs fail.
    Failed,
    /// It was not looked at, because there are too many.
    Skipped,
}

impl From<CheckedSource> for CheckView {
    fn from(CheckedSource { field, place, outcome }: CheckedSource) -> Self {
        let (state, bytes, sha256, problem) = match outcome {
            SourceOutcome::Found { bytes, sha256 } => (CheckState::Found, bytes, sha256, None),
            SourceOutcome::Failed(problem) => (CheckState::Failed, None, None, Some(problem)),
            SourceOutcome::Skipped => (CheckState::Skipped, None, None, None),
        };
        Self { field, place, state, bytes, sha256: sha256.map(|sha256| sha256.to_string()), problem }
    }
}

/// Look at the sources of a dataset of yours
///
/// The service asks each of them once, by the rules for sources of jobs, and reads its first bytes; a small file with a `sha256` is
/// compared with it. Nothing is kept. Waits some seconds; `pending` says that asking again continues the same look.
#[utoipa::path(
    post, path = "/v1/datasets/{did}/check", operation_id = "check_dataset_sources", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = ChecksView))
)]
pub(crate) async fn check(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(did): PathParam<Did>,
) -> Result<axum::Json<ChecksView>, Problem> {
    let checked = use_cases.check_sources_of(&who, did).await?;
    let pending = checked.is_none();
    let sources = checked.unwrap_or_default().into_iter().map(CheckView::from).collect();
    Ok(axum::Json(ChecksView { pending, sources }))
}
