use super::{
    others::without_others,
    views::{List, ResultView, name, terms},
};
use crate::{
    auth::{Caller, sha256},
    jobs::{self, Access, find},
    problem::Problem,
    receipt::statement,
    state::Shared,
    web::{In, In2, Query},
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::{JobId, Report, Shelf};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// How a log is read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// Whether to go on until the job has ended.
    follow: Option<bool>,
}

/// The algorithm log, as far as it may be seen and is written
#[utoipa::path(
    get, path = "/v1/jobs/{id}/log", tag = "results", params(LogQuery,
        ("id" = String, Path, pattern = "^[0-9a-f]{32}$"),
        ("Range" = Option<String>, Header, description = "One range of bytes; ignored when following")),
    responses(
        (status = 200, content_type = "text/plain", body = String),
        (status = 206, content_type = "text/plain", body = String),
    )
)]
pub(super) async fn log(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
    Query(query): Query<LogQuery>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    find(&shared, &who, id, Access::Control).await?;
    if query.follow == Some(true) {
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            let follower = jobs::Follower::new(&shared, who)?;
            Body::from_stream(jobs::follow_log(shared, follower, id))
        };
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response());
    }
    jobs::log_file(&shared, id).await?.answer(&shared, &method, &headers, async { Ok(()) }).await
}

/// What was released
#[utoipa::path(
    get, path = "/v1/jobs/{id}/results", tag = "results", params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = List<ResultView>))
)]
pub(super) async fn results(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
) -> Result<Json<List<ResultView>>, Problem> {
    find(&shared, &who, id, Access::Results).await?;
    Ok(Json(ResultView::list(&shared.backend.results(id, Shelf::Released).await?)))
}

/// One released file, or a part of it
#[utoipa::path(
    get, path = "/v1/jobs/{id}/results/{index}", tag = "results",
    params(
        ("id" = String, Path, pattern = "^[0-9a-f]{32}$"), ("index" = u32, Path),
        ("Range" = Option<String>, Header, description = "One range of bytes"),
        ("If-Range" = Option<String>, Header, description = "Only if it is still this, else all of it"),
        ("If-None-Match" = Option<String>, Header, description = "Only if it is not this")
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>,
            headers(("ETag" = String), ("Repr-Digest" = String), ("Content-Disposition" = String))),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>, headers(("Content-Range" = String))),
        (status = 304, description = "You have it"),
    )
)]
pub(super) async fn result(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In2(id, index): In2<JobId, u32>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    find(&shared, &who, id, Access::Results).await?;
    jobs::send(&shared, &who.account, (id, Shelf::Released, index), &method, &headers).await
}

/// What the host reports of the run
///
/// See `schemas/report.v1.json`. Without the outputs until they are released, and for good if they never are.
/// A publisher sees nothing of other publishers' files and of the parameters.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/report", tag = "results", params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = Object))
)]
pub(super) async fn report(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
) -> Result<Json<Report>, Problem> {
    let found = find(&shared, &who, id, Access::Read).await?;
    let report = jobs::report(&shared, &found).await?;
    let (_, report) = without_others(found, report, &who);
    report.map(Json).ok_or_else(Problem::not_found)
}

/// What ran on what and what came out, signed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    /// What is signed, to be read.
    #[schema(value_type = Object)]
    receipt: Value,
    /// What is signed, letter for letter: the signature is over these bytes.
    text: String,
    /// An Ed25519 signature, in base64.
    signature: String,
    /// The key that made it, in base64: the one at `/v1/receipt-key`.
    public_key: String,
}

/// The receipt of a job that has ended
///
/// A publisher's has nothing of other publishers' files and of the parameters.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/receipt", tag = "results", params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = Receipt), (status = 409, description = "It has not ended"))
)]
pub(super) async fn receipt(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
) -> Result<Json<Receipt>, Problem> {
    let found = find(&shared, &who, id, Access::Read).await?;
    if !found.status.phase.has_ended() {
        return Err(Problem::conflict("not-ended", "a job has a receipt once it has ended; follow its events"));
    }
    let report = jobs::report(&shared, &found).await?;
    let (found, report) = without_others(found, report, &who);
    let outputs = shared.backend.results(id, Shelf::Released).await?;
    let receipt = statement(&found.spec, &found.status, report.as_ref(), &outputs, sha256);
    let text = receipt.to_string();
    let (signature, public_key) = (shared.signer.sign(&text), shared.signer.public_key());
    Ok(Json(Receipt { receipt, text, signature, public_key }))
}

/// Why a job is where it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobExplanation)]
pub(super) struct ExplanationView {
    text: String,
    phase: String,
    /// Jobs that come before it; null if it does not wait for its turn.
    ahead: Option<u64>,
    /// What was decided when it was submitted.
    #[schema(value_type = Object)]
    terms: Value,
}

/// Why a job is where it is
#[utoipa::path(
    get, path = "/v1/jobs/{id}/explain", tag = "jobs", params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = ExplanationView))
)]
pub(super) async fn explain(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
) -> Result<Json<ExplanationView>, Problem> {
    let found = find(&shared, &who, id, Access::Read).await?;
    let explanation = shared.backend.explain(id).await?;
    Ok(Json(ExplanationView {
        text: explanation.text,
        phase: name(found.status.phase),
        ahead: explanation.ahead,
        terms: terms(&found.spec.terms),
    }))
}
