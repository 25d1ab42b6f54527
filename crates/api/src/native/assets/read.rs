use super::view::AssetView;
use crate::{
    auth::Caller,
    download::EntityTag,
    extract::{PageSize, PathParam, Query},
    native::views::Page,
    problem::Problem,
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use cloister_model::{Account, AssetKind, Did};
use cloister_service::{AssetFilter, AssetPage, Principal, UseCases};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which assets are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AssetsQuery {
    /// Of this account.
    #[param(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    owner: Option<Account>,
    /// Those with this name.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64)]
    name: Option<String>,
    /// Maximum number of entries.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// The `next` of the previous page.
    #[param(value_type = Option<String>, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    cursor: Option<Did>,
}

/// Datasets
#[utoipa::path(
    get, path = "/v1/datasets", operation_id = "list_datasets", tag = "assets", params(AssetsQuery),
    responses((status = 200, body = Page<AssetView>))
)]
pub(crate) async fn datasets(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    Query(query): Query<AssetsQuery>,
) -> Result<Json<Page<AssetView>>, Problem> {
    list(&use_cases, &who, AssetKind::Dataset, query).await
}

/// Algorithms
#[utoipa::path(
    get, path = "/v1/algorithms", operation_id = "list_algorithms", tag = "assets", params(AssetsQuery),
    responses((status = 200, body = Page<AssetView>))
)]
pub(crate) async fn algorithms(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    Query(query): Query<AssetsQuery>,
) -> Result<Json<Page<AssetView>>, Problem> {
    list(&use_cases, &who, AssetKind::Algorithm, query).await
}

async fn list(
    use_cases: &UseCases,
    who: &Principal,
    kind: AssetKind,
    query: AssetsQuery,
) -> Result<Json<Page<AssetView>>, Problem> {
    let AssetsQuery { owner, name, limit, cursor } = query;
    let at_most = PageSize::Large.of(limit)?;
    if name.as_ref().is_some_and(|name| !(1..=64).contains(&name.len())) {
        return Err(Problem::field("name", "has to have 1 to 64 bytes"));
    }
    let filter = AssetFilter { kind, owner, name, after: cursor, at_most };
    let AssetPage { assets, next } = use_cases.assets(who, filter).await?;
    let items = assets.into_iter().map(AssetView::listed).collect();
    Ok(Json(Page { items, next: next.map(|did| did.to_string()) }))
}

/// A dataset
#[utoipa::path(
    get, path = "/v1/datasets/{did}", operation_id = "get_dataset", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = AssetView, headers(("ETag" = String))))
)]
pub(crate) async fn dataset(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(did): PathParam<Did>,
) -> Result<Response, Problem> {
    read(&use_cases, &who, AssetKind::Dataset, did).await
}

/// An algorithm
#[utoipa::path(
    get, path = "/v1/algorithms/{did}", operation_id = "get_algorithm", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = AssetView, headers(("ETag" = String))))
)]
pub(crate) async fn algorithm(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(did): PathParam<Did>,
) -> Result<Response, Problem> {
    read(&use_cases, &who, AssetKind::Algorithm, did).await
}

async fn read(use_cases: &UseCases, who: &Principal, kind: AssetKind, did: Did) -> Result<Response, Problem> {
    let asset = use_cases.asset(who, kind, did).await?;
    let tag = [(header::ETAG, EntityTag::new(asset.revision).as_str().to_owned())];
    Ok((tag, Json(AssetView::new(&asset, who))).into_response())
}
