//! What comes out of a job: log, results, report, receipt.

use super::{
    schemas::{BytesSchema, PartSchema},
    views::{JobView, List, ResultView},
};
use crate::{
    auth::Caller,
    download::Download,
    extract::{PathParam, PathParams, Query},
    problem::Problem,
    state::Http,
    streams,
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::{JobId, Opening, Report};
use cloister_service::{Actor, SignedReceipt, UseCases};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Names the datasets that withhold a log.
const WITHHELD: HeaderName = HeaderName::from_static("x-cloister-log-withheld");

/// How a log is read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// Whether to go on until the job has ended.
    follow: Option<bool>,
}

/// The algorithm log, as far as it may be seen and is written
///
/// Empty while it is held with the outputs. If it is still withheld when the job has ended, it stays empty, and the header
/// `X-Cloister-Log-Withheld` names the datasets that withhold it still.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/log", operation_id = "get_log", tag = "results", params(LogQuery,
        ("id" = String, Path, pattern = "^[0-9a-f]{32}$"),
        ("Range" = Option<String>, Header, description = "One range of bytes; ignored when following")),
    responses(
        (status = 200, content_type = "text/plain", body = String,
            headers(("X-Cloister-Log-Withheld" = String, description = "DIDs of the datasets that withhold it still, if any"))),
        (status = 206, content_type = "text/plain", body = String),
    )
)]
pub(super) async fn log(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
    Query(query): Query<LogQuery>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let log = use_cases.job_log(&Actor::from(who.clone()), id).await?;
    let withheld = log.withheld().map(|log| log.missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    if query.follow == Some(true) {
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            let permit = streams::permit(&http, &who)?;
            Body::from_stream(streams::follow_log(http, use_cases, who, log, permit))
        };
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response());
    }
    let bytes = log.length().await?;
    let mut response = Download::of_log(log, bytes).answer(&http.metrics, &method, &headers).await?;
    if let Some(value) = withheld.and_then(|by| HeaderValue::from_str(&by).ok()) {
        response.headers_mut().insert(WITHHELD, value);
    }
    Ok(response)
}

/// The log of an ended job that is withheld from its consumer, for a publisher of its datasets
///
/// What an algorithm printed may hold data of every dataset. So a publisher sees what the datasets of the other publishers let
/// out, and all of it if there are no others. The reading is recorded.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/withheld-log", operation_id = "get_withheld_log", tag = "review", params(
        ("id" = String, Path, pattern = "^[0-9a-f]{32}$"),
        ("Range" = Option<String>, Header, description = "One range of bytes")),
    responses(
        (status = 200, content_type = "text/plain", body = String),
        (status = 206, content_type = "text/plain", body = String),
        (status = 409, description = "It has not ended, or its log is not withheld"),
    )
)]
pub(super) async fn withheld_log(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let log = use_cases.withheld_log(&who, id).await?;
    let bytes = log.length().await?;
    Download::of_log(log, bytes).answer(&http.metrics, &method, &headers).await
}

/// Release a withheld log, as far as the rules of your own datasets withhold it
///
/// The consumer can read it once every publisher that withholds it has released it; `withheldLog.missing` says whose release is
/// missing. Your first release counts. The receipt of the job stays as it is; the release is in the audit log.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/withheld-log/release", operation_id = "release_withheld_log", tag = "review",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = JobView),
        (status = 409, description = "It has not ended, or its log is not withheld"))
)]
pub(super) async fn release_log(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(JobView::from(&use_cases.release_log(&who, id).await?)))
}

/// What was released
#[utoipa::path(
    get, path = "/v1/jobs/{id}/results", operation_id = "list_results", tag = "results",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = List<ResultView>))
)]
pub(super) async fn results(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<Json<List<ResultView>>, Problem> {
    Ok(Json(ResultView::list(&use_cases.results(&who, id).await?)))
}

/// One released file, or a part of it
#[utoipa::path(
    get, path = "/v1/jobs/{id}/results/{index}", operation_id = "download_result", tag = "results",
    params(PartSchema, ("id" = String, Path, pattern = "^[0-9a-f]{32}$"), ("index" = u32, Path)),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream", body = inline(BytesSchema)),
        (status = 206, description = "The part", content_type = "application/octet-stream", body = inline(BytesSchema)),
        (status = 304, description = "What you have is current"),
    )
)]
pub(super) async fn result(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    Caller(who): Caller,
    PathParams(id, index): PathParams<JobId, u32>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let file = use_cases.result_file(&who.into(), id, index).await?;
    Download::of_file(file).answer(&http.metrics, &method, &headers).await
}

/// What the host reports of the run
///
/// See `schemas/report.v1.json`. It says nothing about outputs unless they are
/// released. A publisher sees neither other publishers' files nor the parameters.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/report", operation_id = "get_report", tag = "results",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = Object))
)]
pub(super) async fn report(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<Json<Report>, Problem> {
    Ok(Json(use_cases.report(&who, id).await?))
}

/// What ran on what and what came out, signed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    /// The text below, parsed.
    #[schema(value_type = Object)]
    receipt: Value,
    /// What is signed, letter for letter. The same for every reader.
    text: String,
    /// An Ed25519 signature over the bytes of the text, in base64.
    signature: String,
    /// The key that made it, in base64: the one at `/v1/receipt-key`.
    public_key: String,
    /// What opens the sealed values that you may see.
    openings: Vec<OpeningView>,
}

/// Opens a sealed value of a receipt: shows that the value is the one that the receipt commits to.
///
/// The commitment is SHA-256 over `cloister.dev/commitment/v1`, the pointer, the 32 bytes of the salt, and the value as
/// compact JSON with sorted names, each with its length in bytes before it (8 bytes, big-endian).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Opening)]
pub(super) struct OpeningView {
    /// The place of the sealed value in the receipt, as a JSON pointer.
    pointer: String,
    /// 32 bytes in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    salt: String,
    /// The value.
    value: Value,
}

/// The receipt of a job that has ended
///
/// Made once, when the job ends, and kept when the job is removed. Every reader gets the same text and signature. Values
/// that not every reader may see are sealed in it; `openings` has those that you may see.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/receipt", operation_id = "get_receipt", tag = "results",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = Receipt),
        (status = 404, description = "There is no such job that you may see, or it ended under an earlier version of the service, without a receipt"),
        (status = 409, description = "It has not ended"))
)]
pub(super) async fn receipt(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
) -> Result<Json<Receipt>, Problem> {
    let SignedReceipt { text, signature, public_key, openings } = use_cases.receipt(&who, id).await?;
    let receipt = serde_json::from_str(&text).map_err(|_| Problem::internal())?;
    let openings = openings.into_iter().map(|Opening { pointer, salt, value }| OpeningView {
        pointer,
        salt: salt.to_string(),
        value,
    });
    Ok(Json(Receipt { receipt, text, signature, public_key, openings: openings.collect() }))
}
