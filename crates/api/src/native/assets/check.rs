use crate::{auth::Caller, date, extract::PathParam, problem::Problem};
use axum::extract::State;
use cloister_model::{CheckedSource, Did, LastCheck, SourceOutcome};
use cloister_service::{LastProvision, SourcesSeen, UseCases};
use serde::Serialize;
use utoipa::ToSchema;

/// The result of a check of the sources of a dataset.
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
    /// Its place in the description of the dataset, such as `services[0].files[0]`.
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
    /// It was not checked, because there are too many.
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

/// What the service knows about the sources of a dataset without contacting them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourcesSeen)]
pub(crate) struct SeenView {
    /// The last check. Absent: there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<LastCheckView>,
    /// The last job that needed them. Absent: none of the newest jobs on the dataset did.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<ProvisionView>,
}

/// The last check of the sources of a dataset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastSourceCheck)]
pub(crate) struct LastCheckView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// The revision of the dataset that was checked.
    revision: u64,
    /// Whether the dataset still has that revision. Otherwise its sources may be other ones now.
    current: bool,
    /// The sources, 100 at most.
    sources: Vec<CheckView>,
    /// How many more there are.
    others: u64,
}

/// The end of an attempt to give a dataset to a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceProvision)]
pub(crate) struct ProvisionView {
    /// Which job.
    id: String,
    /// When the attempt ended.
    #[schema(format = DateTime)]
    at: String,
    /// Why it failed. Absent: the job got the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl From<SourcesSeen> for SeenView {
    fn from(SourcesSeen { revision: now, check, job }: SourcesSeen) -> Self {
        let check = check.map(|LastCheck { at, revision, sources, others }| LastCheckView {
            at: date::write(at),
            revision,
            current: revision == now,
            sources: sources.into_iter().map(CheckView::from).collect(),
            others,
        });
        let job = job.map(|LastProvision { job, at, problem }| ProvisionView {
            id: job.to_string(),
            at: date::write(at),
            problem,
        });
        Self { check, job }
    }
}

/// Show the last check of the sources of a dataset of yours
///
/// The result of the last `POST` on the same path, and the last job that needed the sources. This contacts no source.
#[utoipa::path(
    get, path = "/v1/datasets/{did}/check", operation_id = "get_dataset_sources", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = SeenView))
)]
pub(crate) async fn seen(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(did): PathParam<Did>,
) -> Result<axum::Json<SeenView>, Problem> {
    Ok(axum::Json(use_cases.sources_seen(&who, did).await?.into()))
}

/// Check the sources of a dataset of yours
///
/// The service asks each of them once, by the rules for sources of jobs, and reads its first bytes. It compares a small file that has a
/// `sha256`. It keeps nothing of the files; `GET` on the same path shows the result later. The request waits for some seconds; if
/// `pending` is true, asking again continues the same check.
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
