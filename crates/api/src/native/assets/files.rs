use crate::{
    auth::Caller,
    download::{Description, Download},
    extract::PathParams,
    native::schemas::{BytesSchema, PartSchema},
    problem::Problem,
    state::Http,
};
use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};
use cloister_model::{AssetKind, Did};
use cloister_service::{KnownFile, Principal, UseCases};

/// A file of a dataset that may be downloaded
#[utoipa::path(
    get, path = "/v1/datasets/{did}/files/{n}", operation_id = "download_dataset_file", tag = "assets",
    params(PartSchema, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$"), ("n" = u32, Path)),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream", body = inline(BytesSchema)),
        (status = 206, description = "The part", content_type = "application/octet-stream", body = inline(BytesSchema)),
        (status = 304, description = "What you have is current"), (status = 502, description = "Its source cannot be read"),
    )
)]
pub(crate) async fn dataset_file(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    Caller(who): Caller,
    PathParams(did, n): PathParams<Did, u32>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&use_cases, &http, &who, (AssetKind::Dataset, did, n), (&method, &headers)).await
}

/// A file of an algorithm that may be downloaded, or that you are asked to inspect
#[utoipa::path(
    get, path = "/v1/algorithms/{did}/files/{n}", operation_id = "download_algorithm_file", tag = "assets",
    params(PartSchema, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$"), ("n" = u32, Path)),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream", body = inline(BytesSchema)),
        (status = 206, description = "The part", content_type = "application/octet-stream", body = inline(BytesSchema)),
        (status = 304, description = "What you have is current"), (status = 502, description = "Its source cannot be read"),
    )
)]
pub(crate) async fn algorithm_file(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    Caller(who): Caller,
    PathParams(did, n): PathParams<Did, u32>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&use_cases, &http, &who, (AssetKind::Algorithm, did, n), (&method, &headers)).await
}

async fn send(
    use_cases: &UseCases,
    http: &Http,
    who: &Principal,
    (kind, did, n): (AssetKind, Did, u32),
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, Problem> {
    let file = use_cases.asset_file(who, kind, did, n).await?;
    let KnownFile { name, sha256, bytes } = file.known();
    let known = Description { name, media_type: "application/octet-stream", bytes, sha256 };
    if let Some(response) = known.answer_without_bytes(method, headers) {
        return Ok(response);
    }
    Download::of_file(file.fetch().await?).answer(&http.metrics, method, headers).await
}
