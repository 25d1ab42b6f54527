use super::{manifest::DocumentSchema, view::AssetView};
use crate::{
    auth::Caller,
    download::{EntityTag, precondition},
    extract::{Json, PathParam},
    problem::Problem,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::{AssetKind, Did};
use cloister_service::{Principal, Published, UseCases};
use serde_json::Value;

/// Publish a dataset, or change it
///
/// The body is a manifest (`apiVersion: cloister.dev/v1alpha1`, `kind: Dataset`) or a DDO. The same name changes the same
/// dataset. With `If-Match`, only if it was not changed meanwhile.
#[utoipa::path(
    post, path = "/v1/datasets", operation_id = "publish_dataset", tag = "assets",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the state that is changed")),
    request_body(content = DocumentSchema, example = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "penguins"},
        "spec": {
            "title": "Palmer penguins",
            "files": [{"type": "url", "url": "https://example.org/penguins.csv"}],
            "compute": {"publisherTrustedAlgorithms": [], "outputContract": {"maxBytes": 1_000_000}}
        }
    })),
    responses(
        (status = 201, description = "Created", body = AssetView),
        (status = 200, description = "Changed, or as it was", body = AssetView),
        (status = 412, description = "It was changed meanwhile"),
    )
)]
pub(crate) async fn publish_dataset(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    headers: HeaderMap,
    Json(document): Json<Value>,
) -> Result<Response, Problem> {
    publish(&use_cases, &who, AssetKind::Dataset, document, &headers).await
}

/// Publish an algorithm, or change it
///
/// The body is a manifest (`kind: Algorithm`) or a DDO. Its files are fetched once, to know what they are.
#[utoipa::path(
    post, path = "/v1/algorithms", operation_id = "publish_algorithm", tag = "assets",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the state that is changed")),
    request_body(content = DocumentSchema, example = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Algorithm", "metadata": {"name": "column-stats"},
        "spec": {
            "files": [{"type": "url", "url": "https://example.org/column-stats.wasm"}],
            "algorithm": {"language": "rust", "version": "1.0"}
        }
    })),
    responses(
        (status = 201, description = "Created", body = AssetView),
        (status = 200, description = "Changed, or as it was", body = AssetView),
        (status = 412, description = "It was changed meanwhile"),
    )
)]
pub(crate) async fn publish_algorithm(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    headers: HeaderMap,
    Json(document): Json<Value>,
) -> Result<Response, Problem> {
    publish(&use_cases, &who, AssetKind::Algorithm, document, &headers).await
}

async fn publish(
    use_cases: &UseCases,
    who: &Principal,
    kind: AssetKind,
    document: Value,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let Published { asset, new } = use_cases.publish(who, kind, document, &precondition(headers)).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    let place = match kind {
        AssetKind::Dataset => "datasets",
        AssetKind::Algorithm => "algorithms",
    };
    let headers = [
        (header::LOCATION, format!("/v1/{place}/{}", asset.ddo.id())),
        (header::ETAG, EntityTag::new(asset.revision).as_str().to_owned()),
    ];
    Ok((status, headers, axum::Json(AssetView::new(&asset, who))).into_response())
}

/// Withdraw a dataset: no job can use it any more
#[utoipa::path(
    delete, path = "/v1/datasets/{did}", operation_id = "withdraw_dataset", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 204, description = "It is withdrawn"))
)]
pub(crate) async fn withdraw_dataset(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(did): PathParam<Did>,
) -> Result<StatusCode, Problem> {
    use_cases.withdraw(&who, AssetKind::Dataset, did).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Withdraw an algorithm: no job can use it any more
#[utoipa::path(
    delete, path = "/v1/algorithms/{did}", operation_id = "withdraw_algorithm", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 204, description = "It is withdrawn"))
)]
pub(crate) async fn withdraw_algorithm(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(did): PathParam<Did>,
) -> Result<StatusCode, Problem> {
    use_cases.withdraw(&who, AssetKind::Algorithm, did).await?;
    Ok(StatusCode::NO_CONTENT)
}
