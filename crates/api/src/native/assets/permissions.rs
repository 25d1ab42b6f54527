use super::view::{find, find_own, may_see};
use crate::{
    assets::{self, change, compute_service, document_of},
    auth::Caller,
    content::EntityTag,
    native::views::DidSchema,
    principal::Principal,
    problem::Problem,
    state::Shared,
    submission::SubmitError,
    web::{In, In2, Json, Query},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::{Account, Asset, AssetKind, AssetName, Did};
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
    get, path = "/v1/datasets/{did}/permissions", tag = "permissions",
    params(ServiceQuery, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = Object, headers(("ETag" = String))))
)]
pub(crate) async fn permissions(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(did): In<Did>,
    Query(query): Query<ServiceQuery>,
) -> Result<Response, Problem> {
    let asset = find_own(&shared, &who, (AssetKind::Dataset, did), true).await?;
    answer(&asset, query.service.as_deref())
}

fn answer(asset: &Asset, service: Option<&str>) -> Result<Response, Problem> {
    let (_, permissions) = compute_service(&asset.ddo, service)?;
    let tag = [(header::ETAG, EntityTag::new(asset.revision).as_str().to_owned())];
    Ok((tag, axum::Json(document_of(permissions))).into_response())
}

/// Say which algorithms may run on a dataset, and how
///
/// Replaces all of it: what is absent is not allowed. With `If-Match`, only if nobody changed it meanwhile.
#[utoipa::path(
    put, path = "/v1/datasets/{did}/permissions", tag = "permissions",
    params(ServiceQuery, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the state that is changed")),
    request_body(content = Object, example = json!({
        "publisherTrustedAlgorithms": [], "outputContract": {"maxBytes": 1_000_000, "names": ["*.csv"]}
    })),
    responses(
        (status = 200, body = Object, headers(("ETag" = String))),
        (status = 409, description = "It was changed at the same moment"),
        (status = 412, description = "It was changed meanwhile"),
    )
)]
pub(crate) async fn set_permissions(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(did): In<Did>,
    Query(query): Query<ServiceQuery>,
    headers: HeaderMap,
    Json(permissions): Json<Value>,
) -> Result<Response, Problem> {
    let asset = find_own(&shared, &who, (AssetKind::Dataset, did), true).await?;
    if !permissions.is_object() {
        return Err(Problem { field: None, ..Problem::field("", "permissions are an object") });
    }
    let service = compute_service(&asset.ddo, query.service.as_deref())?.0.id.clone();
    let asset = change(&shared, &who.account, asset, (&service, permissions), &headers).await?;
    answer(&asset, Some(&service))
}

/// An algorithm to trust.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowRequest {
    #[schema(value_type = ChoiceSchema)]
    algorithm: Choice,
}

/// An algorithm: its DID, or its owner's name for it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Choice {
    Did(Did),
    Named(Named),
}

/// An algorithm: its DID, or its owner's name for it.
#[derive(ToSchema)]
#[schema(as = NamedAlgorithm)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes `Choice` to readers of the documentation")]
pub(crate) enum ChoiceSchema {
    /// Its DID.
    Did(DidSchema),
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

/// Trust an algorithm, as it is now
///
/// Whoever changes its files or its container afterwards has to ask again.
#[utoipa::path(
    post, path = "/v1/datasets/{did}/allow", tag = "permissions",
    params(ServiceQuery, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    request_body = AllowRequest,
    responses((status = 200, description = "The permissions as they are now", body = Object, headers(("ETag" = String))),
        (status = 409, description = "They were changed at the same moment"))
)]
pub(crate) async fn allow(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(did): In<Did>,
    Query(query): Query<ServiceQuery>,
    Json(request): Json<AllowRequest>,
) -> Result<Response, Problem> {
    let asset = find_own(&shared, &who, (AssetKind::Dataset, did), false).await?;
    let algorithm = algorithm(&shared, &who, request.algorithm).await?;
    let (service, permissions) = compute_service(&asset.ddo, query.service.as_deref())?;
    let (service, permissions) = (service.id.clone(), assets::trust(permissions, &algorithm)?);
    let asset = change(&shared, &who.account, asset, (&service, permissions), &HeaderMap::new()).await?;
    answer(&asset, Some(&service))
}

async fn algorithm(shared: &Shared, who: &Principal, choice: Choice) -> Result<Asset, Problem> {
    let found = match choice {
        Choice::Did(did) => match find(shared, who, AssetKind::Algorithm, did).await {
            Ok(asset) => Some(asset),
            Err(problem) if problem.status == StatusCode::NOT_FOUND => None,
            Err(problem) => return Err(problem),
        },
        Choice::Named(Named { owner, name }) => {
            let found = shared.backend.asset_named(owner, AssetKind::Algorithm, name.to_string()).await?;
            found.filter(|asset| may_see(asset, who))
        }
    };
    let found = found.filter(|asset| asset.withdrawn.is_none());
    found.ok_or_else(|| SubmitError::NoSuchAsset { field: "algorithm".to_owned() }.into())
}

/// Take the trust in an algorithm back
#[utoipa::path(
    delete, path = "/v1/datasets/{did}/allow/{algorithm}", tag = "permissions",
    params(ServiceQuery, ("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$"),
        ("algorithm" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 204, description = "It is trusted no more"), (status = 409, description = "They were changed at the same moment"))
)]
pub(crate) async fn disallow(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In2(did, algorithm): In2<Did, Did>,
    Query(query): Query<ServiceQuery>,
) -> Result<StatusCode, Problem> {
    let asset = find_own(&shared, &who, (AssetKind::Dataset, did), false).await?;
    let (service, permissions) = compute_service(&asset.ddo, query.service.as_deref())?;
    let permissions = assets::untrust(permissions, &algorithm).ok_or_else(Problem::not_found)?;
    let service = service.id.clone();
    change(&shared, &who.account, asset, (&service, permissions), &HeaderMap::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}
