use super::manifest::PermissionsSchema;
use crate::{
    auth::Caller,
    download::{EntityTag, precondition},
    extract::{Json, PathParam, PathParams, Query},
    native::schemas::DidText,
    problem::Problem,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::{Account, AssetName, Did, FilesChecksum, Permissions, Sha256};
use cloister_service::{AlgorithmName, Inspected, UseCases, permissions_document};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Which service is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ServiceQuery {
    /// A compute service by its id; its only one if absent.
    #[param(min_length = 1, max_length = 128)]
    service: Option<String>,
}

/// Which algorithms may run on a dataset, and how
///
/// The header `ETag` names this state.
#[utoipa::path(
    get, path = "/v1/datasets/{did}/permissions", operation_id = "get_permissions", tag = "permissions",
    params(ServiceQuery, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = PermissionsSchema, headers(("ETag" = String))))
)]
pub(crate) async fn permissions(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(did): PathParam<Did>,
    Query(query): Query<ServiceQuery>,
) -> Result<Response, Problem> {
    Ok(answer(&use_cases.permissions(&who, did, query.service.as_deref()).await?))
}

fn answer((permissions, revision): &(Permissions, u64)) -> Response {
    let tag = [(header::ETAG, EntityTag::new(revision).as_str().to_owned())];
    (tag, axum::Json(permissions_document(permissions))).into_response()
}

/// Say which algorithms may run on a dataset, and how
///
/// Replaces all of it: what is absent is not allowed. With `If-Match`, only if it was not changed meanwhile.
#[utoipa::path(
    put, path = "/v1/datasets/{did}/permissions", operation_id = "set_permissions", tag = "permissions",
    params(ServiceQuery, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the state that is changed")),
    request_body(content = PermissionsSchema, example = json!({
        "publisherTrustedAlgorithms": [], "outputContract": {"maxBytes": 1_000_000, "names": ["*.csv"]}
    })),
    responses(
        (status = 200, body = PermissionsSchema, headers(("ETag" = String))),
        (status = 409, description = "It was changed at the same moment"),
        (status = 412, description = "It was changed meanwhile"),
    )
)]
pub(crate) async fn set_permissions(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(did): PathParam<Did>,
    Query(query): Query<ServiceQuery>,
    headers: HeaderMap,
    Json(permissions): Json<Value>,
) -> Result<Response, Problem> {
    let (service, precondition) = (query.service.as_deref(), precondition(&headers));
    Ok(answer(&use_cases.set_permissions(&who, did, service, permissions, &precondition).await?))
}

/// An algorithm to trust.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AllowRequest {
    algorithm: AlgorithmReference,
    /// Its `filesChecksum`, as you saw it when you inspected its files.
    #[schema(value_type = String, pattern = "^([0-9a-f]{64})+$")]
    files_checksum: FilesChecksum,
    /// Its `containerSectionChecksum`, as you saw it.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    container_section_checksum: Sha256,
}

/// An algorithm: its DID, or its owner's name for it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = NamedAlgorithm)]
enum AlgorithmReference {
    /// Its DID.
    Did(DidText),
    /// Its owner and name.
    Named(Named),
}

/// An algorithm by its owner's name for it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    #[schema(value_type = String, pattern = "^[!-~]{1,128}$")]
    owner: Account,
    #[schema(value_type = String, pattern = "^[a-z0-9-]{1,63}$")]
    name: AssetName,
}

/// Trust an algorithm, as you have inspected it
///
/// If its files or its container change, it has to be inspected and allowed again.
#[utoipa::path(
    post, path = "/v1/datasets/{did}/allow", operation_id = "allow_algorithm", tag = "permissions",
    params(ServiceQuery, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    request_body = AllowRequest,
    responses((status = 200, description = "The permissions as they are now", body = PermissionsSchema, headers(("ETag" = String))),
        (status = 409, description = "The algorithm is not what you inspected, or the permissions were changed at the same moment"))
)]
pub(crate) async fn allow(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(did): PathParam<Did>,
    Query(query): Query<ServiceQuery>,
    Json(request): Json<AllowRequest>,
) -> Result<Response, Problem> {
    let AllowRequest { algorithm, files_checksum, container_section_checksum } = request;
    let inspected = Inspected { files_checksum, container_section_checksum };
    let algorithm = match algorithm {
        AlgorithmReference::Did(DidText(did)) => AlgorithmName::Did(did),
        AlgorithmReference::Named(Named { owner, name }) => AlgorithmName::Named { owner, name },
    };
    Ok(answer(&use_cases.allow(&who, did, query.service.as_deref(), algorithm, &inspected).await?))
}

/// Stop trusting an algorithm
#[utoipa::path(
    delete, path = "/v1/datasets/{did}/allow/{algorithm}", operation_id = "disallow_algorithm", tag = "permissions",
    params(ServiceQuery, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$"),
        ("algorithm" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 204, description = "It is no longer trusted"), (status = 409, description = "They were changed at the same moment"))
)]
pub(crate) async fn disallow(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParams(did, algorithm): PathParams<Did, Did>,
    Query(query): Query<ServiceQuery>,
) -> Result<StatusCode, Problem> {
    use_cases.disallow(&who, did, query.service.as_deref(), &algorithm).await?;
    Ok(StatusCode::NO_CONTENT)
}
